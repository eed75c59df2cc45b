import { groupBy } from '../group-by.ts';
import { families, type Family } from '../../net/ip.ts';
import { type Direction, directions, type Policy, type PortMatch, type Rule } from '../model.ts';
import { comparePlaces, networksOf, type Networks, type Place as AddressPlace } from '../spans.ts';
import type { Book, Claim, Limit, Most } from './limits.ts';
import { anybody, type Place, Reach, Tellers, type Wants, wantsOf } from './reach.ts';

/**
 * How many elements the ports of a namespace's rules may take a node for one of its pods, in a cluster of 10,000 kinds of pods: of `n` lists of ports that may come together
 * for a pair of pods there are up to 2^n combinations, but no more than kinds of pods, and each is a list of its own, of all their ports at the worst. So 10 lists may have 488 ports
 * together, and from 14 lists on there may be 50 ports, for each pair; lists that differ by a label's value do not come together. Half as many is the most that was seen of them, 250,000:
 * two seconds and 75 MB. Cluster-wide rules add to those of all namespaces.
 */
export const maxPortElements: Most = { namespace: 500_000, cluster: 5_000_000 };

/** So many kinds of pods a node is made for. */
const kindsOfPods = 10_000;
/** From so many lists on each kind may have its own combination. */
const manyLists = Math.ceil(Math.log2(kindsOfPods));

/** So many ports in a row stand each for itself, where a look-up is cheaper than among ranges. */
export const fewPorts = 8;

const elementsOf = (port: PortMatch): number => (port.kind === 'numbers' && port.to - port.from < fewPorts ? port.to - port.from + 1 : 1);

/** One that stands there twice counts once, as it does in `portsKey`. */
const elementsOfAll = (ports: readonly PortMatch[]): number =>
  [...new Map(ports.map((port) => [JSON.stringify(port), port])).values()].reduce((sum, port) => sum + elementsOf(port), 0);

/** Ports that mean the same for certain have the same. */
export const portsKey = (ports: Rule['ports']): string =>
  ports === undefined ? 'all' : [...new Set(ports.map((port) => JSON.stringify(port)))].sort().join();

/** A list of ports, and for which pairs of pods. */
interface PortClaim extends Claim {
  direction: Direction;
  /** Equal of lists that are one wherever they come together. */
  key: string;
  /** As how many lists it counts: a name is another port on each pod. */
  lists: number;
  elements: number;
  subject: Wants;
  /** Other peers than networks. */
  remote: readonly Wants[];
  networks: Networks | undefined;
}

const known = new WeakMap<Policy, readonly PortClaim[]>();

function claimsOf(policy: Policy): readonly PortClaim[] {
  let claims = known.get(policy);
  if (!claims) {
    const subject = wantsOf(policy.subject);
    claims = directions.flatMap((direction) =>
      (policy.rules[direction] ?? []).flatMap((rule, index) => {
        const { ports, peers } = rule;
        if (ports === undefined || peers?.length === 0) return [];
        const pods = peers?.filter(({ kind }) => kind !== 'networks');
        const remote = pods?.map((peer) => (peer.kind === 'pods' ? wantsOf(peer) : anybody)) ?? [anybody];
        const isOrdered = policy.tier !== 'NetworkPolicy';
        const isNamed = direction === 'egress' && ports.some(({ kind }) => kind === 'named');
        const claim: PortClaim = {
          ...{ policy, rule, direction, key: isOrdered ? `${policy.kind} ${policy.name} ${index}` : portsKey(ports) },
          ...{ lists: isOrdered || isNamed ? manyLists : 1, elements: elementsOfAll(ports) },
          ...{ subject, remote, networks: networksOf(rule) },
        };
        return [claim];
      }),
    );
    known.set(policy, claims);
  }
  return claims;
}

export const portLimit: Limit = {
  most: maxPortElements,
  claimsOf,
  sizeOf(claims, most) {
    let size = 0;
    for (const some of groupBy(claims as readonly PortClaim[], ({ direction }) => direction).values()) size += worstOf(some, most);
    return { size };
  },
  tooMuch: (where, size, most) =>
    `the ports of rules of ${where} may take ${size} elements for one pod, more than the ${most} that nodes take ` +
    `(each combination of rules that may mean one pod counts with all their ports), and there is no room left for this one: ` +
    `give rules that may mean the same pods the same ports or ranges of ports, and name pods by different values of one label`,
  closed: 'the ports of its policies take too many combinations',
  book: () => new PortBook(),
};

