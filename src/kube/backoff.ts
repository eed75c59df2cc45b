/** Exponential waits with jitter: each is 50 to 100 % of a limit that doubles up to the longest. */
export class Backoff {
  readonly #firstMs: number;
  readonly #longestMs: number;
  readonly #random: () => number;
  #limitMs: number;
  #lastMs = 0;

  constructor(firstMs: number, longestMs: number, random: () => number = Math.random) {
    this.#firstMs = firstMs;
    this.#longestMs = longestMs;
    this.#random = random;
    this.#limitMs = firstMs;
  }

  /** How long to wait now, in milliseconds. */
  next(): number {
    const waitMs = Math.ceil(this.#limitMs * (0.5 + this.#random() / 2));
    this.#limitMs = Math.min(this.#limitMs * 2, this.#longestMs);
    this.#lastMs = waitMs;
    return waitMs;
  }

  reset(): void {
    this.#limitMs = this.#firstMs;
    this.#lastMs = 0;
  }

  /** What was tried worked for so long: begins anew when that is much longer than the last wait. */
  lived(ms: number): void {
    if (ms > 1000 && ms > 4 * this.#lastMs) this.reset();
  }
}
