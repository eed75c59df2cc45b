import { directions, type Policy } from '../model.ts';
import { families, type Family } from '../../net/ip.ts';
import { comparePlaces, type Networks, networksOf, overlapOf, type Place } from '../spans.ts';
import type { Book, Claim, Limit, Most } from './limits.ts';

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
  book: () => new NetworkBook(),
};

/**
 * A network more is in as many pieces as there are edges inside of it, and cuts as many networks at each end as lie over each other there at the most. One less never makes it more.
 */
class NetworkBook implements Book {
  bound = 0;
  /** Counted last, and in order. */
  #edges: Record<Family, Place[]> = { ipv4: [], ipv6: [] };
  /** Since then. */
  #more = 0;
  /** No more than so many lie over each other. */
  #depth = 0;

  add(policy: Policy): void {
    for (const { networks } of claimsOf(policy)) {
      for (const family of families)
        for (const { from, to } of networks.spans[family]) {
          const edges = this.#edges[family];
          this.bound += placeIn(edges, to) - placeIn(edges, from) + this.#more + 1 + 2 * this.#depth;
          this.#more += 2;
        }
      this.#depth++;
    }
  }

  delete(): void {}

  counted(size: number, claims: readonly Claim[]): void {
    const all = [...new Map((claims as readonly NetworkClaim[]).map(({ networks }) => [networks.key, networks])).values()];
    this.bound = size;
    this.#more = this.#depth = 0;
    for (const family of families) {
      const edges = all.flatMap(({ spans }) => spans[family]).flatMap(({ from, to }) => [
        { at: from, by: 1 },
        { at: to, by: -1 },
      ]);
      edges.sort((a, b) => comparePlaces(a.at, b.at) || a.by - b.by);
      this.#edges[family] = edges.map(({ at }) => at);
      let inside = 0;
      for (const { by } of edges) this.#depth = Math.max(this.#depth, (inside += by));
    }
  }
}

/** How many are before it. */
function placeIn(places: readonly Place[], at: Place): number {
  let [low, high] = [0, places.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (places[middle]! < at) low = middle + 1;
    else high = middle;
  }
  return low;
}
