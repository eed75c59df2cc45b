import type { Family } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import type { RouteNode } from './plan.ts';

/** A pod CIDR that overlaps one of another node, which had it before. */
export interface Overlap {
  cidr: Prefix;
  /** The other node's, and its name. */
  other: Prefix;
  holder: string;
}

/** The older Node had its pod CIDR first; of those made in the same second the one whose name sorts first, so that all nodes say the same. */
const byAge = (a: RouteNode, b: RouteNode): number => compare(a.created ?? '', b.created ?? '') || compare(a.name, b.name);
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/**
 * The pod CIDRs that their nodes should not have, since they overlap another node's, by the names of these nodes (F27). Who keeps which is the same whoever asks. The cost is
 * that of all pod CIDRs times the different lengths that they have, of which there is one for each family as a rule.
 */
export function overlapsOf(nodes: readonly RouteNode[]): Map<string, Overlap[]> {
  const lengths: Record<Family, Set<number>> = { ipv4: new Set(), ipv6: new Set() };
  for (const { podCidrs } of nodes) for (const { family, length } of podCidrs) lengths[family].add(length);
  /** What is had already, by itself, and by all wider prefixes around it that somebody might have. */
  const had = new Map<string, { prefix: Prefix; holder: string }>();
  const around = new Map<string, { prefix: Prefix; holder: string }>();
  const lost = new Map<string, Overlap[]>();
  for (const { name, podCidrs } of nodes.toSorted(byAge))
    for (const cidr of podCidrs) {
      const wider = [...lengths[cidr.family]]
        .filter((length) => length < cidr.length)
        .map((length) => String(Prefix.of(cidr.address, length)));
      const text = String(cidr);
      const found = [text, ...wider].flatMap((key) => had.get(key) ?? [])[0] ?? around.get(text);
      if (found && found.holder !== name) {
        lost.set(name, [...(lost.get(name) ?? []), { cidr, other: found.prefix, holder: found.holder }]);
        continue;
      }
      const own = { prefix: cidr, holder: name };
      had.set(text, own);
      for (const key of wider) if (!around.has(key)) around.set(key, own);
    }
  return lost;
}

/** An overlap in words. */
export const overlapWords = (node: string, { cidr, other, holder }: Overlap): string =>
  `the pod CIDR ${cidr} of node ${node} overlaps ${other} of node ${holder}, which had it before`;
