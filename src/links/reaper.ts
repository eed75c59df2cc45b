import type { NetNs } from '../kernel/netns.ts';
import { SpareThread } from '../kernel/spare-thread.ts';
import { KernelThread } from '../kernel/thread.ts';

/** So many ms are waited for more links: the first of a group costs 20 ms, each further one 0.4 ms. */
const gatherMs = 30;
/** A deletion that failed is tried again after so long, then after twice as long each time, up to `slowestMs`. */
const retryMs = 1000;
const slowestMs = 60_000;

export interface ReaperOptions {
  /** The thread that deletes: it answers each message with what went wrong, or with undefined. */
  open?: (ns: NetNs, onAnswer: (failure: Error | undefined) => void) => KernelThread;
  /** Default 1 s. */
  retryMs?: number;
}

const startThread: NonNullable<ReaperOptions['open']> = (ns, onAnswer) =>
  KernelThread.start(new URL('./reaper-worker.js', import.meta.url), ns, onAnswer);

/**
 * Deletes the links of the deletion group in a thread of its own, since the kernel lets the deleter wait for RCU. Most are gone by then, with the namespace
 * of their pod. No DEL waits for that thread to start, but for those with `cni.waitForDeletion`. What fails is tried again until it does not: no later DEL is needed for it.
 */
export class Reaper implements Disposable {
  readonly #retryMs: number;
  #failures = 0;
  readonly #thread: SpareThread;
  #timer: NodeJS.Timeout | undefined;
  /** When `#timer` ends, by performance.now(). */
  #due = 0;
  /** A request is under way; another is wanted after it. */
  #busy = false;
  #again = false;
  #waiting: { resolve: () => void; reject: (error: Error) => void }[] = [];
  #failure: Error | undefined;
  #disposed = false;

  constructor(ns: NetNs, options: ReaperOptions = {}) {
    const { open = startThread } = options;
    this.#thread = new SpareThread(() => open(ns, (failure) => this.#done(failure)));
    this.#retryMs = options.retryMs ?? retryMs;
  }

  /** What the last deletion failed with; undefined when there is nothing to try again. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Links have been put into the group. */
  schedule(): void {
    if (this.#disposed) return;
    this.#again = true;
    this.#startIn(gatherMs);
  }

  /** Waits until all links that were in the group when it was called are gone. @throws what deletion fails with now; it is tried again all the same */
  drain(): Promise<void> {
    if (!this.#busy && !this.#again) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#start();
    });
  }

  /** Fulfilled when nothing of it runs any more; after dispose. */
  get ended(): Promise<void> {
    return this.#thread.ended;
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    clearTimeout(this.#timer);
    this.#thread.rest();
    this.#settle();
  }

  #start(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#busy || !this.#again || this.#disposed) return;
    this.#busy = true;
    this.#again = false;
    this.#thread.post('delete');
  }

  /** Sooner than a start that is due later, not later than one that is due sooner: `schedule` after a failure does not wait for the retry. */
  #startIn(ms: number): void {
    if (this.#timer !== undefined && this.#due <= performance.now() + ms) return;
    clearTimeout(this.#timer);
    this.#due = performance.now() + ms;
    this.#timer = setTimeout(() => this.#start(), ms).unref();
  }

  #done(failure: Error | undefined): void {
    this.#busy = false;
    if (this.#disposed) return;
    this.#failure = failure;
    this.#failures = failure ? this.#failures + 1 : 0;
    // It may not have survived.
    if (failure) this.#thread.rest();
    if (this.#again && !failure) {
      this.#start();
      return;
    }
    this.#settle();
    if (!failure) {
      this.#thread.answered();
      return;
    }
    this.#again = true;
    this.#startIn(Math.min(slowestMs, this.#retryMs * 2 ** (this.#failures - 1)));
  }

  #settle(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { resolve, reject } of waiting) this.#failure ? reject(this.#failure) : resolve();
  }
}
