import type { Resource } from '../../kube/api.ts';
import { qualifiedName } from '../../kube/resources.ts';
import { expired, tooLargeVersion } from '../errors.ts';
import type { StoredObject } from '../object.ts';
import { continueToken, readContinueToken } from './continue.ts';
import { Change, Entry } from './entry.ts';
import type { Selection } from './selection.ts';
import { type Position, Shelf } from './shelf.ts';

export interface StoreOptions {
  /** The resourceVersion before the first write. Versions of an earlier life should be smaller, so that their watches end with 410. */
  firstVersion?: number;
  /** At least so many changes of each resource can be watched from the past. */
  history?: number;
}

export interface Page {
  entries: Entry[];
  version: number;
  continue?: string;
  /** Only known without selectors, as in the real server. */
  remaining?: number;
}

export interface PageOptions {
  limit?: number;
  continue?: string;
  /** Exactly this version rather than the newest. */
  version?: number;
}

/**
 * All objects, in memory and only there. Every write has a version of its own, rising over all resources (KEP-5504). Everything is
 * synchronous: what runs between two awaits is a transaction.
 */
export class Store {
  readonly #shelves = new Map<string, Shelf>();
  readonly #history: number;
  readonly #first: number;
  #version: number;

  constructor(options: StoreOptions = {}) {
    this.#first = this.#version = options.firstVersion ?? 1;
    this.#history = options.history ?? 4096;
  }

  get version(): number {
    return this.#version;
  }

  get(resource: Resource, namespace: string | undefined, name: string): Entry | undefined {
    return this.#shelf(resource).get(namespace ?? '', name);
  }

  count(resource: Resource): number {
    return this.#shelf(resource).size;
  }

  /** All objects now, by namespace and name. */
  all(resource: Resource, namespace?: string): Iterable<Entry> {
    return this.#shelf(resource).walk(namespace);
  }

  /** Writes an object, new or changed, with the next version. It is frozen from here on. */
  put(resource: Resource, object: StoredObject): Entry {
    const { namespace = '', name } = object.metadata;
    const version = ++this.#version;
    const entry = new Entry({ ...object, metadata: { ...object.metadata, resourceVersion: String(version) } }, version);
    const shelf = this.#shelf(resource);
    shelf.record(new Change(version, namespace, name, shelf.get(namespace, name), entry));
    return entry;
  }

  /** Removes an object; gives its last state, with the version of the removal. Absent: undefined. */
  remove(resource: Resource, namespace: string | undefined, name: string): Entry | undefined {
    const shelf = this.#shelf(resource);
    const before = shelf.get(namespace ?? '', name);
    if (!before) return undefined;
    const change = new Change(++this.#version, namespace ?? '', name, before, undefined);
    shelf.record(change);
    return change.seen(true, false)!.entry;
  }

  /** @throws ApiError 410 when the continue token or the version is too old, 400 when the token is none */
  list(resource: Resource, selection: Selection, options: PageOptions = {}): Page {
    const shelf = this.#shelf(resource);
    const token = options.continue ? readContinueToken(options.continue) : undefined;
    const version = token?.version ?? options.version ?? this.#version;
    if (version > this.#version) throw tooLargeVersion(String(version), this.#version);
    if (version < shelf.forgotten && version !== this.#version)
      throw expired(token ? tooOldToken : `The resourceVersion for the provided list is too old.`);
    const { limit = 0 } = options;
    if (selection.name !== undefined && selection.namespace !== undefined && version === this.#version && !token) {
      const one = shelf.get(selection.namespace, selection.name);
      return { entries: one && selection.matches(one.object) ? [one] : [], version };
    }
    const entries: Entry[] = [];
    let more = false;
    let remaining = 0;
    for (const entry of shelf.walkAt(version, selection.namespace, token?.after)) {
      if (!selection.matches(entry.object)) continue;
      if (limit > 0 && entries.length === limit) {
        more = true;
        if (!selection.everything) break;
        remaining++;
      } else entries.push(entry);
    }
    if (!more) return { entries, version };
    const { namespace = '', name } = entries.at(-1)!.object.metadata;
    const after: Position = { namespace, name };
    return {
      entries,
      version,
      continue: continueToken({ version, after }),
      ...(selection.everything ? { remaining } : {}),
    };
  }

  /**
   * Tells every change after a version, first those of the past (at once, before this returns), then new ones as they are written.
   * @throws ApiError 410 when the version is too old, 504 when it is not there yet
   */
  watch(resource: Resource, from: number, watcher: (change: Change) => void): { close(): void } {
    const shelf = this.#shelf(resource);
    if (from > this.#version) throw tooLargeVersion(String(from), this.#version);
    if (from < shelf.forgotten) throw expired(`too old resource version: ${from} (${shelf.forgotten})`);
    for (const change of shelf.since(from)) watcher(change);
    shelf.watchers.add(watcher);
    return { close: () => void shelf.watchers.delete(watcher) };
  }

  /** Forgets the past of every resource: watches from before now end with 410. */
  compact(): void {
    for (const shelf of this.#shelves.values()) shelf.compact(this.#version);
  }

  get watchers(): number {
    let sum = 0;
    for (const shelf of this.#shelves.values()) sum += shelf.watchers.size;
    return sum;
  }

  #shelf(resource: Resource): Shelf {
    const name = qualifiedName(resource);
    let shelf = this.#shelves.get(name);
    // Nothing was ever written to a new shelf, so its past is known back to the first version.
    if (!shelf) this.#shelves.set(name, (shelf = new Shelf(this.#history, this.#first)));
    return shelf;
  }
}

const tooOldToken =
  'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.';
