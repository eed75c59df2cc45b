import type { Family, IpAddr } from '../../net/ip.ts';
import type { Prefix } from '../../net/prefix.ts';
import { formatClassid, protocolNumber } from './datatypes.ts';
import { type Expression, fibDestination, fibSource } from './expressions.ts';
import { hex, hostU32, type Part, type Value } from './part.ts';
import { arpSenderAddress, connectionProtocol, daddr, dport, iifname, l4proto, priority, saddr } from './values.ts';

/** A question of somebody who has no address yet: duplicate address detection (RFC 5227). */
export const isArpProbe: Part = {
  text: 'arp saddr ip 0.0.0.0',
  expressions: [...arpSenderAddress.load(0), { name: 'cmp', sreg: 0, op: 'eq', data: '0x00000000' }],
};

/** Matches when the value is in the set. */
export const isIn = (value: Value, set: string): Part => ({
  text: `${value.text} @${set}`,
  needs: value.needs,
  ethernet: value.ethernet,
  expressions: [...value.load(0), { name: 'lookup', set, sreg: 0 }],
});

/** Matches when the value is not in the set. */
export const isNotIn = (value: Value, set: string): Part => ({
  text: `${value.text} != @${set}`,
  needs: value.needs,
  expressions: [...value.load(0), { name: 'lookup', set, sreg: 0, flags: 1 }],
});

/** `meta l4proto tcp` */
export const protocol = (name: 'tcp' | 'udp' | 'sctp' | 'icmp' | 'ipv6-icmp'): Part => ({
  text: `meta l4proto ${name}`,
  expressions: [...l4proto.load(0), { name: 'cmp', sreg: 0, op: 'eq', data: hex(protocolNumber(name), 1) }],
});

/** `ct protocol tcp`: of the packet's connection. */
export const isOfProtocol = (name: 'tcp' | 'udp' | 'sctp'): Part => ({
  text: `${connectionProtocol.text} ${name}`,
  expressions: [...connectionProtocol.load(0), { name: 'cmp', sreg: 0, op: 'eq', data: hex(protocolNumber(name), 1) }],
});

const tcpFlags = (text: string, mask: number, op: 'eq' | 'neq'): Part => ({
  text: `tcp flags ${text}`,
  expressions: [
    ...protocol('tcp').expressions,
    { name: 'payload', dreg: 0, base: 'transport', offset: 13, length: 1 },
    { name: 'bitwise', sreg: 0, dreg: 0, length: 1, mask: hex(mask, 1), xor: '0x00' },
    { name: 'cmp', sreg: 0, op, data: '0x00' },
  ],
});

/** A TCP segment that ends its connection at once. */
export const tcpReset: Part = tcpFlags('rst', 4, 'neq');
/** Any TCP segment but those that open a connection (SYN, SYN-ACK). */
export const tcpWithoutSyn: Part = tcpFlags('! syn', 2, 'eq');

/** `udp dport 68`; of fragments only the first has ports. */
export const udpDport = (port: number): Part => ({
  text: `udp dport ${port}`,
  expressions: [...protocol('udp').expressions, ...dport.load(0), { name: 'cmp', sreg: 0, op: 'eq', data: hex(port, 2) }],
});

/** Type of an ICMP or ICMPv6 message, by its number and by the name that nft has for it. */
export const icmpType = (family: Family, type: number, name: string): Part => ({
  text: `${family === 'ipv4' ? 'icmp' : 'icmpv6'} type ${name}`,
  needs: family,
  expressions: [
    ...l4proto.load(0),
    { name: 'cmp', sreg: 0, op: 'eq', data: hex(family === 'ipv4' ? 1 : 58, 1) },
    { name: 'payload', dreg: 0, base: 'transport', offset: 0, length: 1 },
    { name: 'cmp', sreg: 0, op: 'eq', data: hex(type, 1) },
  ],
});

