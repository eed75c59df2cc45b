import type { Family } from '../../net/ip.ts';
import type { Expression } from './expressions.ts';
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
export const hex = (value: number, bytes: number): string => `0x${value.toString(16).padStart(bytes * 2, '0')}`;

export const familyKeyword = { ipv4: 'ip', ipv6: 'ip6' } as const;

const familyNumber = { ipv4: '0x02', ipv6: '0x0a' } as const; // NFPROTO_IPV4, NFPROTO_IPV6

const hostU16 = (value: number): string => `0x${Buffer.from(Uint16Array.of(value).buffer).toString('hex')}`;

export const hostU32 = (value: number): string => `0x${Buffer.from(Uint32Array.of(value).buffer).toString('hex')}`;

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
