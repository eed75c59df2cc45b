import { check } from '../../../kernel/errors.ts';
import type { Fd } from '../../../kernel/fd.ts';
import type { NetNs } from '../../../kernel/netns.ts';
import { internetChecksum } from '../../../kernel/probes.ts';
import { sockaddr } from '../../../kernel/sockaddr.ts';
import { sockRaw } from '../../../kernel/socket-options.ts';
import { socketIn } from '../../../kernel/sockets.ts';
import { sys } from '../../../kernel/sys.ts';
import { type Family, IpAddr } from '../../../net/ip.ts';
import { crc32c } from '../../../testing/sctp.ts';

/** IPPROTO_RAW: what is sent has its own IP header. */
const ipprotoRaw = 255;
const [tcp, udp, sctp, gre, udpLite, dccp] = [6, 17, 132, 47, 136, 33] as const;
// Of IPv6: hop-by-hop options, routing, fragment, destination options (RFC 8200).
const [hopByHop, fragmentHeader, destinationOptions] = [0, 44, 60] as const;

/** Sends whole IP packets, header included. */
export class RawSender implements Disposable {
  readonly #fd: Fd;

  constructor(ns: NetNs, family: Family) {
    this.#fd = socketIn(ns, IpAddr.unspecified(family), sockRaw, ipprotoRaw, 'raw sender');
  }