/** Matches when the address is in the prefix. */
export function isWithin(which: 'saddr' | 'daddr', prefix: Prefix): Part {
  const value = (which === 'saddr' ? saddr : daddr)(prefix.family);
  const [load] = value.load(0) as [Expression & { name: 'payload' }];
  const bytes = prefix.address.bytes;
  const compare = (length: number): Expression => ({
    ...{ name: 'cmp', sreg: 0, op: 'eq' },
    data: `0x${Buffer.from(bytes.subarray(0, length)).toString('hex')}`,
  });
  const whole = prefix.length % 8 === 0;
  const mask = Buffer.alloc(bytes.length);
  for (let bit = 0; bit < prefix.length; bit++) mask[bit >> 3]! |= 0x80 >> (bit & 7);
  const text = prefix.length === bytes.length * 8 ? `${prefix.address}` : `${prefix}`;
  return {
    text: `${value.text} ${text}`,
    needs: prefix.family,
    // As nft does: whole bytes are loaded alone.
    expressions: whole
      ? [{ ...load, length: prefix.length / 8 }, compare(prefix.length / 8)]
      : [
          load,
          {
            ...{ name: 'bitwise', sreg: 0, dreg: 0, length: bytes.length },
            ...{ mask: `0x${mask.toString('hex')}`, xor: `0x${'00'.repeat(bytes.length)}` },
          },
          compare(bytes.length),
        ],
  };
}

/** `ip daddr != 192.0.2.1` */
export const daddrIsNot = (address: IpAddr): Part => ({
  text: `${daddr(address.family).text} != ${address}`,
  needs: address.family,
  expressions: [
    ...daddr(address.family).load(0),
    { name: 'cmp', sreg: 0, op: 'neq', data: `0x${Buffer.from(address.bytes).toString('hex')}` },
  ],
});

/** `ip daddr >= 224.0.0.0`: multicast, what is reserved, and the broadcast to all. */
export const daddrFrom = (address: IpAddr): Part => ({
  text: `${daddr(address.family).text} >= ${address}`,
  needs: address.family,
  expressions: [
    ...daddr(address.family).load(0),
    { name: 'cmp', sreg: 0, op: 'gte', data: `0x${Buffer.from(address.bytes).toString('hex')}` },
  ],
});

/** The packet never left this node: `lo` is the first link of every namespace. */
export const iifIsLoopback: Part = {
  text: 'iif "lo"',
  expressions: [
    { name: 'meta', dreg: 0, key: 'iif' },
    { name: 'cmp', sreg: 0, op: 'eq', data: hostU32(1) },
  ],
};

const linkGroup = (key: 'iifgroup' | 'oifgroup', op: 'eq' | 'neq', group: number): Part => ({
  text: `${key} ${op === 'neq' ? '!= ' : ''}${group}`,
  expressions: [
    { name: 'meta', dreg: 0, key },
    { name: 'cmp', sreg: 0, op, data: hostU32(group) },
  ],
});

/** The packet came by a link of this group (`ip link set … group`). */
export const iifInGroup = (group: number): Part => linkGroup('iifgroup', 'eq', group);

/** It came by a link of another group, or by none: it is from this node. */
export const iifNotInGroup = (group: number): Part => linkGroup('iifgroup', 'neq', group);
/** The packet does not leave by a link of this group. In the output hook: as it was routed first, before any translation. */
export const oifNotInGroup = (group: number): Part => linkGroup('oifgroup', 'neq', group);

/** 01:80:c2:00:00:0x, which a bridge may keep for itself (IEEE 802.1D; is_link_local_ether_addr). */
export const toBridgeItself: Part = {
  text: 'ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00',
  expressions: [
    { name: 'payload', dreg: 0, base: 'link', offset: 0, length: 6 },
    { name: 'bitwise', sreg: 0, dreg: 0, length: 6, mask: '0xfffffffffff0', xor: '0x000000000000' },
    { name: 'cmp', sreg: 0, op: 'eq', data: '0x0180c2000000' },
  ],
};

const linkName = (name: string): string => `0x${Buffer.alloc(16).fill(name, 0, name.length).toString('hex')}`;

/** The packet came by the link of this name. */
export const iifIs = (name: string): Part => ({
  text: `iifname "${name}"`,
  expressions: [...iifname.load(0), { name: 'cmp', sreg: 0, op: 'eq', data: linkName(name) }],
});

