import type { Family, IpAddr } from '../net/ip.ts';
import { ipv4Addr, ipv6Addr } from '../wire/addresses.ts';
import { attrs, nested } from '../wire/attributes.ts';
import type { Infer, InferInput } from '../wire/codec.ts';
import { message } from '../wire/message.ts';
import type { Reader } from '../wire/reader.ts';
import { be16, be32, be64, u8, u32 } from '../wire/scalars.ts';
import { struct } from '../wire/struct.ts';
import { bits, familyOf, named } from './rtnetlink/names.ts';

// include/uapi/linux/netfilter/nfnetlink_conntrack.h; network byte order

/** IPPROTO_… */
const ipProtocol = named(u8, { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 });

/** CTA_TUPLE_…: CTA_IP and CTA_PROTO */
const tupleAttrs = attrs({
  ip: [1, nested(attrs({ src4: [1, ipv4Addr], dst4: [2, ipv4Addr], src6: [3, ipv6Addr], dst6: [4, ipv6Addr] }))],
  proto: [
    2,
    nested(
      attrs({
        protocol: [1, ipProtocol],
        sourcePort: [2, be16],
        destinationPort: [3, be16],
        icmpId: [4, be16],
        icmpType: [5, u8],
        icmpCode: [6, u8],
        icmpv6Id: [7, be16],
        icmpv6Type: [8, u8],
        icmpv6Code: [9, u8],
      }),
    ),
  ],
  zone: [3, be16],
});

/** CTA_PROTOINFO_TCP_STATE: TCP_CONNTRACK_… */
const tcpState = named(u8, {
  none: 0,
  'syn-sent': 1,
  'syn-received': 2,
  established: 3,
  'fin-wait': 4,
  'close-wait': 5,
  'last-ack': 6,
  'time-wait': 7,
  close: 8,
  'syn-sent2': 9,
});

const counters = attrs({ packets: [1, be64], bytes: [2, be64] });

/** CTA_… */
const conntrackAttrs = attrs({
  original: [1, nested(tupleAttrs)],
  reply: [2, nested(tupleAttrs)],
  status: [3, be32],
  protocolInfo: [4, nested(attrs({ tcp: [1, nested(attrs({ state: [1, tcpState] }))] }))],
  timeout: [7, be32],
  mark: [8, be32],
  originalCounters: [9, nested(counters)],
  replyCounters: [10, nested(counters)],
  id: [12, be32],
  zone: [18, be16],
  // CTA_MARK_MASK: the bits of the mark that are replaced
  markMask: [21, be32],
  // CTA_FILTER: which fields of a tuple count, as flags in host byte order
  filter: [25, nested(attrs({ original: [1, u32], reply: [2, u32] }))],
});

/** CTA_FILTER_F_CTA_IP_… (net/netfilter/nf_internals.h) */
export const byAddress = { source: 1, destination: 2 } as const;
/** CTA_FILTER_F_CTA_PROTO_NUM and CTA_FILTER_F_CTA_PROTO_DST_PORT */
export const byDestinationPort = (1 << 3) | (1 << 5);

/** struct nfgenmsg */
const nfgenmsg = struct({ family: u8, version: u8, resource: be16 });
const subsystem = 1 << 8;
export const conntrack = message(subsystem | 0, nfgenmsg, conntrackAttrs); // IPCTNL_MSG_CT_NEW
export const getConntrack = subsystem | 1;
export const deleteConntrack = subsystem | 2;
/** IPCTNL_MSG_CT_GET_STATS, with CTA_STATS_GLOBAL_… */
export const tableStatistics = message(subsystem | 5, nfgenmsg, attrs({ entries: [1, be32] }, { unknown: 'dropped' }));

/** IPS_… (nf_conntrack_common.h) */
const statusBits = bits({
  expected: 1,
  'seen-reply': 1 << 1,
  assured: 1 << 2,
  confirmed: 1 << 3,
  snat: 1 << 4,
  dnat: 1 << 5,
  dying: 1 << 9,
  offload: 1 << 14,
});

export type ConntrackStatus = ReturnType<typeof statusBits.read>[number];
export type ConntrackProtocol = Infer<typeof ipProtocol>;

/** One direction of a connection: what packets of it look like before translation. */
export interface Tuple {
  source: IpAddr;
  destination: IpAddr;
  protocol: ConntrackProtocol;
  /** TCP, UDP, SCTP */
  sourcePort?: number;
  destinationPort?: number;
  /** ICMP echo */
  icmp?: { id: number; type: number; code: number };
}

/** A connection that the kernel tracks. Translation shows in `reply`: with DNAT its source is where the packets really went. */
export interface ConntrackEntry {
  family: Family;
  original: Tuple;
  reply: Tuple;
  status: readonly ConntrackStatus[];
  timeoutS: number;
  mark: number;
  zone: number;
  /**
   * A hash of where the kernel keeps it and of `original` (nf_ct_get_id). A later one with the same original tuple often has it again, also when it is translated
   * to somewhere else: the kernel puts it where the one before was.
   */
  id: number;
  tcpState?: Infer<typeof tcpState>;
  /** original and reply direction; only with net.netfilter.nf_conntrack_acct */
  packets?: readonly [bigint, bigint];
  bytes?: readonly [bigint, bigint];
}

/** What tells a connection from all others, also from later ones (as far as they lead elsewhere). */
export type ConntrackName = Pick<ConntrackEntry, 'original' | 'reply' | 'zone' | 'id'>;

