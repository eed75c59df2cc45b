import type { Family, IpAddr } from '../../net/ip.ts';
import { formatClassid } from './datatypes.ts';
import { type Expression, natFullyRandom } from './expressions.ts';
import { familyKeyword, hex, hostU32, type Part, type Value } from './part.ts';
import { priority, saddr } from './values.ts';

/** Adds the packet to a named counter. */
export const countIn = (counter: string): Part => ({
  text: `counter name "${counter}"`,
  expressions: [{ name: 'objref', type: 'counter', object: counter }],
});

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

/** Writes the bits of the mask of the connection's mark; the others stay. Nothing happens to packets that conntrack does not know, but no match either. */
export const setCtMark = (value: number, mask: number): Part => ({
  text: `ct mark set ct mark & ${hex(~mask >>> 0, 4)} | ${hex(value, 4)}`,
  expressions: [
    { name: 'ct', dreg: 0, key: 'mark' },
    { name: 'bitwise', sreg: 0, dreg: 0, length: 4, mask: hostU32(~mask), xor: hostU32(value) },
    { name: 'ct', key: 'mark', sreg: 0 },
  ],
});

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

export const rejectWithTcpReset: Part = { text: 'reject with tcp reset', expressions: [{ name: 'reject', type: 'tcp reset' }] };

/** ICMP or ICMPv6 port unreachable. */
export const reject: Part = { text: 'reject', expressions: [{ name: 'reject', type: 'icmpx', code: 1 }] };

const verdict = (text: string): Part => ({ text, expressions: [{ name: 'immediate', dreg: 'verdict', data: text }] });
/** Conntrack does not look at the packet; in hooks before it does. */
export const notrack: Part = { text: 'notrack', expressions: [{ name: 'notrack' }] };

export const accept = verdict('accept');
export const drop = verdict('drop');

/** Goes back to the chain that jumped here; at the end of a base chain its policy decides. */
export const returns = verdict('return');

export const goto = (chain: string): Part => verdict(`goto ${chain}`);
export const jump = (chain: string): Part => verdict(`jump ${chain}`);