  send(packet: Buffer, to: IpAddr): void {
    const name = sockaddr(to, 0);
    check(() => `send ${packet.length} bytes to ${to}`, sys.sendto(this.#fd.number, packet, packet.length, 0, name, name.length));
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }
}

interface Ports {
  source: number;
  destination: number;
}

interface Ip {
  options?: Buffer;
  /** Of the datagram that it is a part of. */
  id?: number;
  /** Where the part begins, in eights of bytes. */
  offset?: number;
  more?: boolean;
}

/** RFC 791. The kernel fills in length and checksum. */
function ipv4(from: IpAddr, to: IpAddr, protocol: number, payload: Buffer, { options = Buffer.alloc(0), id = 1, offset = 0, more = false }: Ip = {}): Buffer {
  const header = Buffer.alloc(12);
  header[0] = 0x40 | (5 + options.length / 4);
  header.writeUInt16BE(20 + options.length + payload.length, 2);
  header.writeUInt16BE(id, 4);
  header.writeUInt16BE((more ? 0x2000 : 0) | offset, 6);
  header.set([64, protocol], 8);
  return Buffer.concat([header, from.bytes, to.bytes, options, payload]);
}

/** RFC 8200. */
function ipv6(from: IpAddr, to: IpAddr, protocol: number, payload: Buffer): Buffer {
  const header = Buffer.from([0x60, 0, 0, 0, 0, 0, protocol, 64]);
  header.writeUInt16BE(payload.length, 4);
  return Buffer.concat([header, from.bytes, to.bytes, payload]);
}

/** Options of nothing but padding, of 8 bytes. */
const padding = (next: number): Buffer => Buffer.from([next, 0, 1, 4, 0, 0, 0, 0]);

function fragmentOf(next: number, offset: number, more: boolean, id: number): Buffer {
  const header = Buffer.from([next, 0, 0, 0, 0, 0, 0, 0]);
  header.writeUInt16BE((offset << 3) | (more ? 1 : 0), 2);
  header.writeUInt32BE(id, 4);
  return header;
}

function withChecksum(from: IpAddr, to: IpAddr, protocol: number, at: number, payload: Buffer): Buffer {
  const tail = Buffer.alloc(8);
  tail.writeUInt32BE(payload.length, 0);
  tail[7] = protocol;
  payload.writeUInt16BE(internetChecksum(Buffer.concat([from.bytes, to.bytes, tail, payload])), at);
  return payload;
}

/** One bit each, RFC 9293. */
const flags = { none: 0, fin: 1, syn: 2, rst: 4, synAck: 0x12, ack: 0x10, pushAck: 0x18, christmas: 0x29 } as const;

function segment(from: IpAddr, to: IpAddr, { source, destination }: Ports, bits: number): Buffer {
  const payload = Buffer.alloc(20);
  payload.writeUInt16BE(source, 0);
  payload.writeUInt16BE(destination, 2);
  payload.writeUInt32BE(1, 4);
  payload.set([0x50, bits, 0xff, 0xff], 12);
  return withChecksum(from, to, tcp, 16, payload);
}

function datagram(from: IpAddr, to: IpAddr, { source, destination }: Ports, protocol: number = udp): Buffer {
  const payload = Buffer.alloc(24);
  payload.writeUInt16BE(source, 0);
  payload.writeUInt16BE(destination, 2);
  payload.writeUInt16BE(payload.length, 4);
  return withChecksum(from, to, protocol, 6, payload);
}

/** RFC 9260: one chunk, of 20 bytes. INIT has no verification tag. */
function sctpPacket({ source, destination }: Ports, chunk: number): Buffer {
  const packet = Buffer.alloc(32);
  packet.writeUInt16BE(source, 0);
  packet.writeUInt16BE(destination, 2);
  packet.writeUInt32BE(chunk === 1 ? 0 : 0x1234_5678, 4);
  packet.set([chunk, 3, 0, 20], 12);
  packet.writeUInt32BE(1, 16);
  packet.set([0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1], 20);
  packet.writeUInt32LE(crc32c(packet), 8);
  return packet;
}

/** Packets that are anything but a first packet as usual, each of a connection of its own: what it is, and its packets. */
export function oddPackets(from: IpAddr, to: IpAddr, first: Ports): readonly (readonly [name: string, packets: readonly Buffer[]])[] {
  const isIpv4 = from.family === 'ipv4';
  let { source } = first;
  const ports = (): Ports => ({ source: source++, destination: first.destination });
  const plain = (protocol: number, payload: Buffer): Buffer => (isIpv4 ? ipv4 : ipv6)(from, to, protocol, payload);
  /** In parts, of which the first has `bytes`. */
  const parts = (protocol: number, payload: Buffer, bytes: number): Buffer[] => {
    const id = source;
    return [payload.subarray(0, bytes), payload.subarray(bytes)].map((part, i) => {
      const [offset, more] = [i * (bytes / 8), i === 0];
      return isIpv4
        ? ipv4(from, to, protocol, part, { id, offset, more })
        : ipv6(from, to, fragmentHeader, Buffer.concat([fragmentOf(protocol, offset, more, id), part]));
    });
  };
  const tcpFlags = Object.entries(flags).map(([name, bits]) => [`TCP ${name}`, [plain(tcp, segment(from, to, ports(), bits))]] as const);
  const sctpChunks = Object.entries({ data: 0, init: 1, 'init-ack': 2, abort: 6, 'cookie-echo': 10 }).map(
    ([name, chunk]) => [`SCTP ${name}`, [plain(sctp, sctpPacket(ports(), chunk))]] as const,
  );
  const headers: (readonly [string, Buffer[]])[] = isIpv4
    ? [
        ['TCP behind no-operations', [ipv4(from, to, tcp, segment(from, to, ports(), flags.syn), { options: Buffer.from([1, 1, 1, 0]) })]],
        ['UDP behind a router alert', [ipv4(from, to, udp, datagram(from, to, ports()), { options: Buffer.from([0x94, 4, 0, 0]) })]],
      ]
    : [
        ['TCP behind hop-by-hop options', [ipv6(from, to, hopByHop, Buffer.concat([padding(tcp), segment(from, to, ports(), flags.syn)]))]],
        ['UDP behind destination options', [ipv6(from, to, destinationOptions, Buffer.concat([padding(udp), datagram(from, to, ports())]))]],
        [
          'TCP behind both',
          [ipv6(from, to, hopByHop, Buffer.concat([padding(destinationOptions), padding(tcp), segment(from, to, ports(), flags.syn)]))],
        ],
        [
          'UDP in a fragment that is the whole',
          [ipv6(from, to, fragmentHeader, Buffer.concat([fragmentOf(udp, 0, false, source), datagram(from, to, ports())]))],
        ],
      ];
  return [
    ...tcpFlags,
    ...sctpChunks,
    ...headers,
    ['UDP in two fragments', parts(udp, datagram(from, to, ports()), 16)],
    ['TCP whose flags are in the second fragment', parts(tcp, segment(from, to, ports(), flags.syn), 8)],
    ['GRE', [plain(gre, Buffer.from([0, 0, 8, 0, 0x45, 0, 0, 0]))]],
    ['UDP-Lite', [plain(udpLite, datagram(from, to, ports(), udpLite))]],
    ['DCCP', [plain(dccp, datagram(from, to, ports(), dccp))]],
  ];
}
