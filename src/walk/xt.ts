import { endianness } from 'node:os';
import type { IpSets } from '../kernel/ipset.ts';
import { and, type Bits, bytesBits, hexBytes, not, type Tri, within } from './bits.ts';
import type { Packet } from './packet.ts';
import { type State, stateOf } from './state.ts';
import { matchSet } from './xt-set.ts';

/**
 * Extensions of iptables by their own structs, in the host's byte order: include/uapi/linux/netfilter/xt_….h. iptables-nft writes them as the
 * expressions `match` and `target`, iptables-legacy as struct xt_entry_match and xt_entry_target.
 */
export interface Extension {
  name: string;
  revision: number;
  info: Buffer;
}

const little = endianness() === 'LE';
const u16 = (info: Buffer, at: number): number => (little ? info.readUInt16LE(at) : info.readUInt16BE(at));
const u32 = (info: Buffer, at: number): number => (little ? info.readUInt32LE(at) : info.readUInt32BE(at));

export const extensionOf = (name: string, revision: number, hex: string): Extension => ({
  name,
  revision,
  info: hexBytes(hex),
});

/** One match: whether a packet passes it, and how iptables writes it. */
export interface XtMatch {
  matches: Tri;
  words: string;
}

type Reader = (extension: Extension, packet: Packet, state: State, sets?: IpSets) => XtMatch;

const ports = (info: Buffer, at: number, port: number, inverted: boolean): Tri => {
  const [from, to] = [u16(info, at), u16(info, at + 2)];
  return inverted !== (port >= from && port <= to);
};

const portWords = (option: string, info: Buffer, at: number, inverted: boolean): string[] => {
  const [from, to] = [u16(info, at), u16(info, at + 2)];
  if (from === 0 && to === 65535) return [];
  return [`${inverted ? '! ' : ''}${option} ${from === to ? from : `${from}:${to}`}`];
};

/** XT_CONNTRACK_STATE_BIT and its like */
const xtStates = { INVALID: 1, ESTABLISHED: 2, RELATED: 4, NEW: 8, SNAT: 0x40, DNAT: 0x80, UNTRACKED: 0x100 } as const;

function ctState(mask: number, inverted: boolean, packet: Packet, state: State): Tri {
  const bits = stateOf(packet, state) === 64 ? xtStates.UNTRACKED : stateOf(packet, state);
  const natted = packet.translated ? xtStates.DNAT : 0;
  if (mask & (bits | natted)) return !inverted;
  return mask & xtStates.SNAT ? 'unknown' : inverted;
}

const stateWords = (mask: number): string =>
  Object.entries(xtStates)
    .filter(([, bit]) => mask & bit)
    .map(([name]) => name)
    .join(',');

const bang = (inverted: number | boolean): string => (inverted ? '! ' : '');

/** xt_conntrack_mtinfo1, 2, 3: what else than the state is asked is not told. */
const conntrack: Reader = ({ revision, info }, packet, state) => {
  const [flags, inverted] = [u16(info, 146), u16(info, 148)];
  const mask = revision === 1 ? info[150]! : u16(info, 150);
  const parts: XtMatch[] = [];
  if (flags & 1)
    parts.push({
      matches: ctState(mask, (inverted & 1) !== 0, packet, state),
      words: `${bang(inverted & 1)}ctstate ${stateWords(mask)}`,
    });
  if (flags & 0x40) {
    const status = revision === 1 ? info[151]! : u16(info, 152);
    const known = status & ~0x3f ? 'unknown' : status === 0x20 ? packet.translated === true : 'unknown';
    parts.push({
      matches: inverted & 0x40 ? not(known) : known,
      words: `${bang(inverted & 0x40)}ctstatus 0x${status.toString(16)}`,
    });
  }
  if (flags & 0x1000) {
    const original = (inverted & 0x1000) === 0;
    parts.push({ matches: (packet.direction === 'original') === original, words: `ctdir ${original ? 'ORIGINAL' : 'REPLY'}` });
  }
  if (flags & ~0x1041) parts.push({ matches: 'unknown', words: `ct flags 0x${(flags & ~0x1041).toString(16)}` });
  return {
    matches: parts.reduce<Tri>((all, { matches }) => and(all, matches), true),
    words: parts.map((p) => p.words).join(' '),
  };
};

