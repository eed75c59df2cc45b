import { addressBits } from '../net/ip.ts';
import type { Prefix } from '../net/prefix.ts';

/** An interval set holds no two prefixes that overlap: leaves out each that another one contains. */
export function withoutCovered(prefixes: readonly Prefix[]): Prefix[] {
  const unique = [...new Map(prefixes.map((prefix) => [prefix.toString(), prefix])).values()];
  return unique.filter((prefix) => !unique.some((other) => other !== prefix && other.contains(prefix)));
}

/** As nft prints it: a single address without its length. */
export const textOf = (prefix: Prefix): string =>
  prefix.length === addressBits(prefix.family) ? prefix.address.toString() : prefix.toString();
