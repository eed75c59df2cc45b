import { isConflict, isNotFound } from '../kube/api.ts';
import { Backoff } from '../kube/backoff.ts';

export interface WorkQueueOptions {
  /** Brings one key to where it should be. A number asks to be called again after so many milliseconds. */
  work: (key: string) => Promise<number | undefined> | Promise<void>;
  /** How many different keys are worked on at once. */
  concurrency?: number;
  /** A key that failed; it is tried again after `retryMs`. Conflicts are not told: they are how optimistic locking works. */
  onError?: (key: string, error: Error, retryMs: number) => void;
}

/**
 * Keys waiting for work, each once. A key is never worked on twice at the same time: what is added meanwhile runs afterwards. Failures wait
 * ever longer. Work is by level: what the key needs is read when it runs, not when it was added.
 */
export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #waiting = new Set<string>();
  readonly #running = new Set<string>();
  readonly #timers = new Map<string, { timer: NodeJS.Timeout; at: number }>();
  readonly #failures = new Map<string, Backoff>();
  #open = false;
  #stopped = false;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  /** Until now keys were only collected. */
  start(): void {
    this.#open = true;
    this.#pump();
  }

  stop(): void {
    this.#stopped = true;
    this.#waiting.clear();
    for (const { timer } of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  get isIdle(): boolean {
    return this.#waiting.size === 0 && this.#running.size === 0;
  }

  add(key: string): void {
    if (this.#stopped) return;
    this.#waiting.add(key);
    this.#pump();
  }

  /** Adds the key later; of several waits the shortest counts. */
  addAfter(key: string, ms: number): void {
    if (this.#stopped) return;
    const at = Date.now() + ms;
    const waiting = this.#timers.get(key);
    if (waiting && waiting.at <= at) return;
    clearTimeout(waiting?.timer);
    const fire = (): void => {
      this.#timers.delete(key);
      this.add(key);
    };
    // Timers hold 31 bits; whatever is later is looked at again then.
    this.#timers.set(key, { at, timer: setTimeout(fire, Math.min(ms, 2 ** 31 - 1)) });
  }

  #pump(): void {
    if (!this.#open) return;
    for (const key of this.#waiting) {
      if (this.#running.size >= (this.#options.concurrency ?? 16)) return;
      if (this.#running.has(key)) continue;
      this.#waiting.delete(key);
      this.#running.add(key);
      void this.#run(key);
    }
  }

  async #run(key: string): Promise<void> {
    // Not within the caller's stack, and after what else this turn of the event loop adds.
    await Promise.resolve();
    try {
      const againMs = await this.#options.work(key);
      this.#failures.delete(key);
      if (typeof againMs === 'number') this.addAfter(key, againMs);
    } catch (error) {
      if (!this.#stopped) this.#failed(key, error as Error);
    }
    this.#running.delete(key);
    if (!this.#stopped) this.#pump();
  }

  #failed(key: string, error: Error): void {
    const before = this.#failures.get(key);
    const backoff = before ?? new Backoff(10, 30_000);
    this.#failures.set(key, backoff);
    const retryMs = backoff.next();
    // What was written to may have changed or gone while the watch was behind; the next run sees it. Gone twice is worth a word.
    const stale = isConflict(error) || (isNotFound(error) && before === undefined);
    if (!stale) this.#options.onError?.(key, error, retryMs);
    this.addAfter(key, retryMs);
  }
}