/** RTN_… by number */
const addressTypes = ['UNSPEC', 'UNICAST', 'LOCAL', 'BROADCAST', 'ANYCAST', 'MULTICAST', 'BLACKHOLE', 'UNREACHABLE', 'PROHIBIT'];

const addrtype: Reader = ({ revision, info }, { isLocal }) => {
  const [source, destination] = [u16(info, 0), u16(info, 2)];
  const flags = revision === 0 ? 0 : u32(info, 4);
  const notSource = revision === 0 ? u32(info, 4) !== 0 : (flags & 1) !== 0;
  const notDestination = revision === 0 ? u32(info, 8) !== 0 : (flags & 2) !== 0;
  const ask = (mask: number, inverted: boolean, local: boolean): Tri => {
    if (mask === 0) return true;
    // Local to one link only: which one has the address is not looked at.
    if (local && flags & 0xc) return 'unknown';
    return inverted !== ((mask & (local ? 4 : 2)) !== 0);
  };
  const say = (option: string, mask: number, inverted: boolean): string[] =>
    mask === 0 ? [] : [`${bang(inverted)}${option} ${addressTypes.filter((_, i) => mask & (1 << i)).join(',')}`];
  return {
    matches: and(ask(source, notSource, isLocal.source), ask(destination, notDestination, isLocal.destination)),
    words: [...say('src-type', source, notSource), ...say('dst-type', destination, notDestination)].join(' '),
  };
};

/** struct xt_tcp */
const tcp: Reader = ({ info }, packet) => {
  const inverted = info[11]!;
  const [mask, compare] = [info[9]!, info[10]!];
  const flags = packet.state === 'new' ? 0x02 : packet.direction === 'reply' ? 0x12 : 0x10;
  const option: Tri = info[8] === 0 ? true : 'unknown';
  const flagsMatch: Tri = mask === 0 ? true : ((flags & mask) === compare) !== ((inverted & 4) !== 0);
  const both = and(
    ports(info, 0, packet.sourcePort, (inverted & 1) !== 0),
    ports(info, 4, packet.destinationPort, (inverted & 2) !== 0),
  );
  return {
    matches: packet.protocol === 6 ? and(both, and(option, flagsMatch)) : false,
    words: [
      ...['tcp', ...portWords('sport', info, 0, (inverted & 1) !== 0), ...portWords('dport', info, 4, (inverted & 2) !== 0)],
      ...(mask === 0 ? [] : [`${bang(inverted & 4)}flags 0x${mask.toString(16)}/0x${compare.toString(16)}`]),
    ].join(' '),
  };
};

const udp: Reader = ({ info }, packet) => {
  const inverted = info[8]!;
  const both = and(
    ports(info, 0, packet.sourcePort, (inverted & 1) !== 0),
    ports(info, 4, packet.destinationPort, (inverted & 2) !== 0),
  );
  return {
    matches: packet.protocol === 17 ? both : false,
    words: [
      'udp',
      ...portWords('sport', info, 0, (inverted & 1) !== 0),
      ...portWords('dport', info, 4, (inverted & 2) !== 0),
    ].join(' '),
  };
};

/** struct xt_multiport_v1 */
const multiport: Reader = ({ revision, info }, packet) => {
  const count = info[1]!;
  const inverted = revision > 0 && info[47] !== 0;
  const texts: string[] = [];
  const among = (port: number): boolean => {
    let found = false;
    for (let i = 0; i < count; i++) {
      const from = u16(info, 2 + 2 * i);
      // The flag of an entry says that the next one is the end of its range.
      const to = revision > 0 && info[32 + i] !== 0 ? u16(info, 2 + 2 * ++i) : from;
      found ||= port >= from && port <= to;
      texts.push(from === to ? `${from}` : `${from}:${to}`);
    }
    return found;
  };
  const { sourcePort, destinationPort } = packet;
  const chosen = [[sourcePort], [destinationPort], [sourcePort, destinationPort]][info[0]!] ?? [];
  const matches = chosen.map(among).includes(true);
  const words = texts.slice(0, texts.length / (chosen.length || 1)).join(',');
  return { matches: matches !== inverted, words: `${bang(inverted)}${['sports', 'dports', 'ports'][info[0]!]} ${words}` };
};

