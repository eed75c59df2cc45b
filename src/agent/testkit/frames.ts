import { internetChecksum } from '../../kernel/probes.ts';
import { type Family, IpAddr } from '../../net/ip.ts';
import { Mac } from '../../net/mac.ts';

/** Frames as an attacker writes them: nothing is checked, checksums are right. */

const numbers = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58 } as const;
type Protocol = keyof typeof numbers;

const bytes = (address: IpAddr): Buffer => Buffer.from(address.bytes);

export interface Packet {
  source: IpAddr;
  destination: IpAddr;
  protocol: Protocol;
  /** Of the protocol, checksum zero. */
  body: Buffer;
  /** Bytes before this part of a datagram, and whether more come. */
  fragment?: { offset: number; more: boolean };
  hopLimit?: number;
}

const checksumAt: Record<Protocol, number> = { icmp: 2, tcp: 16, udp: 6, icmpv6: 2 };

function withChecksum({ source, destination, protocol, body }: Packet): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  const pseudo =
    protocol === 'icmp'
      ? Buffer.alloc(0)
      : source.family === 'ipv4'
        ? Buffer.concat([bytes(source), bytes(destination), Buffer.from([0, numbers[protocol]]), length.subarray(2)])
        : Buffer.concat([bytes(source), bytes(destination), length, Buffer.from([0, 0, 0, numbers[protocol]])]);
  const copy = Buffer.from(body);
  copy.writeUInt16BE(internetChecksum(Buffer.concat([pseudo, body])), checksumAt[protocol]);
  return copy;
}

const identification = 0x7e57;

function packet(spec: Packet): Buffer {
  const { source, destination, protocol, fragment, hopLimit = 64 } = spec;
  const body = fragment ? spec.body : withChecksum(spec);
  const part = fragment ? (fragment.offset >> 3) | (fragment.more ? (source.family === 'ipv4' ? 0x2000 : 0) : 0) : 0;
  if (source.family === 'ipv4') {
    const header = Buffer.alloc(20);
    header[0] = 0x45;
    header.writeUInt16BE(20 + body.length, 2);
    header.writeUInt16BE(identification, 4);
    header.writeUInt16BE(part, 6);
    header[8] = hopLimit;
    header[9] = numbers[protocol];
    header.set(source.bytes, 12);
    header.set(destination.bytes, 16);
    header.writeUInt16BE(internetChecksum(header), 10);
    return Buffer.concat([header, body]);
  }
  const extension = Buffer.alloc(fragment ? 8 : 0);
  if (fragment) {
    extension[0] = numbers[protocol];
    extension.writeUInt16BE(fragment.offset | (fragment.more ? 1 : 0), 2);
    extension.writeUInt32BE(identification, 4);
  }
  const header = Buffer.alloc(40);
  header[0] = 0x60;
  header.writeUInt16BE(extension.length + body.length, 4);
  header[6] = fragment ? 44 : numbers[protocol];
  header[7] = hopLimit;
  header.set(source.bytes, 8);
  header.set(destination.bytes, 24);
  return Buffer.concat([header, extension, body]);
}

/** To the MAC that every host end and the bridge have. */
const hostMac = Mac.parse('ee:ee:ee:ee:ee:ee');
const ethertype: Record<Family, number> = { ipv4: 0x0800, ipv6: 0x86dd };

export function frame(from: Mac, content: Packet | Buffer, to: Mac = hostMac): Buffer {
  const type = Buffer.alloc(2);
  type.writeUInt16BE(Buffer.isBuffer(content) ? 0x0806 : ethertype[content.source.family]);
  return Buffer.concat([to.bytes, from.bytes, type, Buffer.isBuffer(content) ? content : packet(content)]);
}

export function udp(sourcePort: number, port: number, text = 'podnet'): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(sourcePort, 0);
  header.writeUInt16BE(port, 2);
  header.writeUInt16BE(8 + text.length, 4);
  return Buffer.concat([header, Buffer.from(text)]);
}

export function syn(port: number): Buffer {
  const header = Buffer.alloc(20);
  header.writeUInt16BE(40_000, 0);
  header.writeUInt16BE(port, 2);
  header.writeUInt32BE(1, 4);
  header[12] = 0x50;
  header[13] = 0x02;
  header.writeUInt16BE(1000, 14);
  return header;
}

/** Type, code, checksum, and what follows. */
export const icmp = (type: number, code: number, rest: Uint8Array = Buffer.alloc(4)): Buffer =>
  Buffer.concat([Buffer.from([type, code, 0, 0]), rest]);

/** Neighbour solicitation (135) or advertisement (136, all flags set) with the option that tells a MAC. */
export const discovery = (type: 135 | 136, target: IpAddr, mac: Mac): Buffer =>
  icmp(
    type,
    0,
    Buffer.concat([Buffer.from([type === 136 ? 0xe0 : 0, 0, 0, 0]), target.bytes, Buffer.from([type - 134, 1]), mac.bytes]),
  );

/** A router advertisement: default router for 30 minutes, and a prefix to make addresses from. */
export const advertisement = (mac: Mac): Buffer => {
  const prefix = Buffer.from([3, 4, 64, 0xc0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...IpAddr.parse('2001:db8:bad::').bytes]);
  return icmp(134, 0, Buffer.concat([Buffer.from([64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]), mac.bytes, prefix]));
};

/** ARP for IPv4 over Ethernet: 1 asks, 2 answers. */
export function arp(operation: 1 | 2, sender: { mac: Mac; address: IpAddr }, target: { mac: Mac; address: IpAddr }): Buffer {
  const header = Buffer.from([0, 1, 8, 0, 6, 4, 0, operation]);
  return Buffer.concat([header, sender.mac.bytes, sender.address.bytes, target.mac.bytes, target.address.bytes]);
}
