import { type Api, ApiError, isExpired, type KubeObject, type Resource, type WatchEvent } from './api.ts';
import { Backoff } from './backoff.ts';
import { DoubtError, EmptyDoubt } from './empty-doubt.ts';
import { key as keyOf } from './objects.ts';
import { type Cached, type Change, ObjectStore } from './store.ts';
import { isTooNew, isWatchListUnknown, Watch } from './watch.ts';

export type { Change } from './store.ts';

export interface InformerOptions<O extends KubeObject, T = O> {
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
  /** Keeps only what is needed of each object, in the moment it is parsed. Without it, whole objects are kept. */
  project?: (object: O) => T;
  /** Name → the values under which an object is found again by `byIndex`. */
  indexes?: Record<string, (object: T) => readonly string[]>;
  onChange?: ChangeListener<T>;
  /** A failed list or watch; it is tried again after `retryMs`. For status and logs. */
  onError?: (error: Error, retryMs: number) => void;
  /** Objects for each page when the server has no WatchList. */
  pageSize?: number;
  /** First and longest wait after a failure, in milliseconds; each is jittered. */
  backoffMs?: { first: number; longest: number };
  /** Seconds that a watch lasts; a random number between both spreads reconnects. */
  watchSeconds?: { least: number; most: number };
  /**
   * F13: a snapshot without objects, where there were some, counts when another one, asked for so much later, has none either (milliseconds). What is known stays until then. Without it
   * the server is believed at once. That the watch tells of the end of each needs nothing more.
   */
  confirmEmptyMs?: number;
  /** HTTP status codes by which a server that had this kind says that it has none of it: an empty snapshot, that is confirmed by another one. Only with `confirmEmptyMs`. */
  absentCodes?: readonly number[];
}

/**
 * Gets what changed since the last call, in the order it happened. The cache is already as new as the last change of the batch. An
 * exception is a fault of the program and is thrown out of the event loop (`uncaughtException`), not hidden.
 */
export type ChangeListener<T> = (changes: readonly Change<T>[]) => void;

/**
 * A cache of one resource, kept equal to the server by list and watch, that tells of every change. Works with any `Api`.
 *
 *     (start) ──► WatchList ──bookmark──► watching ──end of stream──► watch again from the last resourceVersion
 *        ▲ │ not supported                    │
 *        │ └────► list by pages ──────────────┤
 *        └──────────── backoff ◄── 410 Gone, error
 *
 * Nothing is delivered or removed on a partial list: a snapshot replaces the cache as a whole, by one diff, so changes that happened
 * while the connection was down arrive as changes. Objects in the cache are shared: never change them.
 */
export class Informer<O extends KubeObject, T = O> implements Disposable {
  readonly resource: Resource;
  /** Fulfilled when the first whole snapshot is in the cache and was delivered. Never rejects: errors are tried again. */
  readonly synced: Promise<void>;
  readonly #api: Api;
  readonly #options: InformerOptions<O, T>;
  readonly #store: ObjectStore<T>;
  readonly #listeners = new Set<ChangeListener<T>>();
  readonly #backoff: Backoff;
  readonly #waiting = new Set<{ met: () => boolean; resolve: () => void }>();
  #markSynced!: () => void;
  #hasSynced = false;
  #running = false;
  #watchListWorks = true;
  /** Where to go on watching; undefined: a snapshot is needed. */
  #resourceVersion: string | undefined;
  #pending: Change<T>[] = [];
  #flushScheduled: NodeJS.Immediate | undefined;
  #watching: Watch<O, T> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #lastError: Error | undefined;
  readonly #doubt: EmptyDoubt;
  /** Until what the server is doubted in is asked for again. What it tells meanwhile is heard. */
  #asking: NodeJS.Timeout | undefined;
  /** The resourceVersion of a list that is doubted. */
  #doubtedVersion: string | undefined;
  #refreshing: (() => void)[] = [];

  constructor(api: Api, resource: Resource<O>, options: InformerOptions<O, T> = {}) {
    this.#api = api;
    this.resource = resource;
    this.#options = options;
    this.#store = new ObjectStore(options.indexes ?? {});
    this.#doubt = new EmptyDoubt(resource, options.confirmEmptyMs ?? 0);
    this.#backoff = new Backoff(options.backoffMs?.first ?? 100, options.backoffMs?.longest ?? 30_000);
    this.synced = new Promise((resolve) => {
      this.#markSynced = resolve;
    });
    if (options.onChange) this.#listeners.add(options.onChange);
  }