const maskedMark =
  (which: 'mark' | 'ctMark'): Reader =>
  ({ info }, _, state) => {
    const [mark, mask] = [u32(info, 0), u32(info, 4)];
    const inverted = info[8] !== 0;
    const now = state[which];
    const equal: Tri = now === undefined ? 'unknown' : ((now & mask) >>> 0 === mark) !== inverted;
    const hex = (value: number): string => `0x${value.toString(16)}`;
    return {
      matches: equal,
      words: `${bang(inverted)}${which === 'mark' ? 'mark' : 'connmark'} ${hex(mark)}${mask === 0xffffffff ? '' : `/${hex(mask)}`}`,
    };
  };

/** struct xt_iprange_mtinfo */
const iprange: Reader = ({ info }, { source, destination }) => {
  const flags = info[64]!;
  const between = (bytes: Uint8Array, at: number): Tri => {
    const end = bytes.length;
    const bits: Bits = bytesBits(bytes);
    return within(bits, info.subarray(at, at + end), info.subarray(at + 16, at + 16 + end));
  };
  const from: Tri = flags & 1 ? ((flags & 16) !== 0 ? not(between(source.bytes, 0)) : between(source.bytes, 0)) : true;
  const to: Tri = flags & 2 ? ((flags & 32) !== 0 ? not(between(destination.bytes, 32)) : between(destination.bytes, 32)) : true;
  return { matches: and(from, to), words: 'iprange' };
};

/** struct xt_physdev_info: of packets that no bridge forwards, only what is inverted matches. */
const physdev: Reader = ({ info }, packet) => {
  const [inverted, asked] = [info[64]!, info[65]!];
  const bridged = packet.in?.kind === 'bridge' || packet.out?.kind === 'bridge';
  return { matches: bridged ? 'unknown' : (asked & ~inverted) === 0, words: 'physdev' };
};

/** struct xt_devgroup_info */
const devgroup: Reader = ({ info }, packet) => {
  const flags = u32(info, 0);
  const ask = (bit: number, group: number | undefined, at: number): Tri =>
    flags & bit
      ? (flags & (bit << 1)) === 0
        ? ((group ?? 0) & u32(info, at + 4)) === u32(info, at)
        : ((group ?? 0) & u32(info, at + 4)) !== u32(info, at)
      : true;
  return { matches: and(ask(1, packet.in?.group, 4), ask(4, packet.out?.group, 12)), words: 'devgroup' };
};

const always =
  (matches: Tri): Reader =>
  ({ name }) => ({ matches, words: name });

const text = (info: Buffer): string => info.toString('utf8').replace(/\0.*$/s, '');

const readers = new Map<string, Reader>([
  ['conntrack', conntrack],
  [
    'state',
    ({ info }, packet, state) => ({
      matches: ctState(u32(info, 0), false, packet, state),
      words: `state ${stateWords(u32(info, 0))}`,
    }),
  ],
  ['addrtype', addrtype],
  ['tcp', tcp],
  ['udp', udp],
  ['multiport', multiport],
  ['mark', maskedMark('mark')],
  ['connmark', maskedMark('ctMark')],
  ['comment', ({ info }) => ({ matches: true, words: `comment "${text(info)}"` })],
  ['iprange', iprange],
  ['physdev', physdev],
  ['devgroup', devgroup],
  ['pkttype', ({ info }) => ({ matches: (u32(info, 0) === 0) !== (u32(info, 4) !== 0), words: 'pkttype' })],
  // Packets of pods come by the link that leads back to them.
  ['rpfilter', ({ info }) => ({ matches: (info[0]! & 8) === 0, words: `rpfilter${info[0]! & 8 ? ' invert' : ''}` })],
  ['set', (extension, packet, _, sets) => matchSet(extension, packet, sets)],
  ['nfacct', always(true)],
  // Asked only of packets of protocols and headers that the packets here are not of.
  ...['icmp', 'icmp6', 'sctp', 'dccp', 'esp', 'ah', 'ipcomp', 'frag', 'rt', 'hbh', 'dst', 'mh', 'srh'].map(
    (name): [string, Reader] => [name, always(false)],
  ),
]);

