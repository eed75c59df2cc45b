import { endianness } from 'node:os';
import { IpAddr } from '../../net/ip.ts';
import { IpRange } from '../../net/range.ts';
import { addressesText, type Datatype, decodeValue, encodeValue } from './datatypes.ts';
import type { NftSetSpec } from './types.ts';

/**
 * Sets of concatenations in which a part may be a prefix or a range, e.g. `10.9.0.1 . tcp . 80 . 192.168.0.0/16`, `1:8 . tcp . 8000-8080` (nft_set_pipapo,
 * Linux 5.6): an element has a first and a last value of each part (NFTA_SET_ELEM_KEY and _KEY_END), both inclusive.
 * As nft has it, numbers of the host's order (class ids) are in network order here, and so are those that rules look up (`inNetworkOrder`).
 */
export const isRanged = (set: NftSetSpec): boolean => set.flags.includes('interval') && set.key.includes(' . ');

const isAddress = ({ name }: Datatype): boolean => name === 'ipv4_addr' || name === 'ipv6_addr';

/** First and last value of a part, as texts. */
function endsOf(type: Datatype, text: string): [first: string, last: string] {
  if (isAddress(type)) {
    if (!text.includes('/') && !text.includes('-')) return [text, text];
    const { first, last } = IpRange.parse(text);
    return [`${first}`, `${last}`];
  }
  const dash = type.name === 'inet_service' ? text.indexOf('-') : -1;
  if (dash < 0) return [text, text];
  const ends: [string, string] = [text.slice(0, dash), text.slice(dash + 1)];
  if (Number(ends[0]) > Number(ends[1])) throw new SyntaxError(`"${text}" is no range of ports: its end comes before its start`);
  return ends;
}

/** The same with numbers of the host's order turned to network order, and back. */
function turned(types: readonly Datatype[], bytes: Buffer): Buffer {
  if (endianness() === 'BE' || types.every(({ order }) => order === 'network')) return bytes;
  const result = Buffer.from(bytes);
  let at = 0;
  for (const { order, size } of types) {
    if (order === 'host') result.subarray(at, at + size).reverse();
    at += (size + 3) & ~3;
  }
  return result;
}

/** @throws SyntaxError when a part is not of its type */
export function rangeOf(types: readonly Datatype[], text: string): { first: Buffer; last: Buffer } {
  const parts = text.split(' . ');
  const ends = parts.map((part, i) => (types[i] ? endsOf(types[i], part) : ([part, part] as const)));
  const side = (which: 0 | 1): Buffer => turned(types, encodeValue(types, ends.map((pair) => pair[which]).join(' . ')));
  return { first: side(0), last: side(1) };
}

/** The inverse of `rangeOf`; a range of one value is that value, and one of addresses that is a prefix is that. */
export function rangeText(types: readonly Datatype[], first: Buffer, last: Buffer): string {
  const ends = decodeValue(types, turned(types, last)).split(' . ');
  return decodeValue(types, turned(types, first))
    .split(' . ')
    .map((start, i) => {
      const end = ends[i]!;
      if (start === end) return start;
      return isAddress(types[i]!) ? addressesText(IpAddr.parse(start), IpAddr.parse(end)) : `${start}-${end}`;
    })
    .join(' . ');
}
