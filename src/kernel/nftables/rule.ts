import type { Family, IpAddr } from '../../net/ip.ts';
import type { Prefix } from '../../net/prefix.ts';
import { formatClassid, protocolNumber } from './datatypes.ts';
import { type Expression, fibDestination, fibSource, natFullyRandom } from './expressions.ts';
import type { Rule } from './types.ts';

/** A piece of a rule: the words that nft prints, and the expressions that the kernel runs. */
export interface Part {
  text: string;
  /** The header it reads exists in packets of this family only, so the rule asks for the family first (as nft does). */
  needs?: Family;
  /** It reads the Ethernet header, so the rule asks for such links first. */
  ethernet?: boolean;
  expressions: readonly Expression[];
}

/** Something to load into registers. */
export interface Value {
  text: string;
  needs?: Family;
  ethernet?: boolean;
  /** Size in registers of four bytes. */
  words: number;
  load(register: number): Expression[];
}

/** A number in network order, as a register holds it. */
const hex = (value: number, bytes: number): string => `0x${value.toString(16).padStart(bytes * 2, '0')}`;

const familyKeyword = { ipv4: 'ip', ipv6: 'ip6' } as const;
const familyNumber = { ipv4: '0x02', ipv6: '0x0a' } as const; // NFPROTO_IPV4, NFPROTO_IPV6

/** Puts parts together: `ip daddr @cluster_ips4 reject`. */
export function rule(...parts: readonly Part[]): Rule {
  const expressions: Expression[] = [];
  const known = new Set<Family>();
  let ethernet = false;
  for (const part of parts) {
    if (part.ethernet && !ethernet) {
      ethernet = true;
      // ARPHRD_ETHER
      expressions.push({ name: 'meta', dreg: 0, key: 'iiftype' }, { name: 'cmp', sreg: 0, op: 'eq', data: hostU16(1) });
    }
    if (part.needs && !known.has(part.needs)) {
      known.add(part.needs);
      expressions.push(
        { name: 'meta', dreg: 0, key: 'nfproto' },
        { name: 'cmp', sreg: 0, op: 'eq', data: familyNumber[part.needs] },
      );
    }
    expressions.push(...part.expressions);
  }
  return { text: parts.map((part) => part.text).join(' '), expressions };
}

const payload = (
  text: string,
  base: 'link' | 'network' | 'transport',
  offset: number,
  length: number,
  needs?: Family,
): Value => ({
  text,
  needs,
  words: Math.ceil(length / 4),
  load: (register) => [{ name: 'payload', dreg: register, base, offset, length }],
});

/** `ip saddr` or `ip6 saddr` */
export const saddr = (family: Family): Value =>
  family === 'ipv4' ? payload('ip saddr', 'network', 12, 4, family) : payload('ip6 saddr', 'network', 8, 16, family);

/** `ip daddr` or `ip6 daddr` */
export const daddr = (family: Family): Value =>
  family === 'ipv4' ? payload('ip daddr', 'network', 16, 4, family) : payload('ip6 daddr', 'network', 24, 16, family);

/** Source address of the Ethernet frame; no match on links without such. */
export const etherSaddr: Value = { ...payload('ether saddr', 'link', 6, 6), ethernet: true };

/** Who an ARP packet says that it is from; in tables of family arp. */
export const arpSenderMac: Value = payload('arp saddr ether', 'network', 8, 6);
export const arpSenderAddress: Value = payload('arp saddr ip', 'network', 14, 4);
/** A question of somebody who has no address yet: duplicate address detection (RFC 5227). */
export const isArpProbe: Part = {
  text: 'arp saddr ip 0.0.0.0',
  expressions: [...arpSenderAddress.load(0), { name: 'cmp', sreg: 0, op: 'eq', data: '0x00000000' }],
};

/** Name of the link that the packet came by. */
export const iifname: Value = {
  text: 'iifname',
  words: 4,
  load: (register) => [{ name: 'meta', dreg: register, key: 'iifname' }],
};

/** Destination port of TCP, UDP or SCTP. */
export const dport: Value = payload('th dport', 'transport', 2, 2);

export const l4proto: Value = {
  text: 'meta l4proto',
  words: 1,
  load: (register) => [{ name: 'meta', dreg: register, key: 'l4proto' }],
};

/** skb->priority, host byte order. */
export const priority: Value = {
  text: 'meta priority',
  words: 1,
  load: (register) => [{ name: 'meta', dreg: register, key: 'priority' }],
};