export interface ConntrackFilter {
  family?: Family;
  protocol?: ConntrackProtocol;
  originalSource?: IpAddr;
  originalDestination?: IpAddr;
  originalDestinationPort?: number;
  /** Any of them; the whole table is read for it. */
  originalDestinationPorts?: ReadonlySet<number>;
  replySource?: IpAddr;
  replyDestination?: IpAddr;
}

/** Whether any of the addresses in the tuples of a message is wanted. Leaves the reader where it is. */
export function someAddress({ buffer, position, end }: Reader, wanted: (bytes: string) => boolean): boolean {
  /** Calls back for each attribute with its type and where its value begins and ends. */
  const some = (from: number, to: number, each: (type: number, from: number, to: number) => boolean): boolean => {
    for (let at = from; at + 4 <= to; ) {
      const length = buffer.readUInt16LE(at);
      if (length < 4 || at + length > to) return true; // for the decoder to complain about
      if (each(buffer.readUInt16LE(at + 2) & 0x3fff, at + 4, at + length)) return true;
      at += (length + 3) & ~3;
    }
    return false;
  };
  const address = (_: number, from: number, to: number): boolean => wanted(buffer.toString('latin1', from, to));
  const inTuple = (type: number, from: number, to: number): boolean => type === 1 && some(from, to, address); // CTA_TUPLE_IP
  // struct nfgenmsg; CTA_TUPLE_ORIG, CTA_TUPLE_REPLY
  return some(position + 4, end, (type, from, to) => (type === 1 || type === 2) && some(from, to, inTuple));
}

/** The mark of an entry, without the rest being decoded; 0 where there is none. */
export function markIn({ buffer, position, end }: Reader): number {
  for (let at = position + 4; at + 8 <= end; ) {
    const length = buffer.readUInt16LE(at);
    if (length < 4) return 0;
    if ((buffer.readUInt16LE(at + 2) & 0x3fff) === 8 && length === 8) return buffer.readUInt32BE(at + 4); // CTA_MARK
    at += (length + 3) & ~3;
  }
  return 0;
}

export function matches({ original, reply }: ConntrackEntry, filter: ConntrackFilter): boolean {
  const same = (wanted: IpAddr | undefined, address: IpAddr): boolean => !wanted || wanted.equals(address);
  return (
    (filter.protocol === undefined || original.protocol === filter.protocol) &&
    (filter.originalDestinationPort === undefined || original.destinationPort === filter.originalDestinationPort) &&
    (filter.originalDestinationPorts?.has(original.destinationPort ?? 0) ?? true) &&
    same(filter.originalSource, original.source) &&
    same(filter.originalDestination, original.destination) &&
    same(filter.replySource, reply.source) &&
    same(filter.replyDestination, reply.destination)
  );
}

export function tupleAttributes(tuple: Tuple): InferInput<typeof tupleAttrs> {
  const { source, destination, protocol, sourcePort, destinationPort, icmp } = tuple;
  const ipv4 = source.family === 'ipv4';
  const echo = ipv4
    ? { icmpId: icmp?.id, icmpType: icmp?.type, icmpCode: icmp?.code }
    : { icmpv6Id: icmp?.id, icmpv6Type: icmp?.type, icmpv6Code: icmp?.code };
  return {
    ip: ipv4 ? { src4: source, dst4: destination } : { src6: source, dst6: destination },
    proto: { protocol, sourcePort, destinationPort, ...echo },
  };
}

function tupleOf(got: Infer<typeof tupleAttrs> | undefined): Tuple | undefined {
  const source = got?.ip?.src4 ?? got?.ip?.src6;
  const destination = got?.ip?.dst4 ?? got?.ip?.dst6;
  const proto = got?.proto;
  if (!source || !destination || !proto) return undefined;
  const tuple: Tuple = { source, destination, protocol: proto.protocol ?? '#0' };
  if (proto.sourcePort !== undefined) tuple.sourcePort = proto.sourcePort;
  if (proto.destinationPort !== undefined) tuple.destinationPort = proto.destinationPort;
  const id = proto.icmpId ?? proto.icmpv6Id;
  if (id !== undefined)
    tuple.icmp = { id, type: proto.icmpType ?? proto.icmpv6Type ?? 0, code: proto.icmpCode ?? proto.icmpv6Code ?? 0 };
  return tuple;
}

/** Reads what follows the netlink header; undefined when the message is something else. */
export const readConntrackNew = (type: number, reader: Reader): ConntrackEntry | undefined =>
  type === conntrack.type ? entryOf(conntrack.body.decode(reader)) : undefined;

export function entryOf(got: Infer<typeof conntrack.body>): ConntrackEntry | undefined {
  const family = familyOf(got.family);
  const original = tupleOf(got.original);
  const reply = tupleOf(got.reply);
  if (!family || !original || !reply) return undefined;
  const entry: ConntrackEntry = {
    family,
    original,
    reply,
    status: statusBits.read(got.status ?? 0),
    timeoutS: got.timeout ?? 0,
    mark: got.mark ?? 0,
    zone: got.zone ?? 0,
    id: got.id ?? 0,
    tcpState: got.protocolInfo?.tcp?.state,
  };
  const { originalCounters: a, replyCounters: b } = got;
  if (a && b) {
    entry.packets = [a.packets ?? 0n, b.packets ?? 0n];
    entry.bytes = [a.bytes ?? 0n, b.bytes ?? 0n];
  }
  return entry;
}
