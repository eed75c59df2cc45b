import type { Change, Entry } from './entry.ts';

/** The objects of one resource in one namespace ('' for what has none), in the order of their names when asked. */
class Bucket {
  readonly entries = new Map<string, Entry>();
  #sorted: string[] | undefined;

  set(name: string, entry: Entry): void {
    if (!this.entries.has(name)) this.#sorted = undefined;
    this.entries.set(name, entry);
  }

  delete(name: string): void {
    if (this.entries.delete(name)) this.#sorted = undefined;
  }

  get names(): readonly string[] {
    return (this.#sorted ??= [...this.entries.keys()].sort());
  }
}

/** Where a list stopped: the last object given. */
export interface Position {
  namespace: string;
  name: string;
}

/** All objects of one resource, the newest changes of them, and who watches. */
export class Shelf {
  readonly #buckets = new Map<string, Bucket>();
  readonly #historyLimit: number;
  /** Oldest first; changes up to `forgotten` are no longer in it. */
  #history: Change[] = [];
  forgotten: number;
  size = 0;
  readonly watchers = new Set<(change: Change) => void>();

  constructor(historyLimit: number, version: number) {
    this.#historyLimit = historyLimit;
    this.forgotten = version;
  }

  get(namespace: string, name: string): Entry | undefined {
    return this.#buckets.get(namespace)?.entries.get(name);
  }

  record(change: Change): void {
    const { namespace, name, before, after } = change;
    let bucket = this.#buckets.get(namespace);
    if (after) {
      if (!bucket) this.#buckets.set(namespace, (bucket = new Bucket()));
      bucket.set(name, after);
    } else {
      bucket?.delete(name);
      if (bucket?.entries.size === 0) this.#buckets.delete(namespace);
    }
    this.size += (after ? 1 : 0) - (before ? 1 : 0);
    this.#history.push(change);
    // Cut in large steps: shifting one by one would move the whole array each time.
    if (this.#history.length >= this.#historyLimit * 2) {
      const cut = this.#history.length - this.#historyLimit;
      this.forgotten = this.#history[cut - 1]!.version;
      this.#history = this.#history.slice(cut);
    }
    for (const watcher of [...this.watchers]) watcher(change);
  }

  /** Forgets all changes so far. */
  compact(version: number): void {
    this.#history = [];
    this.forgotten = version;
  }

  /** Changes after a version, oldest first. The version must not be older than `forgotten`. */
  since(version: number): Change[] {
    let [low, high] = [0, this.#history.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#history[middle]!.version > version) high = middle;
      else low = middle + 1;
    }
    return this.#history.slice(low);
  }

  /** Every object in the order of namespace and name, as etcd's keys would sort, after a position. */
  *walk(namespace: string | undefined, after?: Position): Generator<Entry> {
    const namespaces = namespace === undefined ? [...this.#buckets.keys()].sort() : [namespace];
    for (const one of namespaces) {
      if (after && one < after.namespace) continue;
      const bucket = this.#buckets.get(one);
      if (!bucket) continue;
      const { names } = bucket;
      const from = after && one === after.namespace ? firstAfter(names, after.name) : 0;
      for (let at = from; at < names.length; at++) {
        const entry = bucket.entries.get(names[at]!);
        if (entry) yield entry;
      }
    }
  }

  /** `walk` as it would have been at an older version, which must not be older than `forgotten`. */
  walkAt(version: number, namespace: string | undefined, after?: Position): Iterable<Entry> {
    const changes = this.since(version);
    if (changes.length === 0) return this.walk(namespace, after);
    // What an object was then is what the first later change found.
    const then = new Map<string, Entry | undefined>();
    for (const change of changes) {
      const key = keyOf(change.namespace, change.name);
      if (!then.has(key)) then.set(key, change.before);
    }
    const kept: Entry[] = [];
    for (const entry of this.walk(namespace, after)) if (!then.has(entryKey(entry))) kept.push(entry);
    const start = after && keyOf(after.namespace, after.name);
    for (const [key, entry] of then) {
      if (!entry || (namespace !== undefined && (entry.object.metadata.namespace ?? '') !== namespace)) continue;
      if (start === undefined || key > start) kept.push(entry);
    }
    return kept.sort((a, b) => (entryKey(a) < entryKey(b) ? -1 : 1));
  }
}

// NUL sorts before every character of a name, as `walk` does with namespaces.
const keyOf = (namespace: string, name: string): string => `${namespace}\0${name}`;
const entryKey = ({ object: { metadata } }: Entry): string => keyOf(metadata.namespace ?? '', metadata.name);

function firstAfter(names: readonly string[], name: string): number {
  let [low, high] = [0, names.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (names[middle]! > name) high = middle;
    else low = middle + 1;
  }
  return low;
}
