import { endianness } from 'node:os';
import type { IpSet, IpSetElement, IpSets } from '../kernel/ipset.ts';
import type { RulesetTable } from '../kernel/nftables/index.ts';
import type { IpAddr } from '../net/ip.ts';
import { hexBytes, not, type Tri } from './bits.ts';
import type { Packet } from './packet.ts';
import type { Extension, XtMatch } from './xt.ts';

/** struct xt_set_info, and where revisions from 3 on say which counters they ask: include/uapi/linux/netfilter/xt_set.h, ip_set.h */
interface Asked {
  index: number;
  dimensions: number;
  flags: number;
  /** It asks what elements have counted as well. */
  counters: boolean;
}

/** IPSET_INV_MATCH, IPSET_RETURN_NOMATCH; 1 << n is for the n-th dimension: the packet's source, else its destination. */
const inverse = 1;
const returnNoMatch = 0x80;

/** Where `op` of struct ip_set_counter_match stands, for packets and for bytes. */
const counterAt: Readonly<Record<number, readonly [number, number]>> = { 3: [8, 24], 4: [16, 32] };

/** @returns undefined for revision 0, which kernels before 2.6.39 had */
function askedOf({ revision, info }: Extension): Asked | undefined {
  if (revision === 0) return undefined;
  const counters = (counterAt[revision] ?? []).some((at) => info.readUInt8(at) !== 0);
  const index = endianness() === 'LE' ? info.readUInt16LE(0) : info.readUInt16BE(0);
  return { index, dimensions: info.readUInt8(2), flags: info.readUInt8(3), counters };
}

/** `-m set --match-set NAME src,dst`, by what the set holds now: what programs and packets add and delete later is another look's. */
export function matchSet(extension: Extension, packet: Packet, sets: IpSets | undefined): XtMatch {
  const asked = askedOf(extension);
  if (!asked) return { matches: 'unknown', words: '-m set' };
  const { index, dimensions, flags } = asked;
  const set = sets?.get(index);
  const isInverted = (flags & inverse) !== 0;
  const sides = Array.from({ length: dimensions }, (_, i) => (flags & (2 << i) ? 'src' : 'dst'));
  const words = `${isInverted ? '! ' : ''}match-set ${set?.name ?? `number ${index}`} ${sides.join(',')}`;
  const address = flags & 2 ? packet.source : packet.destination;
  const found = set ? isIn(set, address, asked) : 'unknown';
  return { matches: isInverted ? not(found) : found, words };
}

function isIn({ elements, family }: IpSet, address: IpAddr, { flags, counters }: Asked): Tri {
  // The kernel answers for a packet of the other family without a look.
  if (family !== undefined && family !== address.family) return false;
  if (!elements) return 'unknown';
  let longest: IpSetElement | undefined;
  for (const element of elements) {
    if (!element.prefix.contains(address) || (longest && longest.prefix.length >= element.prefix.length)) continue;
    longest = element;
  }
  if (!longest) return false;
  if (longest.expires || counters || flags & returnNoMatch) return 'unknown';
  return !longest.isException;
}

/** The numbers of all sets that rules of iptables match by. */
export function ipsetsNamed(tables: readonly RulesetTable[]): Set<number> {
  const numbers = new Set<number>();
  for (const { chains } of tables)
    for (const { rules } of chains.values())
      for (const { expressions } of rules)
        for (const expression of expressions) {
          if (expression.name !== 'match' || expression.match !== 'set') continue;
          const asked = askedOf({ name: 'set', revision: expression.revision ?? 0, info: hexBytes(expression.info ?? '0x') });
          if (asked) numbers.add(asked.index);
        }
  return numbers;
}
