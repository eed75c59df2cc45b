import { type Api, ApiError, initialEventsEnd, type KubeObject, type Resource, type WatchEvent } from './api.ts';
import { key } from './objects.ts';
import type { Cached } from './store.ts';

export interface WatchParts<O extends KubeObject, T> {
  api: Api;
  resource: Resource<O>;
  selection: { namespace: string | undefined; labelSelector: string | undefined; fieldSelector: string | undefined };
  /** Where to go on; without one all present objects come first (WatchList). */
  resourceVersion: string | undefined;
  timeoutSeconds: number;
  cached: (object: O) => Cached<T>;
  /** All present objects, as one. */
  onSnapshot: (objects: Map<string, Cached<T>>, resourceVersion: string) => void;
  /** What changed since; every one has a resourceVersion. */
  onEvent: (event: WatchEvent<O>) => void;
  /** Once, unless it is closed before: without error at a clean end behind the snapshot. */
  onEnd: (watch: Watch<O, T>, error?: Error) => void;
}

/** One watch of a resource, from its first event to its end: collects the present objects, tells what comes behind them, and doubts a stream that does not end in time. */
export class Watch<O extends KubeObject, T> {
  readonly #parts: WatchParts<O, T>;
  readonly #openedAt = performance.now();
  readonly #watchdog: NodeJS.Timeout;
  /** Until all present objects have come. */
  #snapshot: Map<string, Cached<T>> | undefined;
  #stream: { close(): void } | undefined;
  #isOver = false;

  constructor(parts: WatchParts<O, T>) {
    this.#parts = parts;
    const { resource, timeoutSeconds } = parts;
    if (this.isInitial) this.#snapshot = new Map();
    // A server that does not end the watch in time is not trusted to send events either.
    this.#watchdog = setTimeout(
      () => this.#end(new Error(`watch ${resource.plural}: not ended ${timeoutSeconds + 60} s after its start`)),
      (timeoutSeconds + 60) * 1000,
    ).unref();
  }

  /** It begins with the present objects. */
  get isInitial(): boolean {
    return this.#parts.resourceVersion === undefined;
  }

  get livedMs(): number {
    return performance.now() - this.#openedAt;
  }

  /** Events, and the end, may come before this returns. */
  open(): void {
    const { api, resource, selection, resourceVersion, timeoutSeconds } = this.#parts;
    this.#stream = api.watch<O>(resource, (event) => this.#hear(event), {
      ...{ ...selection, timeoutSeconds },
      ...(resourceVersion === undefined ? { sendInitialEvents: true } : { resourceVersion }),
      allowWatchBookmarks: true,
      onEnd: (error) => this.#end(error),
    });
    if (this.#isOver) this.#stream.close();
  }

  /** Nothing is told any more. */
  close(): void {
    this.#isOver = true;
    clearTimeout(this.#watchdog);
    this.#stream?.close();
  }

  #end(error?: Error): void {
    if (this.#isOver) return;
    this.close();
    const cut = this.#snapshot && `watch ${this.#parts.resource.plural}: the stream ended before all present objects had come`;
    this.#parts.onEnd(this, error ?? (cut ? new Error(cut) : undefined));
  }

  #hear(event: WatchEvent<O>): void {
    if (this.#isOver) return;
    if (event.type === 'ERROR') {
      const status = event.object as unknown as { code?: number; reason?: string; message?: string };
      this.#end(new ApiError(status.code ?? 0, status.reason ?? 'Unknown', status.message ?? 'the watch failed'));
      return;
    }
    const metadata = event.object?.metadata;
    if (!metadata?.resourceVersion) {
      this.#end(new Error(`watch ${this.#parts.resource.plural}: an event without resourceVersion`));
      return;
    }
    if (!this.#snapshot) this.#parts.onEvent(event);
    else if (event.type === 'DELETED') this.#snapshot.delete(key(event.object));
    else if (event.type !== 'BOOKMARK') this.#snapshot.set(key(event.object), this.#parts.cached(event.object));
    else if (metadata.annotations?.[initialEventsEnd] === 'true') this.#complete(this.#snapshot, metadata.resourceVersion);
  }

  #complete(snapshot: Map<string, Cached<T>>, resourceVersion: string): void {
    this.#snapshot = undefined;
    this.#parts.onSnapshot(snapshot, resourceVersion);
  }
}

/** The server has not come as far as the cache: it has begun anew (the lab's keeps its state in memory only). */
export const isTooNew = (error: unknown): boolean => error instanceof ApiError && /too large resource version/i.test(error.message);

/** Servers older than 1.32, or without the WatchList feature, answer 422 or 400 and name the field. */
export const isWatchListUnknown = (error: unknown): boolean =>
  error instanceof ApiError &&
  (error.code === 422 || error.code === 400) &&
  /sendInitialEvents|resourceVersionMatch|WatchList/i.test(error.message);
