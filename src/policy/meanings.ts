import { createHash } from 'node:crypto';
import type { IpAddr } from '../net/ip.ts';
import { matchesPeer } from './match.ts';
import { type Direction, directions, type Peer, type PodSelection, type Rule } from './model.ts';
import { type End, endAt } from './packet.ts';
import { SelectionIndex } from './plan/remote/selection-index.ts';
import { shortKey } from './short-key.ts';
import { type NetworkPeer, networksOf, networksOfPeers, type Spans } from './spans.ts';
import { fingerprintsAt, setsAt } from './sweep.ts';
import type { PolicyPod, World } from './world.ts';

/** A rule of a world, and where it stands. */
export interface PlacedRule {
  /** Its policy's place among those of the world. */
  policy: number;
  direction: Direction;
  rule: Rule;
}

/** By which kinds of peers a rule means an end: ports with names tell them apart (NP7). */
const byPods = 1;
const byOthers = 2;

/** What all peers of a world make of one end. */
export interface Meaning {
  /** Equal where the same rules mean it by the same kinds of peers. */
  number: number;
  /** Rules of which a peer means it, by their places in `rules`; those without peers, which mean everybody, are not there. */
  rules: ReadonlyMap<number, number>;
  /** Equal where the very same peers mean it. */
  signature: string;
}

interface Selected {
  selections: readonly PodSelection[];
  number: number;
}

/** Peers that say the same thing, and the rules that have one: `rule * 4 + kind`. */
interface Atom {
  peer: Peer;
  rules: number[];
}

/**
 * Which rules of a world mean each of many addresses. Peers that say the same are asked once, those for pods are found by labels, and networks in one walk over
 * the address space: 10,000 addresses and 4,000 networks are not compared with each other.
 */
export class Meanings {
  readonly rules: PlacedRule[] = [];
  readonly #world: World;
  readonly #atoms = new Map<string, Atom>();
  readonly #podAtoms = new SelectionIndex<Selected & { atom: Atom }>();
  readonly #otherAtoms: { number: number; atom: Atom }[] = [];
  readonly #subjects = new SelectionIndex<Selected & { policies: number[] }>();
  /** Of rules, all networks of one as one. */
  readonly #networks = new Map<string, { spans: Spans; rules: number[] }>();
  readonly #networksAt: ReadonlyMap<string, readonly number[]>;
  readonly #peersAt: ReadonlyMap<string, bigint>;
  readonly #ofTraits = new Map<string, { number: number; atoms: readonly Atom[]; policies: readonly number[] }>();
  readonly #ofEnd = new Map<string, Meaning>();
  readonly #known = new Map<string, Meaning>();
  readonly #numbers = new Map<string, number>();
  readonly #networkRules: readonly (readonly number[])[];

  /** @param addresses all that will be asked for */
  constructor(world: World, addresses: readonly IpAddr[]) {
    this.#world = world;
    const networkPeers = new Map<string, Spans>();
    const subjects = new Map<string, Selected & { policies: number[] }>();
    for (const [policy, { subject, rules }] of world.policies.entries()) {
      const key = JSON.stringify([subject.namespaces, subject.pods]);
      const found = subjects.get(key);
      if (found) found.policies.push(policy);
      else subjects.set(key, { selections: [subject], number: subjects.size, policies: [policy] });
      for (const direction of directions)
        for (const rule of rules[direction] ?? []) {
          this.rules.push({ policy, direction, rule });
          this.#take(rule, this.rules.length - 1, networkPeers);
        }
    }
    for (const subject of subjects.values()) this.#subjects.add(subject);
    let number = 0;
    for (const atom of this.#atoms.values()) {
      if (atom.peer.kind === 'pods') this.#podAtoms.add({ selections: [atom.peer], number, atom });
      else this.#otherAtoms.push({ number, atom });
      number++;
    }
    const networks = [...this.#networks.values()];
    this.#networkRules = networks.map(({ rules }) => rules);
    this.#networksAt = setsAt(
      networks.map(({ spans }) => spans),
      addresses,
    );
    const keys = [...networkPeers.keys()];
    this.#peersAt = fingerprintsAt([...networkPeers.values()], addresses, (set) => randomOf(keys[set]!));
  }

