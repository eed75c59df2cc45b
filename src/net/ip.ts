/** IP families by the names that Kubernetes uses in `ipFamilies` (lower case here). */
export type Family = 'ipv4' | 'ipv6';

export const families: readonly Family[] = ['ipv4', 'ipv6'];

/** Number of bits of an address of the family: 32 or 128. */
export const addressBits = (family: Family): number => (family === 'ipv4' ? 32 : 128);

/**
 * An IPv4 or IPv6 address, immutable. An IPv4-mapped IPv6 address is an IPv6 address and never equals the IPv4 one.
 * Text is parsed strictly (semantics SA19): no leading zeros, no zone ids, no white space.
 */
export class IpAddr {
  readonly family: Family;
  /** Of IPv4 its 32 bits, with a sign: there are as many as endpoints, and an array for each would cost more than all else of it. */
  readonly #value: number;
  readonly #long: Uint8Array | undefined;
  #text: string | undefined;

  /** @param text its canonical one, if it is known */
  private constructor(address: Uint8Array | number, text?: string) {
    const isLong = typeof address === 'object' && address.length === 16;
    this.family = isLong ? 'ipv6' : 'ipv4';
    this.#long = isLong ? address : undefined;
    this.#value = typeof address === 'number' ? address : isLong ? 0 : valueOf(address);
    this.#text = text;
  }

  /** @throws SyntaxError naming the input and the position of the fault. */
  static parse(text: string): IpAddr {
    const quick = quickIpv4(text);
    if (!Number.isNaN(quick)) return new IpAddr(quick, text);
    return new IpAddr(text.includes(':') ? parseIpv6(text) : parseIpv4(text, text, 0));
  }

  static tryParse(text: string): IpAddr | undefined {
    try {
      return IpAddr.parse(text);
    } catch {
      return undefined;
    }
  }

  /** @param bytes 4 or 16 bytes in network byte order; copied. @throws RangeError on any other length. */
  static fromBytes(bytes: Uint8Array): IpAddr {
    if (bytes.length !== 4 && bytes.length !== 16) throw new RangeError(`an IP address has 4 or 16 bytes, not ${bytes.length}`);
    return new IpAddr(Uint8Array.prototype.slice.call(bytes));
  }

  static fromBigInt(family: Family, value: bigint): IpAddr {
    const length = addressBits(family) / 8;
    if (value < 0n || value >> BigInt(length * 8)) throw new RangeError(`${value} is outside of ${family}`);
    const bytes = new Uint8Array(length);
    for (let i = length - 1, rest = value; i >= 0; i--, rest >>= 8n) bytes[i] = Number(rest & 0xffn);
    return new IpAddr(bytes);
  }

  static unspecified(family: Family): IpAddr {
    return new IpAddr(new Uint8Array(addressBits(family) / 8));
  }

