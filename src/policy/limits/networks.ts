import { directions, type Policy } from '../model.ts';
import { type Networks, networksOf, overlapOf } from '../spans.ts';
import type { Claim, Limit, Most } from './limits.ts';

/**
 * How far the networks of policies may overlap (`overlapOf`), counted for each namespace by itself and for all cluster-wide policies together, so that nobody's
 * policies cost a node more than this, whatever other namespaces do. 100,000 are as many networks beside each other, or 220 rules each of which allows everything
 * but some address of its own. It takes a node a fifth of a second where few rules name them, and some seconds at the worst: every piece in two of hundreds of rules
 * that differ by ports, beside a hundred other policies. Cluster-wide policies are the administrators'.
 */
export const maxOverlap: Most = { namespace: 100_000, cluster: 1_000_000 };

/** With so many times as many networks as there is room for nobody counts how far they overlap: it is told how many they are. */
const farBeyond = 3;

interface NetworkClaim extends Claim {
  networks: Networks;
}

const known = new WeakMap<Policy, readonly NetworkClaim[]>();

function claimsOf(policy: Policy): readonly NetworkClaim[] {
  let claims = known.get(policy);
  if (!claims) {
    claims = directions.flatMap((direction) =>
      (policy.rules[direction] ?? []).flatMap((rule) => {
        const networks = networksOf(rule);
        return networks ? [{ policy, rule, networks }] : [];
      }),
    );
    known.set(policy, claims);
  }
  return claims;
}

export const networkLimit: Limit = {
  most: maxOverlap,
  claimsOf,
  sizeOf(claims, most) {
    // The same networks in several rules are told apart once.
    const all = new Map((claims as readonly NetworkClaim[]).map(({ networks }) => [networks.key, networks]));
    // Each network counts once at least: how many there are is soon known, and far beyond the limit nothing else is looked at.
    let named = 0;
    for (const { size } of all.values()) named += size;
    if (named > farBeyond * most) return { size: named, isAtLeast: true };
    return { size: overlapOf(Array.from(all.values(), ({ spans }) => spans)) };
  },
  tooMuch: (where, size, most) =>
    `the networks that rules of ${where} name overlap ${size} times, more than the ${most} that nodes take ` +
    `(each piece of the address space counts once for each rule that it is in), and there is no room left for this one: ` +
    `put networks with the same ports into one rule, and use fewer of "except"`,
  closed: 'the networks of its policies overlap too often',
};
