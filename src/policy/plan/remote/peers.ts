import type { Selector } from '../../../kube/selectors.ts';
import type { Peer, PodSelection } from '../../model.ts';
import { shortKey } from '../../short-key.ts';
import type { Networks } from '../../spans.ts';
import type { RuleUse } from '../local/rules.ts';

/** A peer, or all networks or all pods of a rule together: its peers are or-ed and have one effect. */
export type AtomPeer =
  | Exclude<Peer, { kind: 'networks' | 'pods' }>
  | { kind: 'pods'; selections: readonly PodSelection[] }
  | { kind: 'networks'; scope: string; networks: Networks };

/** A peer that rules in use name, once however many name it: what tells remote addresses apart. */
export interface Atom {
  /** Never given again: what is known of several is kept by their numbers. */
  id: number;
  key: string;
  peer: AtomPeer;
  /** Of a peer of pods. */
  selections: readonly PodSelection[];
  /** Rules of policies that select a local pod. */
  uses: { ingress: Set<RuleUse>; egress: Set<RuleUse> };
}

/** So many selections of a rule are peers each for itself; more are one together. */
export const fewSelections = 8;

const selectorKey = (selector: Selector): string =>
  JSON.stringify(selector.map(({ key, operator, values }) => [key, operator, ...values]).sort());

/** Selections that mean the same for certain have the same. */
export const podsKey = ({ namespaces, pods }: PodSelection): string =>
  `${'name' in namespaces ? `=${namespaces.name}` : selectorKey(namespaces.labels)} ${selectorKey(pods)}`;

/** Peers that mean the same for certain have the same key. */
function peerKey(peer: AtomPeer): string {
  switch (peer.kind) {
    case 'pods':
      return `pods ${shortKey(peer.selections.map(podsKey).sort().join('|'))}`;
    case 'networks':
      return `networks ${peer.scope} ${peer.networks.key}`;
    case 'nodes':
      return `nodes ${selectorKey(peer.labels)}`;
    case 'domains':
      return `domains ${peer.names.map(({ name, wildcard }) => `${wildcard ? '*.' : ''}${name}`).sort().join()}`;
  }
}

/** Atoms of rules in use. */
export class Atoms {
  readonly #byKey = new Map<string, Atom>();
  #next = 0;
  /** Since `settled`. */
  readonly added = new Set<Atom>();
  readonly removed = new Set<Atom>();

  [Symbol.iterator](): Iterator<Atom> {
    return this.#byKey.values();
  }

  of(peer: AtomPeer): Atom {
    const key = peerKey(peer);
    let atom = this.#byKey.get(key);
    if (!atom) {
      const selections = peer.kind === 'pods' ? peer.selections : [];
      atom = { id: this.#next++, key, peer, selections, uses: { ingress: new Set(), egress: new Set() } };
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
      if (!this.added.delete(atom)) this.removed.add(atom);
    }
  }

  settled(): void {
    this.added.clear();
    this.removed.clear();
  }
}
