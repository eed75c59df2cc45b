import { canonical } from '../kernel/nftables/expressions.ts';
import type { Item, NftChain, Route } from './model.ts';

/**
 * Whether what the kernel holds is what is wanted. Fields that the wanted item leaves open may be anything; the text of rules does not count.
 */
export function satisfies(actual: Item, wanted: Item): boolean {
  if (actual === wanted) return true;
  if (wanted.kind === 'nft-element') return actual.kind === 'nft-element' && actual.data === wanted.data;
  if (wanted.kind === 'nft-chain') return actual.kind === 'nft-chain' && sameHook(actual, wanted) && sameRules(actual, wanted);
  if (wanted.kind === 'route') return actual.kind === 'route' && same(explicit(actual), explicit(wanted));
  // Of a link only what is asked for counts; everything else is said in full.
  return covers(actual, wanted) && (wanted.kind === 'link' || covers(wanted, actual));
}

const same = (a: unknown, b: unknown): boolean => covers(a, b) && covers(b, a);

/** The main table goes without saying. */
const explicit = (route: Route): Route => ({ ...route, table: route.table ?? 254, onlink: route.onlink || undefined });

export const sameHook = (a: NftChain, b: NftChain): boolean => hookText(a) === hookText(b);

const hookText = ({ hook }: NftChain): string =>
  hook ? `${hook.type} ${hook.hook} ${hook.priority} ${hook.policy ?? 'accept'}` : '';

const sameRules = (a: NftChain, b: NftChain): boolean => {
  if (a.rules.length !== b.rules.length) return false;
  return a.rules.every((rule, i) => {
    const other = b.rules[i]!;
    return rule === other || JSON.stringify(rule.expressions.map(canonical)) === JSON.stringify(other.expressions.map(canonical));
  });
};

/** Whether two items say the same in every field. */
export const equalItems = (a: Item, b: Item): boolean => a === b || (satisfies(a, b) && satisfies(b, a));

/** Whether a value has all fields that another has, with equal values. */
export function covers(actual: unknown, wanted: unknown): boolean {
  if (wanted === undefined || actual === wanted) return true;
  if (typeof wanted !== 'object' || typeof actual !== 'object' || wanted === null || actual === null) return false;
  if (hasEquals(wanted)) return wanted.equals(actual);
  if (Array.isArray(wanted))
    return Array.isArray(actual) && actual.length === wanted.length && wanted.every((value, i) => covers(actual[i], value));
  return Object.entries(wanted).every(([key, value]) => covers((actual as Record<string, unknown>)[key], value));
}

/** Addresses, prefixes and MACs. */
const hasEquals = (value: object): value is { equals(other: unknown): boolean } =>
  'equals' in value && typeof value.equals === 'function';
