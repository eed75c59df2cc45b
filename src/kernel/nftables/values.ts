import type { Family } from '../../net/ip.ts';
import type { Expression } from './expressions.ts';
import { familyKeyword, type Value } from './part.ts';

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

/** Name of the link that the packet came by. */
export const iifname: Value = {
  text: 'iifname',
  words: 4,
  load: (register) => [{ name: 'meta', dreg: register, key: 'iifname' }],
};

/** Source port of TCP, UDP or SCTP. */
export const sport: Value = payload('th sport', 'transport', 0, 2);
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

/** A number of four bytes of the host's order, as concatenations with intervals have it (see `ranges.ts`). */
export const inNetworkOrder = (value: Value): Value => ({
  ...value,
  load: (register) => [
    ...value.load(register),
    { name: 'byteorder', sreg: register, dreg: register, op: 'hton', length: 4, size: 4 },
  ],
});

type ConntrackKey = Extract<Expression, { name: 'ct' }>['key'];

const connection = (text: string, words: number, key: ConntrackKey, direction?: 'original' | 'reply'): Value => ({
  text: `ct ${direction ? `${direction} ` : ''}${text}`,
  words,
  load: (register) => [{ name: 'ct', dreg: register, key, ...(direction ? { direction } : {}) }],
});

const connectionAddress = (direction: 'original' | 'reply', which: 'saddr' | 'daddr', family: Family): Value => {
  const key = `${familyKeyword[family]} ${which}` as const;
  return connection(key, family === 'ipv4' ? 1 : 4, key, direction);
};

/** Who opened the packet's connection, before any translation. No match for packets of the other family, nor for those that conntrack does not know. */
export const originalSaddr = (family: Family): Value => connectionAddress('original', 'saddr', family);

/** Address that the packet's connection was opened to, before any translation. */
export const originalDaddr = (family: Family): Value => connectionAddress('original', 'daddr', family);

export const originalDport: Value = connection('proto-dst', 1, 'proto-dst', 'original');

/** Who answers in the packet's connection: its destination, behind any translation. */
export const replySaddr = (family: Family): Value => connectionAddress('reply', 'saddr', family);

/** The port of who answers. Debian 12's nft reads and prints it in a concatenation only behind `meta l4proto` of one protocol, as `originalDport`. */
export const replySport: Value = connection('proto-src', 1, 'proto-src', 'reply');

/** Protocol of the packet's connection: of an ICMP error that of the packet which it is about. */
export const connectionProtocol: Value = connection('protocol', 1, 'protocol');

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
