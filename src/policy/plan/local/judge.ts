import { comparePolicies } from '../../policies.ts';
import type { PodPort } from '../../world.ts';
import type { Common, Slot } from './groups.ts';
import type { Atom } from '../remote/peers.ts';
import type { Region } from '../remote/regions.ts';
import { anyOf, type PortName, resolve, type RuleUse } from './rules.ts';
import type { Traits } from '../remote/signatures.ts';
import { type TrafficId, TrafficSets } from './traffic-sets.ts';

/** A rule of the tiers in which the first match decides, with what of the traffic it matches. */
interface Hit {
  use: RuleUse;
  ports: TrafficId;
  /** It may match, and may not. */
  isMaybe: boolean;
}

/** Peers that so many rules name are looked at once for each slot. */
const many = 8;

/**
 * What may pass between the local pods of a slot and remote addresses that are alike: `evaluate` for all ports at once.
 */
export class Judge {
  readonly #traffic: TrafficSets;

  constructor(traffic: TrafficSets) {
    this.#traffic = traffic;
  }

  /** @param isItself the remote end is the local pod itself, by way of a Service (CNP9) */
  judge(slot: Slot, remote: Traits, isItself = false): TrafficId {
    const traffic = this.#traffic;
    const { direction, group } = slot;
    // NP12, CNP12: no policy can keep a node from its pods.
    if (remote.isOwnNode && direction === 'ingress') return TrafficSets.all;
    const hits: Hit[] = [];
    const accepting = new Set<TrafficId>();
    const take = (use: RuleUse, resolvable: boolean): void => {
      const ports = this.#portsOf(slot, use, remote, resolvable);
      if (use.entry.policy.tier === 'NetworkPolicy') accepting.add(ports);
      else if (ports !== TrafficSets.nothing) hits.push({ use, ports, isMaybe: false });
    };
    for (const use of slot.always) take(use, true);
    const takeCommon = ({ ports, names }: Common, resolvable: boolean): void => {
      accepting.add(ports);
      if (names.length > 0 && (resolvable || direction === 'ingress'))
        accepting.add(resolve(names, this.#namedBy(slot, remote), traffic));
    };
    const takeAtom = (atom: Atom): void => {
      const uses = atom.uses[direction];
      // NP7: a network has no named ports, whoever has the address.
      const resolvable = atom.peer.kind === 'pods';
      if (uses.size > many) takeCommon(this.#commonOf(slot, atom), resolvable);
      for (const use of uses) {
        const isTaken = uses.size > many && use.entry.policy.tier === 'NetworkPolicy';
        if (!isTaken && group.policies.has(use.entry.serial)) take(use, resolvable);
      }
    };
    for (const atom of remote.atoms) takeAtom(atom);
    for (const region of remote.regions)
      if (region.scope === '') for (const atom of region.atoms) takeAtom(atom);
      else if (region.scope === group.namespace) takeCommon(this.#commonOfRegion(slot, region), false);
    if (remote.isUnknown)
      for (const use of slot.cautious) {
        const ports = traffic.union(use.ports, anyOf(use.names, traffic));
        hits.push({ use, ports, isMaybe: use.action === 'Pass' });
      }
    if (hits.length > 1) hits.sort(compareHits);
    const baseline = (): TrafficId => this.#decide(hits, 'Baseline', TrafficSets.all);
    // NP11, NP12: NetworkPolicies keep no pod from itself nor from its node.
    const middle = slot.isolating === 0 ? baseline() : isItself || remote.isOwnNode ? TrafficSets.all : traffic.unionAll(accepting);
    return this.#decide(hits, 'Admin', middle);
  }

  /** The first match decides; what passes, and what nothing matches, goes on to what the next tiers say. */
  #decide(hits: readonly Hit[], tier: 'Admin' | 'Baseline', next: TrafficId): TrafficId {
    const traffic = this.#traffic;
    let [rest, accepted, passed, maybePassed] = [TrafficSets.all, TrafficSets.nothing, TrafficSets.nothing, TrafficSets.nothing];
    for (const { use, ports, isMaybe } of hits) {
      if (use.entry.policy.tier !== tier) continue;
      const matched = traffic.intersect(rest, ports);
      if (isMaybe) {
        maybePassed = traffic.union(maybePassed, matched);
        continue;
      }
      if (use.action === 'Accept') accepted = traffic.union(accepted, matched);
      else if (use.action === 'Pass') passed = traffic.union(passed, matched);
      rest = traffic.minus(rest, matched);
    }
    // What may have been passed on is allowed if both this tier and the next ones do.
    const sure = traffic.minus(accepted, maybePassed);
    const asked = traffic.union(traffic.union(rest, passed), traffic.intersect(accepted, maybePassed));
    return traffic.union(sure, traffic.intersect(asked, next));
  }

  #portsOf(slot: Slot, { ports, names }: RuleUse, remote: Traits, resolvable: boolean): TrafficId {
    if (names.length === 0 || (slot.direction === 'egress' && !resolvable)) return ports;
    return this.#traffic.union(ports, resolve(names, this.#namedBy(slot, remote), this.#traffic));
  }

  /** Of the destination. */
  #namedBy({ direction, group }: Slot, { named }: Traits): readonly PodPort[] {
    return direction === 'ingress' ? group.ports : (named?.ports ?? []);
  }

  #commonOf(slot: Slot, atom: Atom): Common {
    let common = slot.common.get(atom);
    if (!common) {
      const uses = [...atom.uses[slot.direction]].filter(
        ({ entry }) => entry.policy.tier === 'NetworkPolicy' && slot.group.policies.has(entry.serial),
      );
      slot.common.set(atom, (common = this.#together(uses)));
    }
    return common;
  }

  /** Of networks of the slot's namespace: pieces that differ by what others say of them have it in common. */
  #commonOfRegion(slot: Slot, region: Region): Common {
    let common = slot.common.get(region);
    if (!common) slot.common.set(region, (common = this.#together(region.atoms.map((atom) => this.#commonOf(slot, atom)))));
    return common;
  }

  #together(all: readonly Common[]): Common {
    const names = new Map<string, PortName>();
    for (const one of all.flatMap((common) => common.names)) names.set(`${one.name} ${one.protocol}`, one);
    return { ports: this.#traffic.unionAll(all.map(({ ports }) => ports)), names: [...names.values()] };
  }
}

const compareHits = (a: Hit, b: Hit): number =>
  comparePolicies(a.use.entry.policy, b.use.entry.policy) || a.use.index - b.use.index;