/** As if all lists came together. */
class PortBook implements Book {
  readonly #lists = { egress: new Map<string, { claim: PortClaim; times: number }>(), ingress: new Map<string, { claim: PortClaim; times: number }>() };

  add(policy: Policy): void {
    for (const claim of claimsOf(policy)) {
      const lists = this.#lists[claim.direction];
      const known = lists.get(claim.key);
      if (known) known.times++;
      else lists.set(claim.key, { claim, times: 1 });
    }
  }

  delete(policy: Policy): void {
    for (const { direction, key } of claimsOf(policy)) {
      const known = this.#lists[direction].get(key);
      if (known && --known.times === 0) this.#lists[direction].delete(key);
    }
  }

  get bound(): number {
    let size = 0;
    for (const direction of directions) {
      let [lists, elements] = [0, 0];
      for (const { claim } of this.#lists[direction].values()) (lists += claim.lists), (elements += claim.elements);
      size += worst(lists, elements);
    }
    return size;
  }
}

/** Of one direction. */
function worstOf(claims: readonly PortClaim[], most: number): number {
  const lists = new Map(claims.map((claim) => [claim.key, claim]));
  let [named, elements] = [0, 0];
  for (const one of lists.values()) (named += one.lists), (elements += one.elements);
  const atWorst = worst(named, elements);
  // Even if all came together.
  if (atWorst <= most) return atWorst;
  const [here, there] = [new Tellers(), new Tellers()];
  for (const { subject, remote } of claims) {
    here.note(subject);
    for (const wants of remote) there.note(wants);
  }
  // Lists that come together do so at both ends: no more than at either of them, and than for both labels.
  const [pairs, subjects, remotes] = [new ListReach(), new ListReach(), new ListReach()];
  for (const claim of claims) {
    const locals = here.placesOf(claim.subject);
    for (const local of locals) subjects.add(local, claim);
    for (const other of claim.remote.flatMap((wants) => there.placesOf(wants))) {
      remotes.add(other, claim);
      for (const local of locals) pairs.add({ label: `${local.label} to ${other.label}`, value: `${local.value} to ${other.value}` }, claim);
    }
  }
  const networks = claims.filter((claim) => claim.networks !== undefined);
  const depth = (of: (claim: PortClaim) => number): number => Math.max(...families.map((family) => depthOf(family, networks, of)));
  const [deepLists, deepElements] = [depth((claim) => claim.lists), depth((claim) => claim.elements)];
  return worst(
    Math.min(named, subjects.lists, Math.min(pairs.lists, remotes.lists) + deepLists),
    Math.min(elements, subjects.elements, Math.min(pairs.elements, remotes.elements) + deepElements),
  );
}

/** How many lists come together at the most, each once wherever it stands, and of how many elements. */
class ListReach {
  readonly #lists = new Reach();
  readonly #elements = new Reach();
  readonly #seen = new Set<string>();

  add(place: Place, { key, lists, elements }: PortClaim): void {
    const text = `${place.label} ${place.value} ${key}`;
    if (this.#seen.has(text)) return;
    this.#seen.add(text);
    this.#lists.add(place, lists);
    this.#elements.add(place, elements);
  }

  get lists(): number {
    return this.#lists.total;
  }

  get elements(): number {
    return this.#elements.total;
  }
}

const worst = (lists: number, elements: number): number => Math.min(kindsOfPods, 2 ** lists) * elements;

/** How much there is of something for the address that most of the networks mean. */
function depthOf(family: Family, claims: readonly PortClaim[], of: (claim: PortClaim) => number): number {
  const edges: { at: AddressPlace; change: number }[] = [];
  for (const claim of claims)
    for (const { from, to } of claim.networks!.spans[family]) edges.push({ at: from, change: of(claim) }, { at: to, change: -of(claim) });
  edges.sort((a, b) => comparePlaces(a.at, b.at) || a.change - b.change);
  let [most, now] = [0, 0];
  for (const { change } of edges) most = Math.max(most, (now += change));
  return most;
}
