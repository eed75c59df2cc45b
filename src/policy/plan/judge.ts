import { comparePolicies } from '../policies.ts';
import type { PodPort } from '../world.ts';
import type { Slot } from './groups.ts';
import type { Atom } from './peers.ts';
import { anyOf, type PortName, resolve, type RuleUse } from './rules.ts';
import type { Traits } from './signatures.ts';
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
    let accepted = TrafficSets.nothing;
    const take = (use: RuleUse, resolvable: boolean): void => {
      const ports = this.#portsOf(slot, use, remote, resolvable);
      if (use.entry.policy.tier === 'NetworkPolicy') accepted = traffic.union(accepted, ports);
      else if (ports !== TrafficSets.nothing) hits.push({ use, ports, isMaybe: false });
    };
    for (const use of slot.always) take(use, true);
    for (const atom of remote.atoms) {
      const uses = atom.uses[direction];
      // NP7: a network has no named ports, whoever has the address.
      const resolvable = atom.peer.kind === 'pods';
      if (uses.size > many) {
        const { ports, names } = this.#commonOf(slot, atom);
        accepted = traffic.union(accepted, ports);
        if (names.length > 0 && (resolvable || direction === 'ingress'))
          accepted = traffic.union(accepted, resolve(names, this.#namedBy(slot, remote), traffic));
      }
      for (const use of uses) {
        const isTaken = uses.size > many && use.entry.policy.tier === 'NetworkPolicy';
        if (!isTaken && group.policies.has(use.entry.serial)) take(use, resolvable);
      }
    }
    if (remote.isUnknown)
      for (const use of slot.cautious) {
        const ports = traffic.union(use.ports, anyOf(use.names, traffic));
        hits.push({ use, ports, isMaybe: use.action === 'Pass' });
      }
    if (hits.length > 1) hits.sort(compareHits);
    const baseline = (): TrafficId => this.#decide(hits, 'Baseline', TrafficSets.all);
    // NP11, NP12: NetworkPolicies keep no pod from itself nor from its node.
    const middle = slot.isolating === 0 ? baseline() : isItself || remote.isOwnNode ? TrafficSets.all : accepted;
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

  #commonOf(slot: Slot, atom: Atom): { ports: TrafficId; names: readonly PortName[] } {
    let common = slot.common.get(atom);
    if (!common) {
      const names = new Map<string, PortName>();
      let ports = TrafficSets.nothing;
      for (const use of atom.uses[slot.direction])
        if (use.entry.policy.tier === 'NetworkPolicy' && slot.group.policies.has(use.entry.serial)) {
          ports = this.#traffic.union(ports, use.ports);
          for (const one of use.names) names.set(`${one.name} ${one.protocol}`, one);
        }
      slot.common.set(atom, (common = { ports, names: [...names.values()] }));
    }
    return common;
  }
}

const compareHits = (a: Hit, b: Hit): number =>
  comparePolicies(a.use.entry.policy, b.use.entry.policy) || a.use.index - b.use.index;