  #take(rule: Rule, number: number, networkPeers: Map<string, Spans>): void {
    for (const peer of rule.peers ?? []) {
      if (peer.kind === 'networks') {
        const key = keyOfNetworks(peer);
        if (!networkPeers.has(key)) networkPeers.set(key, networksOfPeers([peer]).spans);
        continue;
      }
      const key = keyOfPeer(peer);
      const atom = this.#atoms.get(key) ?? { peer, rules: [] };
      this.#atoms.set(key, atom);
      atom.rules.push(number * 4 + (peer.kind === 'pods' ? byPods : byOthers));
    }
    const networks = networksOf(rule);
    if (!networks) return;
    const found = this.#networks.get(networks.key) ?? { spans: networks.spans, rules: [] };
    this.#networks.set(networks.key, found);
    found.rules.push(number * 4 + byOthers);
  }

  /** Places of the policies that select a pod, in order. */
  policiesAbout(pod: PolicyPod): readonly number[] {
    return this.#traitsOf(pod).policies;
  }

  /** @param address one of those that were announced */
  of(address: IpAddr): Meaning {
    const text = String(address);
    const found = this.#ofEnd.get(text) ?? this.#find(endAt(this.#world, address), text);
    this.#ofEnd.set(text, found);
    return found;
  }

  #find(end: End, text: string): Meaning {
    const traits = end.kind === 'pod' ? this.#traitsOf(end.pod) : undefined;
    const others = this.#otherAtoms.filter(({ atom }) => matchesPeer(this.#world, atom.peer, end));
    const atOthers = others.map(({ number }) => number).join();
    const networks = this.#networksAt.get(text) ?? [];
    const fine = `${traits?.number ?? ''} ${atOthers} ${this.#peersAt.get(text)}`;
    const known = this.#known.get(fine);
    if (known) return known;
    const rules = new Map<number, number>();
    const add = (rule: number): void => void rules.set(rule >> 2, (rules.get(rule >> 2) ?? 0) | (rule & 3));
    for (const { rules: some } of traits?.atoms ?? []) for (const rule of some) add(rule);
    for (const { atom } of others) for (const rule of atom.rules) add(rule);
    for (const network of networks) for (const rule of this.#networkRules[network]!) add(rule);
    const key = shortKey([...rules].map(([rule, kinds]) => rule * 4 + kinds).sort((a, b) => a - b).join());
    const meaning = { number: this.#numberOf(key), rules, signature: fine };
    this.#known.set(fine, meaning);
    return meaning;
  }

  #numberOf(key: string): number {
    const number = this.#numbers.get(key) ?? this.#numbers.size;
    this.#numbers.set(key, number);
    return number;
  }

  /** Pods of the same labels are asked once; of other labels that the same selections mean have the same number. */
  #traitsOf({ namespace, labels }: PolicyPod): { number: number; atoms: readonly Atom[]; policies: readonly number[] } {
    const key = JSON.stringify([namespace, labels]);
    const known = this.#ofTraits.get(key);
    if (known) return known;
    const traits = { namespace, namespaceLabels: this.#world.namespaces.get(namespace) ?? {}, labels };
    const atoms = [...this.#podAtoms.find(traits)].sort((a, b) => a.number - b.number);
    const policies = [...this.#subjects.find(traits)].flatMap((subject) => subject.policies).sort((a, b) => a - b);
    const number = this.#numberOf(`pods ${shortKey(atoms.map((one) => one.number).join())}`);
    const found = { number, atoms: atoms.map(({ atom }) => atom), policies };
    this.#ofTraits.set(key, found);
    return found;
  }
}

const keyOfNetworks = ({ cidrs, except }: NetworkPeer): string => shortKey(`${cidrs.join()} but ${except.join()}`);

/** What a peer says, but not where. */
const keyOfPeer = ({ at: _, ...says }: Peer): string => shortKey(JSON.stringify(says));

const randomOf = (text: string): bigint => createHash('sha256').update(text).digest().readBigUInt64BE() | (createHash('sha256').update(`${text}.`).digest().readBigUInt64BE() << 64n);