/** Address that the packet's connection was opened to, before any translation. */
export const originalDaddr = (family: Family): Value => ({
  text: `ct original ${familyKeyword[family]} daddr`,
  words: family === 'ipv4' ? 1 : 4,
  load: (register) => [{ name: 'ct', dreg: register, key: family === 'ipv4' ? 'ip daddr' : 'ip6 daddr', direction: 'original' }],
});

export const originalDport: Value = {
  text: 'ct original proto-dst',
  words: 1,
  load: (register) => [{ name: 'ct', dreg: register, key: 'proto-dst', direction: 'original' }],
};

/** A new random number below `modulus` for each packet. */
export const randomBelow = (modulus: number): Value => ({
  text: `numgen random mod ${modulus}`,
  words: 1,
  load: (register) => [{ name: 'numgen', dreg: register, modulus, mode: 'random' }],
});

/** `a . b . c`: one behind the other in registers. */
export function concat(...values: readonly Value[]): Value {
  return {
    text: values.map((value) => value.text).join(' . '),
    needs: values.find((value) => value.needs)?.needs,
    ethernet: values.some((value) => value.ethernet),
    words: values.reduce((words, value) => words + value.words, 0),
    load(register) {
      let at = register;
      return values.flatMap((value) => {
        const expressions = value.load(at);
        at += value.words;
        return expressions;
      });
    },
  };
}

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
export const protocol = (name: 'tcp' | 'udp' | 'sctp' | 'ipv6-icmp'): Part => ({
  text: `meta l4proto ${name}`,
  expressions: [...l4proto.load(0), { name: 'cmp', sreg: 0, op: 'eq', data: hex(protocolNumber(name), 1) }],
});

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

/** `ip daddr >= 224.0.0.0`: multicast, what is reserved, and the broadcast to all. */
export const daddrFrom = (address: IpAddr): Part => ({
  text: `${daddr(address.family).text} >= ${address}`,
  needs: address.family,
  expressions: [
    ...daddr(address.family).load(0),
    { name: 'cmp', sreg: 0, op: 'gte', data: `0x${Buffer.from(address.bytes).toString('hex')}` },
  ],
});

const hostU16 = (value: number): string => `0x${Buffer.from(Uint16Array.of(value).buffer).toString('hex')}`;
const hostU32 = (value: number): string => `0x${Buffer.from(Uint32Array.of(value).buffer).toString('hex')}`;

/** The packet never left this node: `lo` is the first link of every namespace. */
export const iifIsLoopback: Part = {
  text: 'iif "lo"',
  expressions: [
    { name: 'meta', dreg: 0, key: 'iif' },
    { name: 'cmp', sreg: 0, op: 'eq', data: hostU32(1) },
  ],
};

/** The packet came by a link of this group (`ip link set … group`). */
export const iifInGroup = (group: number): Part => ({
  text: `iifgroup ${group}`,
  expressions: [
    { name: 'meta', dreg: 0, key: 'iifgroup' },
    { name: 'cmp', sreg: 0, op: 'eq', data: hostU32(group) },
  ],
});

/** 01:80:c2:00:00:0x, which a bridge may keep for itself (IEEE 802.1D; is_link_local_ether_addr). */
export const toBridgeItself: Part = {
  text: 'ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00',
  expressions: [
    { name: 'payload', dreg: 0, base: 'link', offset: 0, length: 6 },
    { name: 'bitwise', sreg: 0, dreg: 0, length: 6, mask: '0xfffffffffff0', xor: '0x000000000000' },
    { name: 'cmp', sreg: 0, op: 'eq', data: '0x0180c2000000' },
  ],
};

/** The packet came by the link of this name. */
export const iifIs = (name: string): Part => ({
  text: `iifname "${name}"`,
  expressions: [
    ...iifname.load(0),
    { name: 'cmp', sreg: 0, op: 'eq', data: `0x${Buffer.alloc(16).fill(name, 0, name.length).toString('hex')}` },
  ],
});