/** It came by another. */
export const iifIsNot = (name: string): Part => ({
  text: `iifname != "${name}"`,
  expressions: [...iifname.load(0), { name: 'cmp', sreg: 0, op: 'neq', data: linkName(name) }],
});

/** It leaves by another; in the output hook as for `oifIs`. */
export const oifIsNot = (name: string): Part => ({
  text: `oifname != "${name}"`,
  expressions: [
    { name: 'meta', dreg: 0, key: 'oifname' },
    { name: 'cmp', sreg: 0, op: 'neq', data: linkName(name) },
  ],
});

/** The packet leaves by the link of this name. In the output hook: as it was routed first, before any translation. */
export const oifIs = (name: string): Part => ({
  text: `oifname "${name}"`,
  expressions: [
    { name: 'meta', dreg: 0, key: 'oifname' },
    { name: 'cmp', sreg: 0, op: 'eq', data: linkName(name) },
  ],
});

/** Bits of enum ip_conntrack_status and of NF_CT_STATE_BIT. */
const ctBits = (key: 'status' | 'state', text: string, bits: number): Part => ({
  text: `ct ${key} ${text}`,
  expressions: [
    { name: 'ct', dreg: 0, key },
    { name: 'bitwise', sreg: 0, dreg: 0, length: 4, mask: hostU32(bits), xor: '0x00000000' },
    { name: 'cmp', sreg: 0, op: 'neq', data: '0x00000000' },
  ],
});

export const ctStatusDnat: Part = ctBits('status', 'dnat', 1 << 5);
export const ctStateNew: Part = ctBits('state', 'new', 1 << 3);
export const ctStateEstablished: Part = ctBits('state', 'established', 1 << 1);
export const ctStateInvalid: Part = ctBits('state', 'invalid', 1 << 0);
export const ctStateUntracked: Part = ctBits('state', 'untracked', 1 << 6);
/** Conntrack knows no connection that the packet belongs to. */
export const ctStateUnknown: Part = ctBits('state', 'invalid,untracked', (1 << 0) | (1 << 6));

/** The packet goes the way that the connection was opened. No match for those that conntrack does not know. */
export const ctOriginal: Part = {
  text: 'ct direction original',
  expressions: [
    { name: 'ct', dreg: 0, key: 'direction' },
    { name: 'cmp', sreg: 0, op: 'eq', data: '0x00' },
  ],
};

/** The connection's mark has this value in the bits of the mask. */
export const ctMarkIs = (value: number, mask: number): Part => ({
  text: `ct mark & ${hex(mask, 4)} == ${hex(value, 4)}`,
  expressions: [
    { name: 'ct', dreg: 0, key: 'mark' },
    { name: 'bitwise', sreg: 0, dreg: 0, length: 4, mask: hostU32(mask), xor: '0x00000000' },
    { name: 'cmp', sreg: 0, op: 'eq', data: hostU32(value) },
  ],
});

/** skb->priority is this number. */
export const priorityIs = (value: number): Part => ({
  text: `${priority.text} ${formatClassid(value)}`,
  expressions: [...priority.load(0), { name: 'cmp', sreg: 0, op: 'eq', data: hostU32(value) }],
});

/** skb->priority has this one bit. */
export const priorityHas = (bit: number): Part => ({
  text: `${priority.text} & ${formatClassid(bit)} == ${formatClassid(bit)}`,
  expressions: [
    ...priority.load(0),
    { name: 'bitwise', sreg: 0, dreg: 0, length: 4, mask: hostU32(bit), xor: '0x00000000' },
    { name: 'cmp', sreg: 0, op: 'eq', data: hostU32(bit) },
  ],
});

/** `fib saddr type local`: the address is one of this node's own. */
export const addressIsLocal = (which: 'saddr' | 'daddr'): Part => ({
  text: `fib ${which} type local`,
  expressions: [
    { name: 'fib', dreg: 0, result: 'type', flags: which === 'saddr' ? fibSource : fibDestination },
    { name: 'cmp', sreg: 0, op: 'eq', data: hostU32(2) }, // RTN_LOCAL
  ],
});

/** Packets of one family. */
export const ofFamily = (family: Family): Part => ({ text: `meta nfproto ${family}`, needs: family, expressions: [] });
