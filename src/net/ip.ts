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
  readonly #bytes: Uint8Array;
  #text: string | undefined;

  private constructor(bytes: Uint8Array) {
    this.family = bytes.length === 4 ? 'ipv4' : 'ipv6';
    this.#bytes = bytes;
  }

  /** @throws SyntaxError naming the input and the position of the fault. */
  static parse(text: string): IpAddr {
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
    return this.#bytes.slice();
  }

  toBigInt(): bigint {
    let value = 0n;
    for (const byte of this.#bytes) value = (value << 8n) | BigInt(byte);
    return value;
  }

  /** The address `count` further on. @throws RangeError past the end of the family. */
  offset(count: number | bigint): IpAddr {
    return IpAddr.fromBigInt(this.family, this.toBigInt() + BigInt(count));
  }

  equals(other: IpAddr): boolean {
    return this.toString() === other.toString();
  }

  /** Orders IPv4 before IPv6, then by value. */
  compare(other: IpAddr): number {
    return (
      Buffer.compare(this.#bytes, other.#bytes) * (this.family === other.family ? 1 : 0) ||
      this.#bytes.length - other.#bytes.length
    );
  }

  get isUnspecified(): boolean {
    return this.#bytes.every((byte) => byte === 0);
  }

  get isLoopback(): boolean {
    return this.family === 'ipv4' ? this.#bytes[0] === 127 : this.toString() === '::1';
  }

  get isMulticast(): boolean {
    return this.family === 'ipv4' ? (this.#bytes[0]! & 0xf0) === 0xe0 : this.#bytes[0] === 0xff;
  }

  get isLinkLocal(): boolean {
    const [a, b] = this.#bytes;
    return this.family === 'ipv4' ? a === 169 && b === 254 : a === 0xfe && (b! & 0xc0) === 0x80;
  }

  /** Canonical text: RFC 5952 for IPv6. Usable as a Map key. */
  toString(): string {
    this.#text ??= this.family === 'ipv4' ? this.#bytes.join('.') : formatIpv6(this.#bytes);
    return this.#text;
  }

  toJSON(): string {
    return this.toString();
  }
}

function quickIpv4(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(4);
  return writeIpv4(text, bytes, 0) ? bytes : undefined;
}

/**
 * Writes an address of four numbers of 0 to 255 without leading zeros, as nearly all are, without making anything of it.
 * @returns false for whatever else, of which `IpAddr.parse` tells what is wrong; some bytes may be written then
 */
export function writeIpv4(text: string, into: Uint8Array, at: number): boolean {
  let [octet, digits, value] = [0, 0, 0];
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 48 && code <= 57) {
      if (digits === 3 || (digits > 0 && value === 0)) return false;
      value = value * 10 + code - 48;
      digits++;
    } else if (code === 46 && digits > 0 && value < 256 && octet < 3) {
      into[at + octet++] = value;
      value = digits = 0;
    } else return false;
  }
  if (octet !== 3 || digits === 0 || value > 255) return false;
  into[at + 3] = value;
  return true;
}

function parseIpv4(part: string, whole: string, at: number): Uint8Array {
  const quick = quickIpv4(part);
  if (quick) return quick;
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