  /** A copy, in network byte order. */
  get bytes(): Uint8Array {
    if (this.#long) return this.#long.slice();
    const value = this.#value;
    return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
  }

  toBigInt(): bigint {
    let value = 0n;
    for (const byte of this.bytes) value = (value << 8n) | BigInt(byte);
    return value;
  }

  /** The address `count` further on. @throws RangeError past the end of the family. */
  offset(count: number | bigint): IpAddr {
    return IpAddr.fromBigInt(this.family, this.toBigInt() + BigInt(count));
  }

  equals(other: IpAddr): boolean {
    return this.toString() === other.toString();
  }

  /** Whether the first so many bits of both are the same, which they are of addresses in one network of that length. Of two families they are not. */
  beginsAs(other: IpAddr, bits: number): boolean {
    if (this.family !== other.family) return false;
    // By 32 and more a number is not shifted at all.
    if (!this.#long || !other.#long) return bits === 0 || (this.#value ^ other.#value) >>> (32 - bits) === 0;
    const whole = bits >> 3;
    for (let i = 0; i < whole; i++) if (this.#long[i] !== other.#long[i]) return false;
    return bits % 8 === 0 || (this.#long[whole]! ^ other.#long[whole]!) >>> (8 - (bits % 8)) === 0;
  }

  /** Orders IPv4 before IPv6, then by value. */
  compare(other: IpAddr): number {
    if (this.#long && other.#long) return Buffer.compare(this.#long, other.#long);
    if (this.#long || other.#long) return this.#long ? 1 : -1;
    return Math.sign((this.#value >>> 0) - (other.#value >>> 0));
  }

  get isUnspecified(): boolean {
    return this.#long ? this.#long.every((byte) => byte === 0) : this.#value === 0;
  }

  get isLoopback(): boolean {
    return this.#long ? this.toString() === '::1' : this.#value >>> 24 === 127;
  }

  get isMulticast(): boolean {
    return this.#long ? this.#long[0] === 0xff : this.#value >>> 28 === 0xe;
  }

  get isLinkLocal(): boolean {
    if (!this.#long) return this.#value >>> 16 === 0xa9fe;
    return this.#long[0] === 0xfe && (this.#long[1]! & 0xc0) === 0x80;
  }

  /** Canonical text: RFC 5952 for IPv6. Usable as a Map key. */
  toString(): string {
    this.#text ??= this.#long ? formatIpv6(this.#long) : formatIpv4(this.#value);
    return this.#text;
  }

  toJSON(): string {
    return this.toString();
  }
}

/** Four numbers of 0 to 255 without leading zeros, as nearly all are, as 32 bits with a sign; NaN for whatever else, of which `parseIpv4` tells what is wrong. */
function quickIpv4(text: string): number {
  let [octets, octet, digits, value] = [0, 0, 0, 0];
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 48 && code <= 57) {
      if (digits === 3 || (digits > 0 && value === 0)) return Number.NaN;
      value = value * 10 + code - 48;
      digits++;
    } else if (code === 46 && digits > 0 && value < 256 && octet < 3) {
      octets = (octets << 8) | value;
      octet++;
      value = digits = 0;
    } else return Number.NaN;
  }
  return octet === 3 && digits > 0 && value < 256 ? (octets << 8) | value : Number.NaN;
}

/**
 * Writes an IPv4 address as nearly all are, without making anything of it.
 * @returns false, and nothing is written, for whatever else: `IpAddr.parse` tells what it is
 */
export function writeIpv4(text: string, into: Uint8Array, at: number): boolean {
  const value = quickIpv4(text);
  if (Number.isNaN(value)) return false;
  into[at] = value >>> 24;
  into[at + 1] = value >>> 16;
  into[at + 2] = value >>> 8;
  into[at + 3] = value;
  return true;
}

const valueOf = ([a = 0, b = 0, c = 0, d = 0]: Uint8Array): number => (a << 24) | (b << 16) | (c << 8) | d;

const formatIpv4 = (value: number): string => `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;

function parseIpv4(part: string, whole: string, at: number): Uint8Array {
  const quick = new Uint8Array(4);
  if (writeIpv4(part, quick, 0)) return quick;
  const octets = part.split('.');
  let position = at;
  if (octets.length !== 4) throw fault(whole, position, 'expected an IPv4 address of four numbers or an IPv6 address');
  const bytes = new Uint8Array(4);
  octets.forEach((octet, i) => {
    if (!/^\d{1,3}$/.test(octet)) throw fault(whole, position, `expected a number from 0 to 255, found "${octet}"`);
    if (octet.length > 1 && octet.startsWith('0')) throw fault(whole, position, 'leading zeros are ambiguous and not allowed');
    if (Number(octet) > 255) throw fault(whole, position, `${octet} is more than 255`);
    bytes[i] = Number(octet);
    position += octet.length + 1;
  });
  return bytes;
}

function parseIpv6(text: string): Uint8Array {
  const zone = text.indexOf('%');
  if (zone >= 0) throw fault(text, zone, 'zone ids are not allowed');
  const gap = text.indexOf('::');
  if (gap >= 0 && text.indexOf('::', gap + 1) >= 0) throw fault(text, text.indexOf('::', gap + 1), '"::" may stand only once');
  const head = groups(gap < 0 ? text : text.slice(0, gap), text, 0, gap < 0);
  const tail = gap < 0 ? [] : groups(text.slice(gap + 2), text, gap + 2, true);
  const missing = 16 - head.length - tail.length;
  if (gap < 0 ? missing !== 0 : missing < 2) throw fault(text, text.length, 'an IPv6 address has eight groups');
  return Uint8Array.from([...head, ...new Array<number>(missing).fill(0), ...tail]);
}

function groups(part: string, whole: string, at: number, last: boolean): number[] {
  if (part === '') return [];
  const bytes: number[] = [];
  let position = at;
  const all = part.split(':');
  all.forEach((group, i) => {
    if (last && i === all.length - 1 && group.includes('.')) bytes.push(...parseIpv4(group, whole, position));
    else if (!/^[0-9a-fA-F]{1,4}$/.test(group)) throw fault(whole, position, `expected 1 to 4 hex digits, found "${group}"`);
    else bytes.push(Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff);
    position += group.length + 1;
  });
  return bytes;
}

/** RFC 5952: lower case, the longest run of two or more zero groups (the first of equals) shortened. */
function formatIpv6(bytes: Uint8Array): string {
  const words = Array.from({ length: 8 }, (_, i) => (bytes[i * 2]! << 8) | bytes[i * 2 + 1]!);
  if (words.slice(0, 5).every((w) => w === 0) && words[5] === 0xffff) return `::ffff:${bytes.slice(12).join('.')}`;
  let start = -1;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let n = 0;
    while (i + n < 8 && words[i + n] === 0) n++;
    if (n > length) [start, length] = [i, n];
    if (n > 0) i += n;
  }
  const hex = (part: number[]): string => part.map((w) => w.toString(16)).join(':');
  return start < 0 ? hex(words) : `${hex(words.slice(0, start))}::${hex(words.slice(start + length))}`;
}

function fault(text: string, position: number, why: string): SyntaxError {
  return new SyntaxError(`"${text}" is not an IP address: ${why} (at position ${position})`);
}
