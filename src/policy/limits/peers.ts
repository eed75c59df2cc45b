import { groupBy } from '../group-by.ts';
import { directions, type Policy, type PodSelection } from '../model.ts';
import { fewSelections, podsKey } from '../plan/remote/peers.ts';
import { shortKey } from '../short-key.ts';
import type { Book, Claim, Limit, Most } from './limits.ts';
import { portsKey } from './ports.ts';
import { Reach, Tellers, type Wants, wantsOf } from './reach.ts';

/**
 * By how many selections of a namespace's rules one pod may be looked at, and meant. Selections that ask for different values of one label do not add up, so that ten thousand
 * policies that each let in another app are one; what adds up are selections by what pods have not (`NotIn`, `DoesNotExist`), by ever other labels, and by one value of
 * a label and something else. All pods of the cluster are looked at: with 10,000 kinds of them 500 selections take two seconds and 75 MB.
 */
export const maxPeers: Most = { namespace: 500, cluster: 5000 };

interface Selected {
  key: string;
  wants: Wants;
}

interface PeerClaim extends Claim {
  /** Rules that are planned as one have the same. */
  together: string;
  selected: readonly Selected[];
}

const known = new WeakMap<Policy, readonly PeerClaim[]>();
/** Of whole policies, which most are. */
const knownPeers = new WeakMap<Policy, readonly Selected[]>();

function claimsOf(policy: Policy): readonly PeerClaim[] {
  let claims = known.get(policy);
  if (!claims) {
    claims = directions.flatMap((direction) =>
      (policy.rules[direction] ?? []).flatMap((rule, index) => {
        const selections = new Map<string, PodSelection>();
        for (const peer of rule.peers ?? []) if (peer.kind === 'pods') selections.set(podsKey(peer), peer);
        if (selections.size === 0) return [];
        const together = `${direction} ${policy.tier === 'NetworkPolicy' ? portsKey(rule.ports) : index}`;
        return [{ policy, rule, together, selected: Array.from(selections, ([key, one]) => ({ key, wants: wantsOf(one) })) }];
      }),
    );
    known.set(policy, claims);
  }
  return claims;
}

/** As they are planned: few selections each for itself, many as one peer, of which each is still looked at. */
function peersOf(claims: readonly PeerClaim[]): Selected[] {
  return [...groupBy(claims, ({ together }) => together).values()].flatMap((some) => {
    const selections = new Map(some.flatMap(({ selected }) => selected).map((one) => [one.key, one]));
    if (selections.size <= fewSelections) return [...selections.values()];
    const all = shortKey([...selections.keys()].sort().join('|'));
    return Array.from(selections.values(), ({ key, wants }) => ({ key: `${all} ${key}`, wants }));
  });
}

function peersOfPolicy(policy: Policy, claims: readonly PeerClaim[]): readonly Selected[] {
  if (claims.length < claimsOf(policy).length) return peersOf(claims);
  let peers = knownPeers.get(policy);
  if (!peers) knownPeers.set(policy, (peers = peersOf(claims)));
  return peers;
}

export const peerLimit: Limit = {
  most: maxPeers,
  claimsOf,
  sizeOf(claims, most) {
    const peers = new Map<string, Wants>();
    for (const [policy, some] of groupBy(claims as readonly PeerClaim[], (claim) => claim.policy))
      for (const { key, wants } of peersOfPolicy(policy, some)) peers.set(key, wants);
    // Even if all came together.
    if (peers.size <= most) return { size: peers.size };
    const [reach, tellers] = [new Reach(), new Tellers()];
    for (const wants of peers.values()) tellers.note(wants);
    for (const wants of peers.values()) for (const place of tellers.placesOf(wants)) reach.add(place, 1);
    return { size: Math.min(peers.size, reach.total) };
  },
  tooMuch: (where, size, most) =>
    `one pod may be meant by ${size} different peers that rules of ${where} name, more than the ${most} that nodes take ` +
    `(peers that ask for different values of one label count as one), and there is no room left for this one: ` +
    `name pods by a label that they have ("matchLabels", "In") instead of by what they have not, and the same pods in the same words`,
  closed: 'its policies name too many different peers that may mean the same pods',
  book: () => new PeerBook(),
};

/** Peers for which there is one label to count by, counted by it, and all others as if they came together. */
class PeerBook implements Book {
  readonly #known = new Map<string, { wants: Wants; times: number }>();
  #reach = new Reach();
  /** It chooses nothing here. */
  readonly #tellers = new Tellers();
  #others = 0;

  add(policy: Policy): void {
    for (const { key, wants } of peersOfPolicy(policy, claimsOf(policy))) {
      const known = this.#known.get(key);
      if (known) known.times++;
      else {
        this.#known.set(key, { wants, times: 1 });
        this.#count(wants, 1);
      }
    }
  }

  delete(policy: Policy): void {
    for (const { key } of peersOfPolicy(policy, claimsOf(policy))) {
      const known = this.#known.get(key)!;
      if (--known.times > 0) continue;
      this.#known.delete(key);
      this.#count(known.wants, -1);
    }
  }

  get bound(): number {
    return Math.min(this.#known.size, this.#reach.total + this.#others);
  }

  /** What was taken back is forgotten. */
  counted(): void {
    this.#reach = new Reach();
    this.#others = 0;
    for (const { wants } of this.#known.values()) this.#count(wants, 1);
  }

  #count(wants: Wants, by: 1 | -1): void {
    if (wants.some((some) => some.length > 1)) this.#others += by;
    else for (const place of this.#tellers.placesOf(wants)) this.#reach.add(place, by);
  }
}
