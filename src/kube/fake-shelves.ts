import { ApiError, type KubeObject, type ListOptions, type Resource } from './api.ts';
import { key as keyOf } from './objects.ts';
import { qualifiedName } from './resources.ts';
import { matches, matchesFields, parseFieldSelector, parseSelector } from './selectors.ts';

/** An object as the model handles it. */
export interface Stored extends KubeObject {
  spec?: Record<string, unknown>;
  status?: Record<string, unknown>;
}

/** One change of one object. */
export interface Version {
  at: number;
  key: string;
  before: Stored | undefined;
  after: Stored | undefined;
}

/** All objects of a kind. */
export interface Shelf {
  resource: Resource;
  objects: Map<string, Stored>;
  /** Every version since the last compaction, oldest first. */
  history: Version[];
  compactedAt: number;
  watchers: Set<(version: Version) => void>;
}

/** What FakeApi keeps: objects by kind, and every version of them. */
export class Shelves {
  readonly #shelves = new Map<string, Shelf>();
  /** The resource version of the last change. */
  version = 1;

  /** Forgets all history. */
  compact(): void {
    for (const shelf of this.#shelves.values()) {
      shelf.history = [];
      shelf.compactedAt = this.version;
    }
  }

  /** By the name that its objects have in paths, if there were ever some. */
  named(name: string): Shelf | undefined {
    return this.#shelves.get(name);
  }

  shelf(resource: Resource): Shelf {
    const name = qualifiedName(resource);
    let shelf = this.#shelves.get(name);
    if (!shelf) {
      shelf = { resource, objects: new Map(), history: [], compactedAt: 0, watchers: new Set() };
      this.#shelves.set(name, shelf);
    }
    return shelf;
  }

  /** @throws ApiError 404 */
  existing(resource: Resource, name: string, namespace?: string): Stored {
    const found = this.shelf(resource).objects.get(namespace ? `${namespace}/${name}` : name);
    if (!found) throw new ApiError(404, 'NotFound', `${qualifiedName(resource)} "${name}" not found`);
    return found;
  }

  put(resource: Resource, object: Stored): Stored {
    const at = ++this.version;
    return this.#record(resource, at, { ...object, metadata: { ...object.metadata, resourceVersion: String(at) } })!;
  }

  /** @returns the object as it was */
  remove(resource: Resource, object: Stored): Stored {
    this.#record(resource, ++this.version, undefined, keyOf(object));
    return object;
  }

  #record(resource: Resource, at: number, after: Stored | undefined, key = keyOf(after!)): Stored | undefined {
    const shelf = this.shelf(resource);
    const version = { at, key, before: shelf.objects.get(key), after };
    if (after) shelf.objects.set(key, after);
    else shelf.objects.delete(key);
    shelf.history.push(version);
    for (const watcher of [...shelf.watchers]) watcher(version);
    return after;
  }
}

/** Whether an object is asked for. */
export function selection(options: ListOptions): (object: Stored) => boolean {
  const labels = parseSelector(options.labelSelector ?? '');
  const fields = parseFieldSelector(options.fieldSelector ?? '');
  return (object) =>
    (!options.namespace || object.metadata.namespace === options.namespace) &&
    matches(labels, object.metadata.labels) &&
    matchesFields(fields, object);
}
