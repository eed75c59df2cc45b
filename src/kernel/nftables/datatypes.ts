import { endianness } from 'node:os';
import { addressBits, IpAddr, writeIpv4 } from '../../net/ip.ts';
import { Mac } from '../../net/mac.ts';
import { Prefix } from '../../net/prefix.ts';
import { IpRange } from '../../net/range.ts';

/** A type of nft's user space; the kernel only carries its number, for `nft list`. */
export interface Datatype {
  name: string;
  /** enum datatypes of nft's include/datatype.h */
  id: number;
  /** Bytes of a value. In a concatenation each part is padded to a multiple of four. */
  size: number;
  order: 'host' | 'network';
  write(text: string, into: Buffer, at: number): void;
  read(from: Buffer, at: number): string;
}

const little = endianness() === 'LE';
const writeU32 = (value: number, into: Buffer, at: number): void =>
  void (little ? into.writeUInt32LE(value, at) : into.writeUInt32BE(value, at));
const readU32 = (from: Buffer, at: number): number => (little ? from.readUInt32LE(at) : from.readUInt32BE(at));

function unsigned(text: string, maximum: number, what: string): number {
  const quick = decimal(text);
  if (quick <= maximum) return quick;
  const value = Number(text);
  if (!/^(\d+|0x[0-9a-f]+)$/i.test(text) || value > maximum)
    throw new SyntaxError(`"${text}" is not ${what}: expected 0 to ${maximum}`);
  return value;
}

/** The number that a text of one to nine digits is; infinite of any other. */
function decimal(text: string): number {
  let value = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return Number.POSITIVE_INFINITY;
    value = value * 10 + digit;
  }
  return text.length > 0 && text.length < 10 ? value : Number.POSITIVE_INFINITY;
}

function writeAddress(size: 4 | 16): Datatype['write'] {
  return (text, into, at) => {
    if (size === 4 && writeIpv4(text, into, at)) return;
    const address = IpAddr.parse(text);
    const bytes = address.bytes;
    if (bytes.length !== size) throw new SyntaxError(`"${text}" is not an ${size === 4 ? 'IPv4' : 'IPv6'} address`);
    into.set(bytes, at);
  };
}

const readAddress = (size: number): Datatype['read'] => {
  return (from, at) => IpAddr.fromBytes(from.subarray(at, at + size)).toString();
};

const protocols = new Map([
  ['icmp', 1],
  ['tcp', 6],
  ['udp', 17],
  ['ipv6-icmp', 58],
  ['sctp', 132],
]);
const protocolNames = new Map(Array.from(protocols, ([name, number]) => [number, name]));

/** The number of an IP protocol by the name that nft prints. @throws SyntaxError */
export const protocolNumber = (text: string): number => protocols.get(text) ?? unsigned(text, 255, 'an IP protocol');

/** tc's handle, `major:minor` in hex: how nft shows skb->priority. */
export function formatClassid(value: number): string {
  if (value === 0) return 'none';
  if (value === 0xffffffff) return 'root';
  return `${(value >>> 16).toString(16)}:${(value & 0xffff).toString(16)}`;
}

export function parseClassid(text: string): number {
  if (text === 'none') return 0;
  if (text === 'root') return 0xffffffff;
  let [major, minor, digits] = [-1, 0, 0];
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const digit = code >= 48 && code <= 57 ? code - 48 : code >= 97 && code <= 102 ? code - 87 : -1;
    if (digit >= 0 && digits < 4) {
      minor = (minor << 4) | digit;
      digits++;
    } else if (code === 58 && major < 0 && digits > 0) [major, minor, digits] = [minor, 0, 0];
    else digits = 5;
  }
  if (major >= 0 && digits > 0 && digits < 5) return ((major << 16) | minor) >>> 0;
  throw new SyntaxError(`"${text}" is not a class id: expected MAJOR:MINOR in hex, e.g. 1:2f`);
}

const list: Datatype[] = [
  {
    name: 'integer',
    id: 4,
    size: 4,
    order: 'host',
    write: (t, b, at) => writeU32(unsigned(t, 0xffffffff, 'an integer'), b, at),
    read: (b, at) => String(readU32(b, at)),
  },
  { name: 'ipv4_addr', id: 7, size: 4, order: 'network', write: writeAddress(4), read: readAddress(4) },
  { name: 'ipv6_addr', id: 8, size: 16, order: 'network', write: writeAddress(16), read: readAddress(16) },
  {
    name: 'ether_addr',
    id: 9,
    size: 6,
    order: 'network',
    write: (text, into, at) => void into.set(Mac.parse(text).bytes, at),
    read: (from, at) => Mac.fromBytes(from.subarray(at, at + 6)).toString(),
  },
  {
    name: 'inet_proto',
    id: 12,
    size: 1,
    order: 'network',
    write: (text, into, at) => void (into[at] = protocolNumber(text)),
    read: (from, at) => protocolNames.get(from[at]!) ?? String(from[at]),
  },
  {
    name: 'inet_service',
    id: 13,
    size: 2,
    order: 'network',
    write: (t, b, at) => void b.writeUInt16BE(unsigned(t, 65535, 'a port'), at),
    read: (b, at) => String(b.readUInt16BE(at)),
  },
  {
    name: 'mark',
    id: 19,
    size: 4,
    order: 'host',
    write: (text, into, at) => writeU32(unsigned(text, 0xffffffff, 'a mark'), into, at),
    read: (from, at) => `0x${readU32(from, at).toString(16).padStart(8, '0')}`,
  },
  {
    name: 'classid',
    id: 23,
    size: 4,
    order: 'host',
    write: (t, b, at) => writeU32(parseClassid(t), b, at),
    read: (b, at) => formatClassid(readU32(b, at)),
  },
  {
    name: 'ifname',
    id: 41,
    size: 16,
    order: 'host',
    write: (text, into, at) => void into.write(text.replace(/^"(.*)"$/, '$1'), at, 15, 'utf8'),
    read: (from, at) => `"${from.toString('utf8', at, at + 16).replace(/\0.*$/s, '')}"`,
  },
];
const byName = new Map(list.map((type) => [type.name, type]));

