/**
 * How often something may happen in a second, for each of very many keys, in memory that never grows: each key has two places, and a new one takes the place
 * that was idle longer. A key that is pushed out begins anew, which is never stricter than it should be.
 */
export class RateTable {
  readonly #perSecond: number;
  readonly #mask: number;
  readonly #keys: Int32Array;
  /** How often it may still happen now. */
  readonly #left: Float64Array;
  readonly #atMs: Float64Array;
  readonly #refused: Int32Array;

  /** @param slots places for keys; a power of two */
  constructor(perSecond: number, slots = 16_384) {
    this.#perSecond = perSecond;
    this.#mask = slots - 1;
    this.#keys = new Int32Array(slots);
    this.#left = new Float64Array(slots);
    this.#atMs = new Float64Array(slots).fill(Number.NEGATIVE_INFINITY);
    this.#refused = new Int32Array(slots);
  }

  /**
   * One more of `key`.
   * @param now monotonic milliseconds
   * @returns 0 when it may happen; else the how-manieth in a row it is that may not
   */
  take(key: number, now: number): number {
    const slot = this.#slot(key, now);
    const left = Math.min(this.#perSecond, this.#left[slot]! + ((now - this.#atMs[slot]!) * this.#perSecond) / 1000);
    this.#atMs[slot] = now;
    if (left >= 1) {
      this.#left[slot] = left - 1;
      this.#refused[slot] = 0;
      return 0;
    }
    this.#left[slot] = left;
    return ++this.#refused[slot]!;
  }

  #slot(key: number, now: number): number {
    const first = key & this.#mask;
    const second = (key >>> 14) & this.#mask;
    if (this.#keys[first] === key && this.#atMs[first]! > Number.NEGATIVE_INFINITY) return first;
    if (this.#keys[second] === key && this.#atMs[second]! > Number.NEGATIVE_INFINITY) return second;
    const slot = this.#atMs[first]! <= this.#atMs[second]! ? first : second;
    this.#keys[slot] = key;
    this.#left[slot] = this.#perSecond;
    this.#atMs[slot] = now;
    this.#refused[slot] = 0;
    return slot;
  }
}
