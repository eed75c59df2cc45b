const [none, firstRoom] = [-1, 1024];

/**
 * Which numbers belong to a 32-bit key; several may. 16 bytes for each pair, in arrays of numbers: 100,000 endpoints take two megabytes, which as objects would take ten. Others with the
 * same key are found as well: whoever asks looks whether it is meant.
 */
export class NumberIndex {
  #heads = new Int32Array(firstRoom).fill(none);
  #next = new Int32Array(firstRoom);
  #keys = new Int32Array(firstRoom);
  #values = new Int32Array(firstRoom);
  #free = none;
  #end = 0;

  add(key: number, value: number): void {
    if (this.#free === none && this.#end === this.#keys.length) this.#grow();
    const at = this.#free === none ? this.#end++ : this.#free;
    if (at === this.#free) this.#free = this.#next[at]!;
    const bucket = bucketOf(key, this.#heads.length);
    this.#keys[at] = key;
    this.#values[at] = value;
    this.#next[at] = this.#heads[bucket]!;
    this.#heads[bucket] = at;
  }

  /** One pair of them, if there are several. */
  remove(key: number, value: number): void {
    const bucket = bucketOf(key, this.#heads.length);
    for (let at = this.#heads[bucket]!, before = none; at !== none; before = at, at = this.#next[at]!) {
      if (this.#keys[at] !== key || this.#values[at] !== value) continue;
      if (before === none) this.#heads[bucket] = this.#next[at]!;
      else this.#next[before] = this.#next[at]!;
      this.#next[at] = this.#free;
      this.#free = at;
      return;
    }
  }

  get(key: number): Set<number> {
    const found = new Set<number>();
    for (let at = this.#heads[bucketOf(key, this.#heads.length)]!; at !== none; at = this.#next[at]!) if (this.#keys[at] === key) found.add(this.#values[at]!);
    return found;
  }

  #grow(): void {
    const room = 2 * this.#keys.length;
    const larger = (before: Int32Array): Int32Array<ArrayBuffer> => {
      const after = new Int32Array(room);
      after.set(before);
      return after;
    };
    this.#keys = larger(this.#keys);
    this.#values = larger(this.#values);
    this.#next = new Int32Array(room);
    this.#heads = new Int32Array(room).fill(none);
    // None is free.
    for (let at = 0; at < this.#end; at++) {
      const bucket = bucketOf(this.#keys[at]!, room);
      this.#next[at] = this.#heads[bucket]!;
      this.#heads[bucket] = at;
    }
  }
}

/** The lower bits of a product are the poorer ones. */
function bucketOf(key: number, buckets: number): number {
  const mixed = Math.imul(key, 0x9e3779b1);
  return (mixed ^ (mixed >>> 15)) & (buckets - 1);
}