/** NFT_DATA_VERDICT */
export const verdictType = 0xffffff00;

const parsed = new Map<string, readonly Datatype[]>();

/** The parts of `ipv4_addr . inet_proto . inet_service`. @throws SyntaxError on an unknown type */
export function parseType(text: string): readonly Datatype[] {
  let types = parsed.get(text);
  if (!types) {
    types = text.split(' . ').map((name) => {
      const type = byName.get(name);
      if (!type)
        throw new SyntaxError(`"${name}" is not an nft type that podnet knows: expected one of ${[...byName.keys()].join(', ')}`);
      return type;
    });
    parsed.set(text, types);
  }
  return types;
}

const align4 = (size: number): number => (size + 3) & ~3;

/** Six bits for each part, as nft writes NFTA_SET_KEY_TYPE. */
export const typeId = (types: readonly Datatype[]): number => types.reduce((id, type) => (id << 6) | type.id, 0);

/** A single value has its own size; in a concatenation each part is aligned to a register. */
export const typeSize = (types: readonly Datatype[]): number =>
  types.length === 1 ? types[0]!.size : types.reduce((size, type) => size + align4(type.size), 0);

/** Bytes of a value such as `10.96.0.1 . tcp . 80`. @throws SyntaxError when it is not of the type */
export function encodeValue(types: readonly Datatype[], text: string): Buffer {
  const buffer = Buffer.alloc(typeSize(types));
  writeValue(types, text, buffer, 0);
  return buffer;
}

/**
 * The same into bytes that are there.
 * @param into all zeros where the value comes to stand
 */
export function writeValue(types: readonly Datatype[], text: string, into: Buffer, at: number): void {
  let from = 0;
  for (let i = 0, to = at; i < types.length; i++) {
    const type = types[i]!;
    const end = i === types.length - 1 ? text.length : text.indexOf(' . ', from);
    if (end < 0 || (i === types.length - 1 && types.length > 1 && text.includes(' . ', from)))
      throw new SyntaxError(
        `"${text}" has ${text.split(' . ').length} parts, expected ${types.map(({ name }) => name).join(' . ')}`,
      );
    type.write(from === 0 && end === text.length ? text : text.slice(from, end), into, to);
    from = end + 3;
    to += align4(type.size);
  }
}

export function decodeValue(types: readonly Datatype[], bytes: Buffer): string {
  if (bytes.length !== typeSize(types))
    throw new RangeError(
      `a value of type ${types.map((type) => type.name).join(' . ')} has ${typeSize(types)} bytes, not ${bytes.length}`,
    );
  let at = 0;
  let text = '';
  for (const type of types) {
    if (at > 0) text += ' . ';
    text += type.read(bytes, at);
    at += align4(type.size);
  }
  return text;
}

/** First address and the address after the last one (undefined at the end of the family) of a prefix, of `FIRST-LAST` or of a single address. */
export function intervalOf(types: readonly Datatype[], text: string): { start: Buffer; end: Buffer | undefined } {
  const { family, first, last } = IpRange.parse(text);
  const start = encodeValue(types, first.toString());
  const next = last.toBigInt() + 1n;
  const all = 1n << BigInt(start.length * 8);
  return { start, end: next === all ? undefined : Buffer.from(IpAddr.fromBigInt(family, next).bytes) };
}

/** The addresses from `start` to just before `end`, as nft prints them. */
export function intervalText(start: Buffer, end: Buffer | undefined): string {
  const first = IpAddr.fromBytes(start);
  const after = end ? IpAddr.fromBytes(end).toBigInt() : 1n << BigInt(start.length * 8);
  return addressesText(first, IpAddr.fromBigInt(first.family, after - 1n));
}

/** As nft prints consecutive addresses: a single one, a prefix where they are one, else `FIRST-LAST`. */
export function addressesText(first: IpAddr, last: IpAddr): string {
  const size = last.toBigInt() - first.toBigInt() + 1n;
  if (size === 1n) return first.toString();
  const hostBits = size.toString(2).length - 1;
  const prefix = Prefix.of(first, addressBits(first.family) - hostBits);
  return prefix.size === size && prefix.address.equals(first) ? prefix.toString() : `${first}-${last}`;
}
