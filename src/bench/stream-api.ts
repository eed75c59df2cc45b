import { openSync, readSync } from 'node:fs';
import { type Api, initialEventsEnd, type KubeObject, type List, type ListOptions, type Resource, type WatchEvent, type WatchOptions } from '../kube/api.ts';
import { FakeApi } from '../kube/fake.ts';
import { LineSplitter } from '../kube/lines.ts';

const chunkBytes = 1 << 16;

/**
 * An API server whose Services and EndpointSlices are lines of JSON in files: they come in chunks and are parsed one by one, as those of a connection are, and
 * nothing is kept of them here. Everything else is of a model in memory.
 */
export class StreamApi extends FakeApi {
  readonly #files: ReadonlyMap<string, string>;
  readonly #watches = new Map<string, Set<(event: WatchEvent<KubeObject>) => void>>();
  readonly #onList: () => void;

  /**
   * @param files by plural
   * @param onList called when one of them is asked for
   */
  constructor(files: ReadonlyMap<string, string>, onList: () => void) {
    super();
    this.#files = files;
    this.#onList = onList;
  }

  override watch<T extends KubeObject>(
    resource: Resource<T>,
    onEvent: (event: WatchEvent<T>) => void,
    options: WatchOptions,
  ): ReturnType<Api['watch']> {
    const file = this.#files.get(resource.plural);
    if (file === undefined) return super.watch(resource, onEvent, options);
    this.#onList();
    let open = true;
    // A watch that goes on where a list ended.
    const listed = !options.sendInitialEvents && options.resourceVersion !== undefined && options.resourceVersion !== '0';
    const watches = this.#watches.get(resource.plural) ?? new Set();
    this.#watches.set(resource.plural, watches.add(onEvent as (event: WatchEvent<KubeObject>) => void));
    if (!listed) void stream(file, (line) => open && onEvent({ type: 'ADDED', object: JSON.parse(line.toString()) as T })).then(() => {
      const metadata = { name: '', resourceVersion: '1', annotations: { [initialEventsEnd]: 'true' } };
      if (open) onEvent({ type: 'BOOKMARK', object: { metadata } as unknown as T });
    });
    return {
      close: () => {
        open = false;
        watches.delete(onEvent as (event: WatchEvent<KubeObject>) => void);
      },
    };
  }

  /** For who does not stream lists. All at once. */
  override async list<T extends KubeObject>(resource: Resource<T>, options: ListOptions = {}): Promise<List<T>> {
    const file = this.#files.get(resource.plural);
    if (file === undefined) return super.list(resource, options);
    const items: T[] = [];
    await stream(file, (line) => items.push(JSON.parse(line.toString()) as T));
    return { items, metadata: { resourceVersion: '1' } };
  }

  /** One event of all watches. @param line the object as JSON */
  emit(resource: Resource, type: 'ADDED' | 'MODIFIED' | 'DELETED', line: string): void {
    for (const onEvent of this.#watches.get(resource.plural) ?? []) onEvent({ type, object: JSON.parse(line) as KubeObject });
  }
}

/** Others get their turn after each chunk. */
async function stream(file: string, onLine: (line: Buffer) => unknown): Promise<void> {
  const fd = openSync(file, 'r');
  const lines = new LineSplitter((line) => void onLine(line));
  for (;;) {
    const chunk = Buffer.allocUnsafeSlow(chunkBytes);
    const length = readSync(fd, chunk);
    if (length === 0) return;
    lines.write(chunk.subarray(0, length));
    await new Promise(setImmediate);
  }
}
