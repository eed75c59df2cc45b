import type { Expression } from './expressions.ts';

/** Families that podnet's own tables are of: they see IP of both versions, ARP, or frames on a bridge. NFPROTO_… in include/uapi/linux/netfilter.h */
export type TableFamily = 'inet' | 'arp' | 'bridge';

/** Families that rules are written to: podnet's own, and those of iptables' tables, where others ask for rules (see the room `foreign`). */
export type RuleFamily = TableFamily | 'ip' | 'ip6';

/** `comment` carries the layout's version. */
export interface Table {
  name: string;
  /** `inet` goes without saying. */
  family?: TableFamily;
  comment?: string;
}

/** Where a base chain sits. Hook numbers and priorities: include/uapi/linux/netfilter.h, netfilter_ipv4.h. */
export interface Hook {
  /** Tables of families other than inet have `filter` only, those of ARP the hooks `input` and `output` only. */
  type: 'filter' | 'nat' | 'route';
  hook: 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting';
  /** Lower runs earlier; dstnat is -100, filter 0, srcnat 100. */
  priority: number;
  policy?: 'accept' | 'drop';
}

/** A chain with all its rules, in order. Without `hook` it runs only when another chain jumps to it. */
export interface Chain {
  name: string;
  hook?: Hook;
  rules: readonly Rule[];
}

/** `text` is the rule as `nft` prints it; `expressions` is what the kernel runs, and what two rules are compared by. */
export interface Rule {
  text: string;
  expressions: readonly Expression[];
}

export type SetFlag = 'interval' | 'timeout' | 'dynamic' | 'constant';

/** A set or, with `data`, a map. Types are nft's own names, the parts of a concatenation joined by ' . ', e.g. `ipv4_addr . inet_proto`. */
export interface NftSetSpec {
  name: string;
  key: string;
  /**
   * What keys are read from, as nft writes it, where nft has no type for that: it prints `typeof` then, and reads what it prints. One of `typeofTexts` (userdata.ts).
   */
  typeof?: string;
  /** A type for a map; `verdict` for a verdict map. */
  data?: string;
  flags: readonly SetFlag[];
  /** What an element lives when it names no time itself. */
  timeoutMs?: number;
  /** Of a dynamic set: so many elements it holds at most; the kernel's own limit is 65,535. */
  size?: number;
  comment?: string;
}

/** A set of keys of this type, without flags but for what `rest` says. */
export const setSpec = (name: string, key: string, comment: string, rest: Partial<NftSetSpec> = {}): NftSetSpec => ({
  ...{ name, key, flags: [], comment },
  ...rest,
});

/** Key and data as nft prints them, parts of a concatenation joined by ' . '; in an interval set a prefix, an address or port, or `FIRST-LAST`. */
export interface Element {
  key: string;
  data?: string;
  timeoutMs?: number;
}
