import type { Selector } from '../../kube/selectors.ts';
import type { Peer, PodSelection } from '../model.ts';
import type { RuleUse } from './rules.ts';

/** A peer that rules in use name, once however many name it: what tells remote addresses apart. */
export interface Atom {
  id: number;
  key: string;
  peer: Peer;
  /** Rules of policies that select a local pod. */
  uses: { ingress: Set<RuleUse>; egress: Set<RuleUse> };
}

const selectorKey = (selector: Selector): string =>
  JSON.stringify(selector.map(({ key, operator, values }) => [key, operator, ...values]).sort());

const podsKey = ({ namespaces, pods }: PodSelection): string =>
  `${'name' in namespaces ? `=${namespaces.name}` : selectorKey(namespaces.labels)} ${selectorKey(pods)}`;

/** Peers that mean the same for certain have the same key. */
export function peerKey(peer: Peer): string {
  switch (peer.kind) {
    case 'pods':
      return `pods ${podsKey(peer)}`;
    case 'networks':
      return `networks ${peer.cidrs.map(String).sort().join()} ${peer.except.map(String).sort().join()}`;
    case 'nodes':
      return `nodes ${selectorKey(peer.labels)}`;
    case 'domains':
      return `domains ${peer.names.map(({ name, wildcard }) => `${wildcard ? '*.' : ''}${name}`).sort().join()}`;
  }
}

/** Atoms of rules in use. */
export class Atoms {
  readonly #byKey = new Map<string, Atom>();
  readonly #free: number[] = [];
  #next = 0;
  /** Since `settled`. */
  readonly added = new Set<Atom>();
  readonly removed = new Set<Atom>();

  [Symbol.iterator](): Iterator<Atom> {
    return this.#byKey.values();
  }

  of(peer: Peer): Atom {
    const key = peerKey(peer);
    let atom = this.#byKey.get(key);
    if (!atom) {
      atom = { id: this.#free.pop() ?? this.#next++, key, peer, uses: { ingress: new Set(), egress: new Set() } };
      this.#byKey.set(key, atom);
      this.added.add(atom);
    }
    return atom;
  }

  /** Takes away those that no rule names any more, of these. */
  release(atoms: Iterable<Atom>): void {
    for (const atom of atoms) {
      if (atom.uses.ingress.size > 0 || atom.uses.egress.size > 0 || this.#byKey.get(atom.key) !== atom) continue;
      this.#byKey.delete(atom.key);
      if (this.added.delete(atom)) this.#free.push(atom.id);
      else this.removed.add(atom);
    }
  }

  settled(): void {
    // What names an atom by its number is planned anew by now.
    for (const { id } of this.removed) this.#free.push(id);
    this.added.clear();
    this.removed.clear();
  }
}
