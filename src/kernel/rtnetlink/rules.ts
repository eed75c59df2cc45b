import { type Family, IpAddr } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';
import { ipAddr } from '../../wire/addresses.ts';
import { attrs } from '../../wire/attributes.ts';
import type { Infer, InferInput } from '../../wire/codec.ts';
import { message } from '../../wire/message.ts';
import { cstring, pad, u8, u32 } from '../../wire/scalars.ts';
import { struct } from '../../wire/struct.ts';
import { familyNumber, familyOf, named } from './names.ts';

// include/uapi/linux/fib_rules.h; host byte order

/** FR_ACT_… */
const action = named(u8, { unspec: 0, lookup: 1, goto: 2, nop: 3, blackhole: 6, unreachable: 7, prohibit: 8 });

/** struct fib_rule_hdr */
const ruleHeader = struct({
  family: u8,
  dstLength: u8,
  srcLength: u8,
  tos: u8,
  shortTable: u8,
  _pad: pad(2),
  action,
  flags: u32,
});

/** FRA_… */
const ruleAttrs = attrs({
  dst: [1, ipAddr],
  src: [2, ipAddr],
  inputLink: [3, cstring],
  priority: [6, u32],
  mark: [10, u32],
  suppressPrefixLength: [14, u32],
  table: [15, u32],
  markMask: [16, u32],
  outputLink: [17, cstring],
  protocol: [21, u8],
});

export const newRule = message(32, ruleHeader, ruleAttrs); // RTM_NEWRULE
export const rtmDelRule = 33;
export const rtmGetRule = 34;

const flagInvert = 2;

/** A rule of policy routing: packets that match use `table`. */
export interface Rule {
  family: Family;
  /** lower is asked first */
  priority: number;
  from?: Prefix;
  to?: Prefix;
  inputLink?: string;
  outputLink?: string;
  mark?: number;
  /** of the mark's bits; all by default */
  markMask?: number;
  not?: boolean;
  /** `lookup` by default */
  action?: Infer<typeof action>;
  table?: number;
  /** Routes found with at most this length are not used. */
  suppressPrefixLength?: number;
  /** Who wrote it; 112 (podnet) by default */
  protocol?: number;
}

export function ruleMessage(rule: Rule): InferInput<typeof newRule.body> {
  const { family, from, to, table, not } = rule;
  return {
    family: familyNumber(family),
    dstLength: to?.length,
    srcLength: from?.length,
    shortTable: table !== undefined && table < 256 ? table : 0,
    action: rule.action ?? 'lookup',
    flags: not ? flagInvert : 0,
    dst: to?.address,
    src: from?.address,
    inputLink: rule.inputLink,
    outputLink: rule.outputLink,
    priority: rule.priority,
    mark: rule.mark,
    markMask: rule.markMask,
    suppressPrefixLength: rule.suppressPrefixLength,
    table,
    protocol: rule.protocol ?? 112,
  };
}

export function ruleOf(got: Infer<typeof newRule.body>): Rule | undefined {
  const family = familyOf(got.family);
  if (!family) return undefined;
  const prefix = (address: IpAddr | undefined, length: number): Prefix | undefined =>
    address || length > 0 ? Prefix.of(address ?? IpAddr.unspecified(family), length) : undefined;
  return {
    family,
    priority: got.priority ?? 0,
    from: prefix(got.src, got.srcLength),
    to: prefix(got.dst, got.dstLength),
    inputLink: got.inputLink,
    outputLink: got.outputLink,
    mark: got.mark,
    markMask: got.markMask,
    not: got.flags & flagInvert ? true : undefined,
    action: got.action,
    table: got.table ?? got.shortTable,
    suppressPrefixLength: got.suppressPrefixLength === 0xffffffff ? undefined : got.suppressPrefixLength,
    protocol: got.protocol,
  };
}
