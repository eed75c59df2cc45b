/** Numbers that look random and are the same for the same seed and index (splitmix32), so that one packet of millions can be made again alone. */
export class Random {
  #state = 0;

  /** Begins the numbers of packet `index`. */
  begin(seed: number, index: number): void {
    this.#state = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b) ^ (index / 0x100000000)) | 0;
  }

  /** 32 bits. */
  next(): number {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    let z = this.#state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  }

  below(limit: number): number {
    return this.next() % limit;
  }
}
