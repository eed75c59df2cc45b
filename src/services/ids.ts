/**
 * Hands out numbers. Numbers that the kernel holds from before a restart are kept apart until their owners have asked for them again, or
 * `finishAdoption` gives the rest free.
 */
export class Ids {
  readonly #max: number;
  readonly #free: number[] = [];
  readonly #adopted = new Set<number>();
  #next = 1;
  #what: string;

  /** @param max the highest number; 0 is never given */
  constructor(max: number, what: string) {
    this.#max = max;
    this.#what = what;
  }

  /** Reserves a number that is in the kernel. */
  adopt(id: number): void {
    if (id < 1 || id > this.#max) return;
    this.#adopted.add(id);
    while (this.#next <= id) {
      if (this.#next !== id && !this.#adopted.has(this.#next)) this.#free.push(this.#next);
      this.#next++;
    }
  }

  /** Takes a reserved number over. @returns false when it is somebody else's by now */
  claim(id: number): boolean {
    return this.#adopted.delete(id);
  }

  /** Numbers that nobody claimed are free. */
  finishAdoption(): void {
    this.#free.push(...this.#adopted);
    this.#adopted.clear();
  }

  /** @throws RangeError when there are none left */
  take(): number {
    if (this.#next <= this.#max) {
      // Freed numbers are used again only when they must: what still names them (affinity) is gone by then.
      if (this.#free.length < 1024) return this.#next++;
    }
    const id = this.#free.shift();
    if (id === undefined) throw new RangeError(`all ${this.#max} ${this.#what} are in use`);
    return id;
  }

  release(id: number): void {
    this.#free.push(id);
  }
}
