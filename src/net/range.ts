import { type Family, IpAddr } from './ip.ts';
import { Prefix } from './prefix.ts';

/** Consecutive addresses of one family, both ends included. Immutable. */
export class IpRange {
  readonly first: IpAddr;
  readonly last: IpAddr;

  private constructor(first: IpAddr, last: IpAddr) {
    this.first = first;
    this.last = last;
  }

  /**
   * `FIRST-LAST`, a CIDR, which means every address of it, or one address.
   * @throws SyntaxError that shows the text
   */
  static parse(text: string): IpRange {
    if (text.includes('/')) {
      const prefix = Prefix.parse(text);
      return new IpRange(prefix.address, prefix.last);
    }
    const [from = '', to = from, ...more] = text.split('-').map((part) => part.trim());
    if (more.length > 0) throw new SyntaxError(`"${text}" is no range of addresses: expected FIRST-LAST or ADDRESS/LENGTH`);
    const [first, last] = [IpAddr.parse(from), IpAddr.parse(to)];
    if (first.family !== last.family) throw new SyntaxError(`"${text}" is no range of addresses: its ends are of two families`);
    if (first.compare(last) > 0) throw new SyntaxError(`"${text}" is no range of addresses: its end comes before its start`);
    return new IpRange(first, last);
  }

  get family(): Family {
    return this.first.family;
  }

  /** Number of addresses. */
  get size(): bigint {
    return this.last.toBigInt() - this.first.toBigInt() + 1n;
  }

  contains(address: IpAddr): boolean {
    return address.family === this.family && this.first.compare(address) <= 0 && address.compare(this.last) <= 0;
  }

  /** Whether any address is in both. */
  overlaps(other: IpRange | Prefix): boolean {
    const [first, last] = other instanceof IpRange ? [other.first, other.last] : [other.address, other.last];
    return first.family === this.family && this.first.compare(last) <= 0 && first.compare(this.last) <= 0;
  }

  toString(): string {
    return this.size === 1n ? `${this.first}` : `${this.first}-${this.last}`;
  }
}
