import { addressBits, type Family, IpAddr } from './ip.ts';

/** A CIDR block: a network address and a length. Host bits are always zero. Immutable. */
export class Prefix {
  readonly address: IpAddr;
  readonly length: number;

  private constructor(address: IpAddr, length: number) {
    this.address = address;
    this.length = length;
  }

  /** @throws SyntaxError also when host bits are set (semantics SA19). */
  static parse(text: string): Prefix {
    const slash = text.indexOf('/');
    if (slash < 0) throw new SyntaxError(`"${text}" is not a CIDR: expected ADDRESS/LENGTH`);
    const address = IpAddr.parse(text.slice(0, slash));
    const digits = text.slice(slash + 1);
    const bits = addressBits(address.family);
    if (!/^(0|[1-9]\d{0,2})$/.test(digits) || Number(digits) > bits) {
      throw new SyntaxError(
        `"${text}" is not a CIDR: the length must be 0 to ${bits}, found "${digits}" (at position ${slash + 1})`,
      );
    }
    const prefix = Prefix.of(address, Number(digits));
    if (!prefix.address.equals(address)) {
      throw new SyntaxError(`"${text}" is not a CIDR: host bits are set; the network is ${prefix}`);
    }
    return prefix;
  }

  /** Masks the host bits of the address away. */
  static of(address: IpAddr, length: number): Prefix {
    const bits = addressBits(address.family);
    if (!Number.isInteger(length) || length < 0 || length > bits)
      throw new RangeError(`a prefix length of ${address.family} is 0 to ${bits}, not ${length}`);
    const shift = BigInt(bits - length);
    return new Prefix(IpAddr.fromBigInt(address.family, (address.toBigInt() >> shift) << shift), length);
  }

  /** The prefix that holds just this address: /32 or /128. */
  static host(address: IpAddr): Prefix {
    return new Prefix(address, addressBits(address.family));
  }

  /** 0.0.0.0/0 or ::/0. */
  static all(family: Family): Prefix {
    return new Prefix(IpAddr.unspecified(family), 0);
  }

  get family(): Family {
    return this.address.family;
  }

  /** Number of addresses, 2^(bits - length). */
  get size(): bigint {
    return 1n << BigInt(addressBits(this.family) - this.length);
  }

  get last(): IpAddr {
    return this.at(this.size - 1n);
  }

  /** The n-th address, 0 being the network address. @throws RangeError outside of the prefix. */
  at(n: number | bigint): IpAddr {
    if (BigInt(n) < 0n || BigInt(n) >= this.size)
      throw new RangeError(`${this} has ${this.size} addresses; there is no number ${n}`);
    return this.address.offset(n);
  }

  contains(other: IpAddr | Prefix): boolean {
    const address = other instanceof Prefix ? other.address : other;
    if (other instanceof Prefix && other.length < this.length) return false;
    return address.beginsAs(this.address, this.length);
  }

  overlaps(other: Prefix): boolean {
    return this.contains(other) || other.contains(this);
  }

  equals(other: Prefix): boolean {
    return this.length === other.length && this.address.equals(other.address);
  }

  toString(): string {
    return `${this.address}/${this.length}`;
  }

  toJSON(): string {
    return this.toString();
  }
}
