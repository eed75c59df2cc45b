/** A set of small numbers. */
export class Bits {
  #words: Uint32Array;

  constructor(words = new Uint32Array(0)) {
    this.#words = words;
  }

  has(at: number): boolean {
    return ((this.#words[at >>> 5] ?? 0) & (1 << (at & 31))) !== 0;
  }

  add(at: number): void {
    const word = at >>> 5;
    if (word >= this.#words.length) {
      const larger = new Uint32Array(Math.max(word + 1, Math.ceil(this.#words.length * 1.5)));
      larger.set(this.#words);
      this.#words = larger;
    }
    this.#words[word]! |= 1 << (at & 31);
  }

  addAll(other: Bits): void {
    const words = other.#words;
    if (words.length > this.#words.length) {
      const larger = new Uint32Array(words.length);
      larger.set(this.#words);
      this.#words = larger;
    }
    for (let i = 0; i < words.length; i++) this.#words[i]! |= words[i]!;
  }

  delete(at: number): void {
    if (at >>> 5 < this.#words.length) this.#words[at >>> 5]! &= ~(1 << (at & 31));
  }

  copy(): Bits {
    return new Bits(this.#words.slice());
  }

  get isEmpty(): boolean {
    return this.#words.every((word) => word === 0);
  }

  equals(other: Bits): boolean {
    const [a, b] = [this.#words, other.#words];
    for (let i = 0; i < Math.max(a.length, b.length); i++) if ((a[i] ?? 0) !== (b[i] ?? 0)) return false;
    return true;
  }

  /** Equal sets have equal hashes. */
  get hash(): number {
    let hash = 0x811c9dc5;
    for (let i = 0; i < this.#words.length; i++)
      if (this.#words[i] !== 0) hash = Math.imul(Math.imul(hash ^ i, 0x01000193) ^ this.#words[i]!, 0x01000193);
    return hash >>> 0;
  }

  *[Symbol.iterator](): Iterator<number> {
    for (let i = 0; i < this.#words.length; i++)
      for (let rest = this.#words[i]!; rest !== 0; rest &= rest - 1) yield i * 32 + 31 - Math.clz32(rest & -rest);
  }

  /** What is in one of them only. */
  *difference(other: Bits): Iterable<number> {
    const [a, b] = [this.#words, other.#words];
    for (let i = 0; i < Math.max(a.length, b.length); i++)
      for (let rest = ((a[i] ?? 0) ^ (b[i] ?? 0)) >>> 0; rest !== 0; rest &= rest - 1) yield i * 32 + 31 - Math.clz32(rest & -rest);
  }
}
