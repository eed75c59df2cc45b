import type { Family, IpAddr } from '../net/ip.ts';
import { type Bits, beBits, bytesBits, hostBits, join, textBits, unknownBits } from './bits.ts';

/** A link as rules see it; `?` in the name stands for a character that differs from pod to pod. */
export interface LinkView {
  name: string;
  index: number;
  group: number;
  kind?: string;
}

/** One packet at one place of its way, and its connection. */
export interface Packet {
  family: Family;
  /** 6 TCP, 17 UDP, 132 SCTP, 1 ICMP, 58 ICMPv6, or another */
  protocol: number;
  source: IpAddr;
  destination: IpAddr;
  /** Without meaning where the protocol has none; of an ICMP error those of nobody. */
  sourcePort: number;
  destinationPort: number;
  in?: LinkView;
  out?: LinkView;
  state: 'new' | 'established' | 'related' | 'invalid';
  direction: 'original' | 'reply';
  /** The connection's destination was translated (a Service). */
  translated?: boolean;
  /** podnet keeps it out of conntrack: UDP of this node's DNS. What rules before podnet's (priority -300) would see otherwise is left out of account. */
  untracked?: boolean;
  /** As the connection was opened, before translation. */
  opened: Ends;
  /** As its answers come in: from whom the packets really go to, to whom they seem to be from. Not known where it is left out. */
  answered?: Ends;
  /** The connection's own protocol, where the packet is an ICMP error about it. */
  about?: number;
  /** Of a TCP segment; by default SYN, SYN-ACK or ACK as its state and direction have it. */
  tcpFlags?: number;
  /** Of an ICMP message; not known where it is left out. */
  icmpType?: number;
  /** This node's own, for `fib … type local`. */
  isLocal: { source: boolean; destination: boolean };
}

export interface Ends {
  source: IpAddr;
  destination: IpAddr;
  sourcePort: number;
  destinationPort: number;
}

/** NFPROTO_IPV4, NFPROTO_IPV6 */
export const familyNumber = { ipv4: 2, ipv6: 10 } as const;

const byte = (value: number): Bits => beBits(value, 1);

/** The IP header, as far as it is known: no options, no fragment. */
function networkHeader({ family, protocol, source, destination }: Packet): Bits {
  if (family === 'ipv4')
    return join([
      ...[byte(0x45), unknownBits(1), unknownBits(2), unknownBits(2), beBits(0x4000, 2), unknownBits(1), byte(protocol)],
      ...[unknownBits(2), bytesBits(source.bytes), bytesBits(destination.bytes)],
    ]);
  return join([
    ...[
      { value: Uint8Array.of(0x60), known: Uint8Array.of(0xf0) },
      unknownBits(3),
      unknownBits(2),
      byte(protocol),
      unknownBits(1),
    ],
    ...[bytesBits(source.bytes), bytesBits(destination.bytes)],
  ]);
}

/** TCP, UDP or SCTP; of ICMP the type, where it is known; of others nothing. */
function transportHeader({ protocol, sourcePort, destinationPort, state, direction, tcpFlags, icmpType }: Packet): Bits {
  const ports = [beBits(sourcePort, 2), beBits(destinationPort, 2)];
  if (protocol === 17) return join([...ports, unknownBits(4)]);
  if (protocol === 132) return join([...ports, unknownBits(8)]);
  if (protocol === 1 || protocol === 58) return join([icmpType === undefined ? unknownBits(1) : byte(icmpType), unknownBits(7)]);
  if (protocol !== 6) return unknownBits(8);
  const flags = byte(tcpFlags ?? (state === 'new' ? 0x02 : direction === 'reply' ? 0x12 : 0x10));
  return join([...ports, unknownBits(8), unknownBits(1), flags, unknownBits(6)]);
}

/** NF_CT_STATE_BIT: invalid 1, established 2, related 4, new 8, untracked 64 */
export const stateBit = { new: 8, established: 2, related: 4, invalid: 1, untracked: 64 } as const;

/** enum ip_conntrack_status, what is known of it. */
export function statusBits({ state, translated }: Packet): Bits {
  const seenReply = 2;
  const confirmed = 8;
  const dnat = 32;
  // Source translation (16) and what is about NAT's own bookkeeping is not known beforehand.
  const known = 1 | seenReply | confirmed | dnat;
  return hostBits((state === 'new' ? 0 : seenReply | confirmed) | (translated ? dnat : 0), 4, known);
}

const ethertype = { ipv4: 0x0800, ipv6: 0x86dd } as const;

/** What rules read of a packet, whatever they did before. */
export interface Facts {
  network: Bits;
  transport: Bits;
  /** By the key that nftables has for it. */
  meta: ReadonlyMap<string, Bits>;
}

const known = new WeakMap<Packet, Facts>();

/** Made once for each packet: many thousand rules may read it. */
export function factsOf(packet: Packet): Facts {
  let facts = known.get(packet);
  if (!facts) known.set(packet, (facts = readFacts(packet)));
  return facts;
}

const readFacts = (packet: Packet): Facts => ({
  network: networkHeader(packet),
  transport: transportHeader(packet),
  meta: new Map([
    ['protocol', beBits(ethertype[packet.family], 2)],
    ['nfproto', byte(familyNumber[packet.family])],
    ['l4proto', byte(packet.protocol)],
    ['iif', hostBits(packet.in?.index ?? 0, 4)],
    ['oif', hostBits(packet.out?.index ?? 0, 4)],
    ['iifname', textBits(packet.in?.name ?? '', 16)],
    ['oifname', textBits(packet.out?.name ?? '', 16)],
    ['iifgroup', hostBits(packet.in?.group ?? 0, 4)],
    ['oifgroup', hostBits(packet.out?.group ?? 0, 4)],
    ['iiftype', hostBits(1, 2)],
    ['oiftype', hostBits(1, 2)],
    // PACKET_HOST
    ['pkttype', byte(0)],
  ]),
});