/**
 * @param sets of ip_set that rules name by number
 * @returns 'unknown' for a match that cannot be evaluated beforehand, like a rate limit
 */
export function xtMatch(extension: Extension, packet: Packet, state: State, sets?: IpSets): XtMatch {
  const read = readers.get(extension.name);
  if (!read) return { matches: 'unknown', words: `-m ${extension.name}` };
  try {
    return read(extension, packet, state, sets);
  } catch (error) {
    // A struct of another size than this revision has.
    if (error instanceof RangeError)
      return { matches: 'unknown', words: `-m ${extension.name} (revision ${extension.revision})` };
    throw error;
  }
}

export type XtEffect =
  | { kind: 'continue' }
  | { kind: 'reject'; with: string }
  | { kind: 'nat'; nat: 'snat' | 'dnat' }
  | { kind: 'queue' }
  | { kind: 'mark'; mark: number; mask: number }
  | { kind: 'ct-mark' | 'mark-unknown' | 'notrack' | 'unknown' };

const rejectWith = {
  ip: [
    ...['icmp-net-unreachable', 'icmp-host-unreachable', 'icmp-proto-unreachable', 'icmp-port-unreachable', 'echo-reply'],
    ...['icmp-net-prohibited', 'icmp-host-prohibited', 'tcp-reset', 'icmp-admin-prohibited'],
  ],
  ip6: [
    ...['icmp6-no-route', 'icmp6-adm-prohibited', 'icmp6-not-neighbour', 'icmp6-addr-unreachable', 'icmp6-port-unreachable'],
    ...['echo-reply', 'tcp-reset', 'icmp6-policy-fail', 'icmp6-reject-route'],
  ],
};

const passing = new Set([
  ...['LOG', 'NFLOG', 'TCPMSS', 'CHECKSUM', 'CLASSIFY', 'DSCP', 'TOS', 'TTL', 'HL', 'TRACE', 'SET', 'CONNSECMARK', 'SECMARK'],
  ...['AUDIT', 'LED', 'IDLETIMER', 'TEE', 'TCPOPTSTRIP', 'RATEEST', 'ECN', 'ULOG'],
]);

/** What a target does. @param ipv6 decides how REJECT's numbers read */
export function xtTarget({ name, info }: Extension, ipv6: boolean): XtEffect {
  switch (name) {
    case 'REJECT':
      return { kind: 'reject', with: rejectWith[ipv6 ? 'ip6' : 'ip'][u32(info, 0)] ?? `${u32(info, 0)}` };
    case 'MASQUERADE':
    case 'SNAT':
      return { kind: 'nat', nat: 'snat' };
    case 'DNAT':
    case 'REDIRECT':
      return { kind: 'nat', nat: 'dnat' };
    case 'NFQUEUE':
      return { kind: 'queue' };
    case 'MARK':
      return info.length >= 8 ? { kind: 'mark', mark: u32(info, 0), mask: u32(info, 4) } : { kind: 'mark-unknown' };
    case 'CONNMARK':
      // XT_CONNMARK_RESTORE
      return { kind: info[12] === 2 ? 'mark-unknown' : 'ct-mark' };
    case 'HMARK':
      return { kind: 'mark-unknown' };
    case 'NOTRACK':
      return { kind: 'notrack' };
    case 'CT':
      return { kind: info.length >= 2 && u16(info, 0) & 1 ? 'notrack' : 'continue' };
    default:
      return { kind: passing.has(name) ? 'continue' : 'unknown' };
  }
}
