/** Numbers that were given back rest until there are so many of them: a packet may be between two look-ups, and what names them by then is gone. */
const resting = 1024;

/** Held numbers above are nobody's: it keeps the list of free ones short. */
const highestHeld = 1 << 22;

/**
 * Hands out numbers that stand in elements of the kernel. Those that the kernel holds from before a restart are kept for who claims them, until
 * `finishAdoption`.
 */
export class Numbers {
  readonly #max: number;
  readonly #what: string;
  readonly #free: number[] = [];
  readonly #held: Set<number>;
  #next: number;

  /** @param first the lowest number, @param max the highest, @param held those of the kernel, in any order; what is not among the numbers is ignored */
  constructor(first: number, max: number, what: string, held: Iterable<number> = []) {
    this.#max = max;
    this.#what = what;
    this.#held = new Set([...held].filter((number) => number >= first && number <= Math.min(max, highestHeld)));
    this.#next = first;
    for (const number of [...this.#held].sort((a, b) => a - b)) {
      while (this.#next < number) this.#free.push(this.#next++);
      this.#next = number + 1;
    }
  }

  /** @returns false when it is not held, or somebody has it by now */
  claim(number: number): boolean {
    return this.#held.delete(number);
  }

  /** Held numbers that nobody claimed are free. */
  finishAdoption(): void {
    this.#free.push(...this.#held);
    this.#held.clear();
  }

  /** @throws RangeError when there are none left */
  take(): number {
    if (this.#free.length < resting && this.#next <= this.#max) return this.#next++;
    const number = this.#free.shift();
    if (number === undefined) throw new RangeError(`all ${this.#max} ${this.#what} are in use`);
    return number;
  }

  release(number: number): void {
    this.#free.push(number);
  }
}
