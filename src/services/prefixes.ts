import { addressBits } from '../net/ip.ts';
import type { Prefix } from '../net/prefix.ts';

/**
 * An interval set holds no two prefixes that overlap: leaves out each that another one contains. Sorted, whatever contains a prefix is the last one
 * kept before it, so that the addresses of some thousand nodes cost milliseconds.
 */
export function withoutCovered(prefixes: readonly Prefix[]): Prefix[] {
  const kept: Prefix[] = [];
  for (const prefix of prefixes.toSorted((a, b) => a.address.compare(b.address) || a.length - b.length))
    if (!kept.at(-1)?.contains(prefix)) kept.push(prefix);
  return kept;
}

/** As nft prints it: a single address without its length. */
export const textOf = (prefix: Prefix): string =>
  prefix.length === addressBits(prefix.family) ? prefix.address.toString() : prefix.toString();
