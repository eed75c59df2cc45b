import { IpAddr } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';
import { type Datatype, decodeValue, encodeValue } from './datatypes.ts';
import type { NftSetSpec } from './types.ts';

/**
 * Sets of concatenations in which a part may be a prefix, e.g. `10.9.0.1 . tcp . 80 . 192.168.0.0/16` (nft_set_pipapo, Linux 5.6): an element has a
 * first and a last value of each part (NFTA_SET_ELEM_KEY and _KEY_END), both inclusive.
 */
export const isRanged = (set: NftSetSpec): boolean => set.flags.includes('interval') && set.key.includes(' . ');

/** @throws SyntaxError when a part is not of its type */
export function rangeOf(types: readonly Datatype[], text: string): { first: Buffer; last: Buffer } {
  const prefixes = text.split(' . ').map((part) => (part.includes('/') ? Prefix.parse(part) : part));
  const side = (pick: (prefix: Prefix) => IpAddr): Buffer =>
    encodeValue(types, prefixes.map((part) => (typeof part === 'string' ? part : `${pick(part)}`)).join(' . '));
  return { first: side(({ address }) => address), last: side((prefix) => prefix.last) };
}

/** The inverse of `rangeOf`; a prefix of one address is that address. @throws RangeError for a range that is no prefix (podnet writes none) */
export function rangeText(types: readonly Datatype[], first: Buffer, last: Buffer): string {
  const ends = decodeValue(types, last).split(' . ');
  return decodeValue(types, first)
    .split(' . ')
    .map((start, i) => (start === ends[i] ? start : prefixBetween(start, ends[i]!)))
    .join(' . ');
}

function prefixBetween(start: string, end: string): string {
  const [first, last] = [IpAddr.parse(start), IpAddr.parse(end)];
  const hostBits = (last.toBigInt() - first.toBigInt()).toString(2).length;
  const prefix = Prefix.of(first, first.bytes.length * 8 - hostBits);
  if (prefix.address.equals(first) && prefix.last.equals(last)) return `${prefix}`;
  throw new RangeError(`${start} to ${end} is not a prefix`);
}
