import { IpAddr } from '../net/ip.ts';
import { Mac } from '../net/mac.ts';
import { ipv4Addr, ipv6Addr, mac } from '../wire/addresses.ts';
import type { Codec, Infer, InferInput } from '../wire/codec.ts';
import { Reader } from '../wire/reader.ts';
import { be16, be32, u8 } from '../wire/scalars.ts';
import { struct } from '../wire/struct.ts';
import { Writer } from '../wire/writer.ts';

const macAddress: Codec<Mac> = { ...mac, empty: Mac.fromBytes(new Uint8Array(6)) };

/** An Ethernet frame (IEEE 802.3) with ARP for IPv4 (RFC 826), network byte order */
const arpFrame = struct({
  destination: macAddress,
  source: macAddress,
  /** 0x0806 */
  etherType: be16,
  /** 1, Ethernet */
  hardware: be16,
  /** 0x0800, IPv4 */
  protocol: be16,
  hardwareLength: u8,
  protocolLength: u8,
  /** 1 asks, 2 answers */
  operation: be16,
  senderMac: macAddress,
  sender: ipv4Addr,
  targetMac: macAddress,
  target: ipv4Addr,
});

/** Neighbour Solicitation and Advertisement with one option for an Ethernet address (RFC 4861 4.3, 4.4, 4.6.1), network byte order */
const ndMessage = struct({
  /** 135 solicitation, 136 advertisement */
  type: u8,
  code: u8,
  /** The kernel fills it in */
  checksum: be16,
  flags: be32,
  target: ipv6Addr,
  /** 1 source, 2 target link-layer address */
  option: u8,
  /** In units of 8 bytes */
  optionLength: u8,
  mac: macAddress,
});

const broadcast = Mac.parse('ff:ff:ff:ff:ff:ff');
const arpHeader = { etherType: 0x0806, hardware: 1, protocol: 0x0800, hardwareLength: 6, protocolLength: 4 };
const asks = 1;
const answers = 2;
const solicitation = 135;
const advertisement = 136;
/** Override: who has another MAC for the address takes this one. */
const override = 0x20000000;

export const allNodes = IpAddr.parse('ff02::1');

/** Where a node listens that has the address: ff02::1:ff00:0/104 and its last 24 bits (RFC 4291 2.7.1). */
export const solicitedNode = (address: IpAddr): IpAddr => IpAddr.parse('ff02::1:ff00:0').offset(address.toBigInt() & 0xffffffn);

function encode<I>(codec: Codec<unknown, I>, value: I): Buffer {
  const writer = new Writer(64);
  codec.encode(writer, value);
  return Buffer.from(writer.written);
}

const arp = (value: InferInput<typeof arpFrame>): Buffer => encode(arpFrame, { ...arpHeader, ...value });

/**
 * Says to everybody on the link who has an IPv4 address now: as a question, which RFC 5227 calls an announcement, and as an answer, since some heed only one.
 */
export const gratuitousArp = (address: IpAddr, own: Mac): Buffer[] =>
  [asks, answers].map((operation) =>
    arp({
      ...{ destination: broadcast, source: own, operation, senderMac: own, sender: address, target: address },
      ...(operation === answers ? { targetMac: own } : {}),
    }),
  );

/** Asks who has an address; @param to where it was last seen, else everybody is asked */
export const arpQuestion = (target: IpAddr, sender: IpAddr, own: Mac, to: Mac = broadcast): Buffer =>
  arp({ destination: to, source: own, operation: asks, senderMac: own, sender, target });

/** @returns who says to have which address; undefined for what is no ARP of IPv4 over Ethernet */
export function arpSender(frame: Buffer): Pick<Infer<typeof arpFrame>, 'sender' | 'senderMac'> | undefined {
  try {
    const { etherType, hardware, protocol, hardwareLength, protocolLength, sender, senderMac } = arpFrame.decode(
      new Reader(frame),
    );
    const known = { etherType, hardware, protocol, hardwareLength, protocolLength };
    return JSON.stringify(known) === JSON.stringify(arpHeader) ? { sender, senderMac } : undefined;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** To `allNodes`: says who has an IPv6 address now. */
export const unsolicitedAdvertisement = (address: IpAddr, own: Mac): Buffer =>
  encode(ndMessage, { type: advertisement, flags: override, target: address, option: 2, optionLength: 1, mac: own });

/** To `solicitedNode(target)`: asks who has it. */
export const ndSolicitation = (target: IpAddr, own: Mac): Buffer =>
  encode(ndMessage, { type: solicitation, target, option: 1, optionLength: 1, mac: own });

/** @returns the address that an advertisement is of */
export function advertisedAddress(message: Buffer): IpAddr | undefined {
  if (message.length < 24 || message[0] !== advertisement) return undefined;
  return IpAddr.fromBytes(message.subarray(8, 24));
}