  start(): this {
    if (this.#running) return this;
    this.#running = true;
    void this.#next();
    return this;
  }

  /** Ends the watch. What is in the cache stays readable; no listener is called any more. */
  stop(): void {
    this.#running = false;
    this.#watching?.close();
    this.#watching = undefined;
    clearTimeout(this.#timer);
    clearTimeout(this.#asking);
    clearImmediate(this.#flushScheduled);
    for (const waiting of this.#waiting) waiting.resolve();
    this.#waiting.clear();
    this.#refreshed();
  }

  [Symbol.dispose](): void {
    this.stop();
  }

  get isSynced(): boolean {
    return this.#hasSynced;
  }

  /** Why the cache is not known to be current, while it is not. */
  get error(): Error | undefined {
    return this.#lastError;
  }

  get size(): number {
    return this.#store.size;
  }

  /** @param key `namespace/name`, or `name` of what has no namespace */
  get(key: string): T | undefined {
    return this.#store.get(key)?.object;
  }

  list(): T[] {
    return this.#store.list();
  }

  keys(): IterableIterator<string> {
    return this.#store.keys();
  }

  byIndex(index: string, value: string): T[] {
    return this.#store.byIndex(index, value);
  }

  /** Adds an index also to what is already cached. The same name again is the same index. */
  addIndex(name: string, values: (object: T) => readonly string[]): void {
    this.#store.addIndex(name, values);
  }

  /** Hears of all that is in the cache (as `added`) and of every change from then on. Returns the end of it. */
  onChange(listener: ChangeListener<T>): () => void {
    this.#flush();
    const present = [...this.#store.entries()].map(([key, object]): Change<T> => ({ type: 'added', key, object }));
    this.#listeners.add(listener);
    if (present.length > 0) listener(present);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Waits until the cache includes a write: the defence against acting on a cache older than one's own writes (ES14). Resource versions are
   * compared as numbers (KEP-5504). Fulfilled also by `stop`.
   */
  hasSeen(resourceVersion: string | undefined): Promise<void> {
    const wanted = Number(resourceVersion);
    return Number.isNaN(wanted) ? Promise.resolve() : this.#until(() => Number(this.#store.newest) >= wanted);
  }

  /** Asks for a snapshot anew. Fulfilled when it is in the cache, or by `stop`. */
  refresh(): Promise<void> {
    if (!this.#running) return Promise.resolve();
    const done = new Promise<void>((resolve) => this.#refreshing.push(resolve));
    this.#resourceVersion = undefined;
    if (this.#watching) {
      this.#watching.close();
      this.#watching = undefined;
      void this.#next();
    }
    return done;
  }

  /** Waits until the cache knows that this very object is gone, or about to go. */
  hasSeenDeletion(key: string, uid: string | undefined): Promise<void> {
    return this.#until(() => {
      const entry = this.#store.get(key);
      return !entry || entry.uid !== uid || entry.deleting;
    });
  }

  #until(met: () => boolean): Promise<void> {
    if (!this.#running || met()) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.add({ met, resolve }));
  }

  async #next(): Promise<void> {
    if (!this.#running) return;
    try {
      if (this.#resourceVersion === undefined && !this.#watchListWorks) await this.#listByPages();
      if (this.#running) this.#watch();
    } catch (error) {
      this.#retry(error as Error);
    }
  }

  async #listByPages(): Promise<void> {
    const { namespace, labelSelector, fieldSelector, pageSize: limit = 500 } = this.#options;
    const snapshot = new Map<string, Cached<T>>();
    let next: string | undefined;
    let version: string;
    do {
      const page = await this.#api.list<O>(this.resource as Resource<O>, {
        ...{ namespace, labelSelector, fieldSelector, limit },
        ...(next ? { continue: next } : {}),
      });
      for (const object of page.items) snapshot.set(keyOf(object), this.#cached(object));
      version = page.metadata.resourceVersion;
      next = page.metadata.continue;
    } while (next && this.#running);
    if (!this.#running) return;
    const doubt = this.#doubt.of(snapshot.size, this.#store.size);
    if (!doubt) this.#replace(snapshot, version);
    else {
      this.#doubtedVersion = version;
      this.#askAgain(doubt);
    }
  }

  #watch(): void {
    const { namespace, labelSelector, fieldSelector, watchSeconds = { least: 300, most: 600 } } = this.#options;
    this.#watching = new Watch<O, T>({
      api: this.#api,
      resource: this.resource as Resource<O>,
      selection: { namespace, labelSelector, fieldSelector },
      resourceVersion: this.#resourceVersion ?? this.#doubtedVersion,
      timeoutSeconds: Math.round(watchSeconds.least + Math.random() * (watchSeconds.most - watchSeconds.least)),
      cached: (object) => this.#cached(object),
      onSnapshot: (snapshot, resourceVersion) => {
        const doubt = this.#doubt.of(snapshot.size, this.#store.size);
        if (doubt) this.#askAgain(doubt);
        else this.#replace(snapshot, resourceVersion);
      },
      onEvent: (event) => this.#apply(event),
      onEnd: (watch, error) => this.#watchEnded(watch, error),
    });
    this.#watching.open();
  }

  #watchEnded({ isInitial, livedMs }: Watch<O, T>, error: Error | undefined): void {
    this.#watching = undefined;
    if (!this.#running) return;
    // Neither a snapshot nor an event by itself is a sign of health: a server that answers each watch with 410 would be listed without pause.
    this.#backoff.lived(livedMs);
    // It begins anew with what is asked for then.
    if (this.#asking) return;
    // A clean end is the server's time-out; one at once may be a server that refuses.
    if (!error && livedMs > 1000) {
      void this.#next();
      return;
    }
    if (isInitial && isWatchListUnknown(error)) this.#watchListWorks = false;
    else if (isExpired(error) || isTooNew(error)) this.#resourceVersion = undefined;
    this.#retry(error);
  }

  #apply(event: WatchEvent<O>): void {
    const { resourceVersion } = event.object.metadata;
    if (Number(resourceVersion) < Number(this.#resourceVersion)) {
      // A server that lags behind the one before, or whose store was put back (F14): it is asked for all that there is, which it answers by its store.
      const before = this.#resourceVersion;
      this.#watching?.close();
      this.#watching = undefined;
      this.#resourceVersion = undefined;
      this.#retry(new Error(`watch ${this.resource.plural}: version ${resourceVersion} came after ${before}`));
      return;
    }
    // One object does not answer for all others.
    if (!this.#asking) {
      this.#resourceVersion = resourceVersion;
      this.#lastError = undefined;
      this.#doubt.end();
    }
    this.#store.newest = resourceVersion;
    if (event.type !== 'BOOKMARK') {
      const key = keyOf(event.object);
      if (event.type === 'DELETED') this.#pending.push(...this.#store.delete(key, event.object.metadata));
      else this.#pending.push(...this.#store.set(key, this.#cached(event.object)));
    }
    this.#scheduleFlush();
  }

  #replace(snapshot: Map<string, Cached<T>>, resourceVersion: string): void {
    // Whoever listens later hears of what is there then.
    const changes = this.#store.replace(snapshot);
    if (this.#listeners.size > 0) this.#pending = this.#pending.concat(changes);
    this.#resourceVersion = resourceVersion;
    this.#store.newest = resourceVersion;
    this.#lastError = undefined;
    this.#believe();
    this.#flush();
    if (!this.#hasSynced) {
      this.#hasSynced = true;
      this.#markSynced();
    }
    this.#refreshed();
  }

  /** What is known stays, and what the server tells from here on comes to it, until another snapshot counts (F13). */
  #askAgain(doubt: DoubtError): void {
    const waitMs = Math.ceil(this.#doubt.leftMs) + 1;
    this.#lastError = doubt;
    this.#options.onError?.(doubt, waitMs);
    clearTimeout(this.#asking);
    this.#asking = setTimeout(() => {
      this.#asking = undefined;
      this.#doubtedVersion = undefined;
      this.#resourceVersion = undefined;
      this.#watching?.close();
      this.#watching = undefined;
      void this.#next();
    }, waitMs);
  }

  #believe(): void {
    this.#doubt.end();
    clearTimeout(this.#asking);
    this.#asking = undefined;
    this.#doubtedVersion = undefined;
  }

  #refreshed(): void {
    for (const resolve of this.#refreshing.splice(0)) resolve();
  }

  /** The server does not have the kind any more, of which it had some objects. */
  #isGone(error: unknown): boolean {
    const { confirmEmptyMs, absentCodes = [] } = this.#options;
    return confirmEmptyMs !== undefined && this.#hasSynced && error instanceof ApiError && absentCodes.includes(error.code);
  }

  #cached(object: O): Cached<T> {
    const { resourceVersion, uid, deletionTimestamp } = object.metadata;
    const kept = this.#options.project ? this.#options.project(object) : (object as unknown as T);
    return { object: kept, resourceVersion: resourceVersion ?? '', uid, deleting: deletionTimestamp !== undefined };
  }

  #scheduleFlush(): void {
    this.#flushScheduled ??= setImmediate(() => {
      this.#flushScheduled = undefined;
      this.#flush();
    });
  }

  #flush(): void {
    const changes = this.#pending;
    this.#pending = [];
    if (this.#running) {
      for (const waiting of this.#waiting) {
        if (!waiting.met()) continue;
        this.#waiting.delete(waiting);
        waiting.resolve();
      }
    }
    if (changes.length > 0) for (const listener of this.#listeners) listener(changes);
  }

  #retry(error: Error | undefined): void {
    if (!this.#running) return;
    if (error && this.#isGone(error)) {
      this.#resourceVersion = undefined;
      const doubt = this.#doubt.of(0, this.#store.size);
      if (doubt) error = doubt;
      else if (this.#store.size > 0) this.#replace(new Map(), '');
      this.#resourceVersion = undefined;
    }
    // Of an answer that is doubted another one is wanted, and not before it can count.
    const waitMs = error instanceof DoubtError ? Math.ceil(this.#doubt.leftMs) + 1 : this.#backoff.next();
    if (error) {
      this.#lastError = error;
      this.#options.onError?.(error, waitMs);
    }
    this.#timer = setTimeout(() => void this.#next(), waitMs);
  }
}
