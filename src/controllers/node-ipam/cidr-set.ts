import { addressBits } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';

/** A node's block may be at most so many bits longer than the cluster's: the bitmap stays under 8 kB (PC1). */
const maxExtraBits = 16;

/** The blocks of one length within one cluster CIDR, and which of them are taken. Pure bookkeeping. */
export class CidrSet {
  readonly cluster: Prefix;
  readonly maskSize: number;
  readonly #taken: Uint8Array;
  #free: number;
  /** Where the next search begins: a block just released is used again last. */
  #next = 0;

  /** @throws RangeError when the lengths do not fit each other */
  constructor(cluster: Prefix, maskSize: number) {
    const bits = addressBits(cluster.family);
    if (!Number.isInteger(maskSize) || maskSize < cluster.length || maskSize > bits)
      throw new RangeError(`the node mask of ${cluster} is ${cluster.length} to ${bits}, not ${maskSize}`);
    if (maskSize - cluster.length > maxExtraBits)
      throw new RangeError(
        `the node mask /${maskSize} is more than ${maxExtraBits} bits longer than ${cluster}; take at most /${cluster.length + maxExtraBits}`,
      );
    this.cluster = cluster;
    this.maskSize = maskSize;
    this.#taken = new Uint8Array(2 ** (maskSize - cluster.length));
    this.#free = this.#taken.length;
  }

  /** Blocks in all. */
  get size(): number {
    return this.#taken.length;
  }

  get free(): number {
    return this.#free;
  }

  /** Takes the next free block; undefined when there is none. */
  allocate(): Prefix | undefined {
    for (let i = 0; i < this.#taken.length; i++) {
      const index = (this.#next + i) % this.#taken.length;
      if (this.#taken[index]) continue;
      this.#mark(index, 1);
      this.#next = (index + 1) % this.#taken.length;
      return this.#block(index);
    }
    return undefined;
  }

  /** Takes every block that the prefix touches; it may be larger or smaller than a block. @throws RangeError when it lies outside */
  occupy(prefix: Prefix): void {
    for (const index of this.#indexes(prefix)) this.#mark(index, 1);
  }

  /** @throws RangeError when it lies outside */
  release(prefix: Prefix): void {
    for (const index of this.#indexes(prefix)) this.#mark(index, 0);
  }

  #mark(index: number, taken: 0 | 1): void {
    if (this.#taken[index] === taken) return;
    this.#taken[index] = taken;
    this.#free += taken ? -1 : 1;
  }

  #block(index: number): Prefix {
    const shift = BigInt(addressBits(this.cluster.family) - this.maskSize);
    return Prefix.of(this.cluster.address.offset(BigInt(index) << shift), this.maskSize);
  }

  *#indexes(prefix: Prefix): Iterable<number> {
    if (!prefix.overlaps(this.cluster)) throw new RangeError(`${prefix} is outside of the cluster CIDR ${this.cluster}`);
    const shift = BigInt(addressBits(this.cluster.family) - this.maskSize);
    const base = this.cluster.address.toBigInt();
    const first = prefix.contains(this.cluster) ? base : prefix.address.toBigInt();
    const last = prefix.contains(this.cluster) ? this.cluster.last.toBigInt() : prefix.last.toBigInt();
    for (let i = (first - base) >> shift; i <= (last - base) >> shift; i++) yield Number(i);
  }
}
