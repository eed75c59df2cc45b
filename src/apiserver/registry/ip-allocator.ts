import { IpAddr } from '../../net/ip.ts';
import type { Prefix } from '../../net/prefix.ts';

/** The reason stands in the text, as the real allocator words it. */
export class AllocationError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'AllocationError';
  }
}

/** SA3: addresses asked for by name are usually low, so the low ones are given out last. */
const lowerBand = (size: bigint): bigint => {
  const sixteenth = size / 16n;
  const atLeast = sixteenth > 16n ? sixteenth : 16n;
  return atLeast < 256n ? atLeast : 256n;
};

/** The addresses of one Service CIDR. The network address is never given out, nor is IPv4's broadcast address. */
export class IpAllocator {
  readonly prefix: Prefix;
  readonly #used = new Set<bigint>();
  readonly #first: bigint;
  readonly #count: bigint;
  readonly #random: () => number;

  constructor(prefix: Prefix, random: () => number = Math.random) {
    this.prefix = prefix;
    this.#first = prefix.address.toBigInt();
    const usable = prefix.family === 'ipv4' ? prefix.size - 2n : prefix.size - 1n;
    // Real clusters take at most a /108 of an IPv6 range; the rest would never be reached.
    this.#count = usable > 1n << 20n ? 1n << 20n : usable;
    this.#random = random;
  }

  get used(): number {
    return this.#used.size;
  }

  get free(): number {
    return Number(this.#count) - this.#used.size;
  }

  /** @throws AllocationError */
  take(ip: IpAddr): void {
    const offset = ip.toBigInt() - this.#first;
    const last = this.prefix.family === 'ipv4' ? this.prefix.size - 2n : this.prefix.size - 1n;
    if (!this.prefix.contains(ip) || offset < 1n || offset > last)
      throw new AllocationError(`the provided IP (${ip}) is not in the valid range. The range of valid IPs is ${this.prefix}`);
    if (this.#used.has(offset)) throw new AllocationError('provided IP is already allocated');
    this.#used.add(offset);
  }

  /** @throws AllocationError when all are in use */
  takeNext(): IpAddr {
    const band = lowerBand(this.prefix.size);
    // A range that is all lower band has no upper one.
    const low = band < this.#count ? band : 0n;
    const offset = this.#find(low, this.#count) ?? this.#find(0n, low);
    if (offset === undefined) throw new AllocationError('range is full');
    this.#used.add(offset);
    return IpAddr.fromBigInt(this.prefix.family, this.#first + offset);
  }

  release(ip: IpAddr): void {
    if (this.prefix.contains(ip)) this.#used.delete(ip.toBigInt() - this.#first);
  }

  /** A free offset in (from, to], starting anywhere. */
  #find(from: bigint, to: bigint): bigint | undefined {
    const span = to - from;
    const start = BigInt(Math.floor(this.#random() * Number(span)));
    for (let step = 0n; step < span; step++) {
      const offset = from + 1n + ((start + step) % span);
      if (!this.#used.has(offset)) return offset;
    }
    return undefined;
  }
}