/** Adds the packet to a named counter. */
export const countIn = (counter: string): Part => ({
  text: `counter name "${counter}"`,
  expressions: [{ name: 'objref', type: 'counter', object: counter }],
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

const setPriorityFrom = { name: 'meta', key: 'priority', sreg: 0 } as const;

/** Writes what the map holds for the value into the priority; no match when the map does not know the value. */
export const setPriorityByMap = (value: Value, map: string): Part => ({
  text: `meta priority set ${value.text} map @${map}`,
  needs: value.needs,
  expressions: [...value.load(0), { name: 'lookup', set: map, sreg: 0, dreg: 0 }, setPriorityFrom],
});

const maskPriority = (mask: number): Expression[] => [
  ...priority.load(0),
  { name: 'bitwise', sreg: 0, dreg: 0, length: 4, mask: hostU32(mask), xor: '0x00000000' },
];

export const maskOutPriority = (mask: number): Part => ({
  text: `meta priority set meta priority & ${formatClassid(mask)}`,
  expressions: [...maskPriority(mask), setPriorityFrom],
});

export const clearPriority: Part = {
  text: 'meta priority set none',
  expressions: [{ name: 'immediate', dreg: 0, data: '0x00000000' }, setPriorityFrom],
};

/** Goes where the verdict map says for the masked priority. */
export const verdictByPriority = (mask: number, map: string): Part => ({
  text: `meta priority & ${formatClassid(mask)} vmap @${map}`,
  expressions: [...maskPriority(mask), { name: 'lookup', set: map, sreg: 0, dreg: 'verdict' }],
});

/**
 * `dnat ip to meta priority map @endpoints4`; the map's data is `address . port`. In chains that only packets of the family come to, or where only these have such
 * values; no match when the map does not know the value.
 */
export const dnatByNumber = (family: Family, value: Value, map: string): Part => ({
  text: `dnat ${familyKeyword[family]} to ${value.text} map @${map}`,
  expressions: [
    ...value.load(0),
    { name: 'lookup', set: map, sreg: 0, dreg: 0 },
    { name: 'nat', type: 'dnat', family: familyKeyword[family], address: 0, port: family === 'ipv4' ? 1 : 4 },
  ],
});

/** `dnat ip to meta l4proto . th dport map @hostports4`: the same, asking for the family first. */
export const dnatByMap = (family: Family, value: Value, map: string): Part => ({
  ...dnatByNumber(family, value, map),
  needs: family,
});

/** Gives the packet's connection this source address and a random free port. */
export const snatTo = (address: IpAddr): Part => ({
  text: `snat ${familyKeyword[address.family]} to ${address} fully-random`,
  expressions: [
    { name: 'immediate', dreg: 0, data: `0x${Buffer.from(address.bytes).toString('hex')}` },
    { name: 'nat', type: 'snat', family: familyKeyword[address.family], address: 0, flags: natFullyRandom },
  ],
});

/** The packet's connection keeps its source, and its port unless another connection has it: a decision, so that no later chain is asked. */
export const keepSource = (family: Family): Part => ({
  text: `snat ${familyKeyword[family]} to ${saddr(family).text}`,
  needs: family,
  expressions: [...saddr(family).load(0), { name: 'nat', type: 'snat', family: familyKeyword[family], address: 0 }],
});

/** Gives the packet's connection the address of the link it leaves by. */
export const masquerade: Part = { text: 'masquerade fully-random', expressions: [{ name: 'masq', flags: natFullyRandom }] };

/** `fib saddr type local`: the address is one of this node's own. */
export const addressIsLocal = (which: 'saddr' | 'daddr'): Part => ({
  text: `fib ${which} type local`,
  expressions: [
    { name: 'fib', dreg: 0, result: 'type', flags: which === 'saddr' ? fibSource : fibDestination },
    { name: 'cmp', sreg: 0, op: 'eq', data: hostU32(2) }, // RTN_LOCAL
  ],
});

export const rejectWithTcpReset: Part = { text: 'reject with tcp reset', expressions: [{ name: 'reject', type: 'tcp reset' }] };
/** ICMP or ICMPv6 port unreachable. */
export const reject: Part = { text: 'reject', expressions: [{ name: 'reject', type: 'icmpx', code: 1 }] };

const verdict = (text: string): Part => ({ text, expressions: [{ name: 'immediate', dreg: 'verdict', data: text }] });
export const accept = verdict('accept');
export const drop = verdict('drop');
/** Goes back to the chain that jumped here; at the end of a base chain its policy decides. */
export const returns = verdict('return');
export const goto = (chain: string): Part => verdict(`goto ${chain}`);
export const jump = (chain: string): Part => verdict(`jump ${chain}`);
