import type { Place } from './places.ts';

/** Places in the order they came, as a Set has them; at a start there are as many as elements, for which a Set takes longer than all else that is done with them. */
export class PlaceSet {
  /** 1 for each place that is in, by `indexOf`. */
  #isIn = new Uint8Array(64);
  #order: Place[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(place: Place): boolean {
    return this.#isIn[indexOf(place)] === 1;
  }

  add(place: Place): void {
    const index = indexOf(place);
    if (index >= this.#isIn.length) this.#grow(index);
    if (this.#isIn[index] === 1) return;
    this.#isIn[index] = 1;
    this.#order.push(place);
    this.#size++;
  }

  delete(place: Place): void {
    if (!this.has(place)) return;
    // One that comes again would stand in the order twice.
    if (this.#order.at(-1) === place) this.#order.pop();
    else this.#order = this.#order.filter((other) => other !== place);
    this.#isIn[indexOf(place)] = 0;
    this.#size--;
  }

  clear(): void {
    for (const place of this.#order) this.#isIn[indexOf(place)] = 0;
    this.#order = [];
    this.#size = 0;
  }

  [Symbol.iterator](): Iterator<Place> {
    return this.#order[Symbol.iterator]();
  }

  #grow(index: number): void {
    const larger = new Uint8Array(Math.max(index + 1, this.#isIn.length * 2));
    larger.set(this.#isIn);
    this.#isIn = larger;
  }
}

/** Places begin at 0 and go both ways. */
const indexOf = (place: Place): number => (place < 0 ? -2 * place - 1 : 2 * place);
