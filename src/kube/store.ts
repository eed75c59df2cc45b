/** One difference between what the cache was and is. `previous` is what listeners last heard of under this key. */
export interface Change<T> {
  type: 'added' | 'modified' | 'deleted';
  /** `namespace/name`, or `name` of what has no namespace. */
  key: string;
  /** For `deleted`: the last known state. */
  object: T;
  previous?: T;
}

/** A projected object, and what the cache itself must know of it. */
export interface Cached<T> {
  object: T;
  resourceVersion: string;
  uid: string | undefined;
  /** Has a deletionTimestamp. */
  deleting: boolean;
}

/** Objects by key and by indexes. Every method that changes it answers with the changes, in order. */
export class ObjectStore<T> {
  /** The newest resourceVersion that the content includes. */
  newest: string | undefined;
  #entries = new Map<string, Cached<T>>();
  readonly #indexes = new Map<string, { values: (object: T) => readonly string[]; keys: Map<string, Set<string>> }>();

  constructor(indexes: Record<string, (object: T) => readonly string[]>) {
    for (const [name, values] of Object.entries(indexes)) this.addIndex(name, values);
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): Cached<T> | undefined {
    return this.#entries.get(key);
  }

  list(): T[] {
    return Array.from(this.#entries.values(), ({ object }) => object);
  }

  keys(): IterableIterator<string> {
    return this.#entries.keys();
  }

  *entries(): IterableIterator<[string, T]> {
    for (const [key, { object }] of this.#entries) yield [key, object];
  }

  addIndex(name: string, values: (object: T) => readonly string[]): void {
    if (this.#indexes.has(name)) return;
    this.#indexes.set(name, { values, keys: new Map() });
    for (const [key, { object }] of this.#entries) this.#index(name, key, object);
  }

  byIndex(name: string, value: string): T[] {
    const index = this.#indexes.get(name);
    if (!index) throw new RangeError(`there is no index "${name}"; there are: ${[...this.#indexes.keys()].join(', ') || 'none'}`);
    return Array.from(index.keys.get(value) ?? [], (key) => this.#entries.get(key)!.object);
  }

  /** Nothing changes when the very same version is set again, or an older one (a duplicate of a reconnect). */
  set(key: string, entry: Cached<T>): Change<T>[] {
    const old = this.#entries.get(key);
    if (old && old.uid === entry.uid && !isNewer(entry.resourceVersion, old.resourceVersion)) return [];
    return this.#put(key, entry, old);
  }

  /** @param metadata of the deleted object: an event of an older object of the same name deletes nothing */
  delete(key: string, metadata: { uid?: string; resourceVersion?: string }): Change<T>[] {
    const old = this.#entries.get(key);
    if (!old || (old.uid !== metadata.uid && !isNewer(metadata.resourceVersion ?? '', old.resourceVersion))) return [];
    return this.#remove(key, old);
  }

  /** Makes the content equal to a whole snapshot, which is kept, whatever versions were known before (a server may have begun anew). */
  replace(snapshot: Map<string, Cached<T>>): Change<T>[] {
    const changes: Change<T>[] = [];
    if (this.#entries.size === 0) {
      this.#entries = snapshot;
      for (const [key, { object }] of snapshot) {
        for (const name of this.#indexes.keys()) this.#index(name, key, object);
        changes.push({ type: 'added', key, object });
      }
      return changes;
    }
    for (const [key, old] of this.#entries) if (!snapshot.has(key)) changes.push(...this.#remove(key, old));
    for (const [key, entry] of snapshot) {
      const old = this.#entries.get(key);
      if (old && old.uid === entry.uid && old.resourceVersion === entry.resourceVersion) continue;
      changes.push(...this.#put(key, entry, old));
    }
    return changes;
  }

  #put(key: string, entry: Cached<T>, old: Cached<T> | undefined): Change<T>[] {
    // Another object under the same name: its users must not carry anything over.
    const changes = old && old.uid !== entry.uid ? this.#remove(key, old) : [];
    const previous = changes.length > 0 ? undefined : old?.object;
    if (previous !== undefined) this.#unindex(key, previous);
    this.#entries.set(key, entry);
    for (const name of this.#indexes.keys()) this.#index(name, key, entry.object);
    changes.push(
      previous === undefined
        ? { type: 'added', key, object: entry.object }
        : { type: 'modified', key, object: entry.object, previous },
    );
    return changes;
  }

  #remove(key: string, old: Cached<T>): Change<T>[] {
    this.#unindex(key, old.object);
    this.#entries.delete(key);
    return [{ type: 'deleted', key, object: old.object, previous: old.object }];
  }

  #index(name: string, key: string, object: T): void {
    const { values, keys } = this.#indexes.get(name)!;
    for (const value of values(object)) {
      const set = keys.get(value);
      if (set) set.add(key);
      else keys.set(value, new Set([key]));
    }
  }

  #unindex(key: string, object: T): void {
    for (const { values, keys } of this.#indexes.values()) {
      for (const value of values(object)) {
        const set = keys.get(value);
        set?.delete(key);
        if (set?.size === 0) keys.delete(value);
      }
    }
  }
}

/** Resource versions of one resource are comparable integers (KEP-5504). A server whose versions are not is taken at its word. */
const isNewer = (version: string, than: string): boolean =>
  /^\d+$/.test(version) && /^\d+$/.test(than) ? BigInt(version) > BigInt(than) : version !== than;
