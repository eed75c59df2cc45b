/** Time, so that tests need not wait. */
export interface Clock {
  now(): number;
  /** @returns a function that cancels */
  after(ms: number, fn: () => void): () => void;
}

const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, fn) {
    // A timer takes a millisecond at least, in which a processor with nothing else to do goes to sleep, and all that the next step needs leaves its caches.
    if (ms === 0) {
      const next = setImmediate(fn);
      return () => clearImmediate(next);
    }
    const timer = setTimeout(fn, ms);
    return () => clearTimeout(timer);
  },
};

export interface RunnerOptions {
  /** Work that comes sooner after the last run waits and is done together. */
  minIntervalMs?: number;
  /** A full check at least this often. */
  maxIntervalMs?: number;
  /** After a failed run: first wait, doubled up to the longest. */
  retryMs?: number;
  maxRetryMs?: number;
  clock?: Clock;
  /** Called with what `run` threw. */
  onError?: (error: unknown) => void;
}

/** @returns false (or throws) when something is to be tried again */
export type Run = (full: boolean) => boolean;

/**
 * One loop for one Reconciler: runs soon after `trigger`, never more often than the minimum interval, again with growing waits while something fails, and
 * in full at the maximum interval.
 *
 *     idle ──trigger──► waiting (until the minimum interval is over) ──► run ──ok──► idle
 *                                      ▲                                  └─failed─► waiting (retry time)
 */
export class Runner {
  readonly #run: Run;
  readonly #options: Required<Omit<RunnerOptions, 'onError'>> & Pick<RunnerOptions, 'onError'>;
  #started = false;
  #cancel: (() => void) | undefined;
  #due = Number.POSITIVE_INFINITY;
  #lastRun = Number.NEGATIVE_INFINITY;
  #lastFull = Number.NEGATIVE_INFINITY;
  #failures = 0;

  constructor(
    run: Run,
    {
      minIntervalMs = 10,
      maxIntervalMs = 30_000,
      retryMs = 100,
      maxRetryMs = 10_000,
      clock = systemClock,
      onError,
    }: RunnerOptions = {},
  ) {
    this.#run = run;
    this.#options = { minIntervalMs, maxIntervalMs, retryMs, maxRetryMs, clock, onError };
  }

  /** Begins with a full check at once. */
  start(): void {
    this.#started = true;
    this.#wake(this.#options.clock.now());
  }

  stop(): void {
    this.#started = false;
    this.#cancel?.();
    this.#cancel = undefined;
    this.#due = Number.POSITIVE_INFINITY;
  }

  /** There is work. Cheap; call it as often as work comes. */
  trigger(): void {
    if (!this.#started) return;
    const { clock, minIntervalMs } = this.#options;
    this.#wake(Math.max(clock.now(), this.#lastRun + minIntervalMs));
  }

  #wake(at: number): void {
    if (at >= this.#due) return;
    this.#cancel?.();
    this.#due = at;
    this.#cancel = this.#options.clock.after(Math.max(0, at - this.#options.clock.now()), () => this.#fire());
  }

  #fire(): void {
    const { clock, maxIntervalMs, retryMs, maxRetryMs } = this.#options;
    this.#cancel = undefined;
    this.#due = Number.POSITIVE_INFINITY;
    const now = clock.now();
    const full = now >= this.#lastFull + maxIntervalMs;
    this.#lastRun = now;
    if (full) this.#lastFull = now;
    const ok = this.#attempt(full);
    if (!this.#started) return;
    this.#failures = ok ? 0 : this.#failures + 1;
    if (!ok) this.#wake(now + Math.min(maxRetryMs, retryMs * 2 ** (this.#failures - 1)));
    this.#wake(this.#lastFull + maxIntervalMs);
  }

  #attempt(full: boolean): boolean {
    try {
      return this.#run(full);
    } catch (error) {
      this.#options.onError?.(error);
      return false;
    }
  }
}
