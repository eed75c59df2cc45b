import type { Ipam } from '../ipam/index.ts';

/** A burst of deletions is one pass. */
const firstMs = 100;
/** What the passes take of this process at most: the kernel walks its whole table for one, some milliseconds even when there is little in it. */
const share = 0.05;

/**
 * Has the node forget the users of addresses that were given back (T19, F54), off DEL's way and at once for all that came together: a pass over a large
 * connection table takes far longer than a DEL. An address is not given again before, whatever the time is; `Ipam` sees to that.
 */
export class Forgetter implements Disposable {
  readonly #ipam: Ipam;
  readonly #onError: (error: Error) => void;
  #timer: NodeJS.Timeout | undefined;
  #waitMs = firstMs;

  constructor(ipam: Ipam, onError: (error: Error) => void) {
    this.#ipam = ipam;
    this.#onError = onError;
  }

  schedule(): void {
    this.#timer ??= setTimeout(() => this.#run(), this.#waitMs).unref();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #run(): void {
    this.#timer = undefined;
    const begin = performance.now();
    try {
      this.#ipam.cleanse();
    } catch (error) {
      this.#onError(error as Error);
      this.#waitMs = 1000;
      return this.schedule();
    }
    this.#waitMs = Math.max(firstMs, (performance.now() - begin) / share);
  }
}
