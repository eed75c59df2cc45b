import { type Family, IpAddr } from '../../net/ip.ts';
import type { IpRange } from '../../net/range.ts';

/** The addresses that load balancers are given, and who holds which. Pure. */
export class AddressPool {
  readonly ranges: readonly IpRange[];
  /** Address → holder. */
  readonly #held = new Map<string, string>();
  /** The last one given of each family: the search goes on behind it, so that an address that came free rests while there are others. */
  readonly #last = new Map<Family, IpAddr>();

  constructor(ranges: readonly IpRange[]) {
    this.ranges = [...ranges].sort((a, b) => a.first.compare(b.first));
  }

  contains(address: IpAddr): boolean {
    return this.ranges.some((range) => range.contains(address));
  }

  holderOf(address: IpAddr): string | undefined {
    return this.#held.get(address.toString());
  }

  addressesOf(holder: string): IpAddr[] {
    return [...this.#held].filter(([, by]) => by === holder).map(([text]) => IpAddr.parse(text));
  }

  /** @returns whether the holder has it now: it is in the pool and nobody else's */
  take(address: IpAddr, holder: string): boolean {
    const text = address.toString();
    const by = this.#held.get(text);
    if (!this.contains(address) || (by !== undefined && by !== holder)) return false;
    this.#held.set(text, holder);
    return true;
  }

  /** @returns undefined when no address of the family is free */
  takeNext(family: Family, holder: string): IpAddr | undefined {
    const last = this.#last.get(family);
    const address = (last && this.#freeFrom(last.offset(1))) ?? this.#freeFrom(IpAddr.unspecified(family));
    if (!address) return undefined;
    this.#held.set(address.toString(), holder);
    this.#last.set(family, address);
    return address;
  }

  /** The lowest free address of the family that is not below `from`. */
  #freeFrom(from: IpAddr): IpAddr | undefined {
    for (const range of this.ranges) {
      if (range.family !== from.family || range.last.compare(from) < 0) continue;
      for (let ip = range.contains(from) ? from : range.first; range.contains(ip); ip = ip.offset(1))
        if (!this.#held.has(ip.toString())) return ip;
    }
    return undefined;
  }

  release(address: IpAddr, holder: string): boolean {
    const text = address.toString();
    return this.#held.get(text) === holder && this.#held.delete(text);
  }
}
