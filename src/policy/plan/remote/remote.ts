import { matches } from '../../../kube/selectors.ts';
import type { Prefix } from '../../../net/prefix.ts';
import type { PodSelection } from '../../model.ts';
import { type AddressEntry, isUnused, nodeAt, podAt } from './addresses.ts';
import type { Cluster } from './cluster.ts';
import type { Groups } from '../local/groups.ts';
import { type LabelClass, noNames } from './label-classes.ts';
import type { Atom, Atoms } from './peers.ts';
import { Pieces } from './pieces.ts';
import { type PodTraits, SelectionIndex, selectsNamespace, selectsTraits } from './selection-index.ts';
import { merged, type Signature, type Signatures, type Traits } from './signatures.ts';

/** More changed peers than this are found by labels instead of being held against each class. */
const few = 64;

const selectsPods = (atom: Atom, traits: PodTraits): boolean =>
  atom.selections.some((selection) => selectsTraits(selection, traits));

const byId = (a: Atom, b: Atom): number => a.id - b.id;
const isSorted = (atoms: readonly Atom[]): boolean => {
  for (let i = 1; i < atoms.length; i++) if (atoms[i - 1]!.id > atoms[i]!.id) return false;
  return true;
};
const sameAtoms = (a: readonly Atom[], b: readonly Atom[]): boolean =>
  a.length === b.length && a.every((atom, i) => atom === b[i]);

/** What rules in use can tell of every address: which of their peers mean it. */
export class Remote {
  readonly pieces: Pieces;
  readonly #cluster: Cluster;
  readonly #atoms: Atoms;
  readonly #signatures: Signatures;
  readonly #index = new SelectionIndex<Atom>();
  /** Of those with selections that are found by labels of namespaces: these. */
  readonly #byNamespaceLabels = new Map<Atom, readonly PodSelection[]>();
  /** Peers by the domain names that they name. */
  readonly #domains = { exact: new Map<string, Set<Atom>>(), below: new Map<string, Set<Atom>>() };
  /** Names of ports that egress rules in use name. */
  #names: ReadonlySet<string> = new Set();

  constructor(cluster: Cluster, atoms: Atoms, signatures: Signatures) {
    this.#cluster = cluster;
    this.#atoms = atoms;
    this.#signatures = signatures;
    this.pieces = new Pieces(signatures);
  }

  /**
   * After all that changed.
   * @param wantedPodCidrs where who is not known is a pod that is not known
   * @returns addresses that have another signature now, and whether networks were cut anew
   */
  update(groups: Groups, wantedPodCidrs: readonly Prefix[]): { moved: Set<AddressEntry>; isCut: boolean } {
    this.#matchPods();
    if (groups.areRefreshed || this.#cluster.dirtyClasses.size > 0) this.#nameNamedPorts(groups);
    this.#matchNodes();
    this.#matchDomains();
    const isCut = this.#cut(wantedPodCidrs);
    const moved = new Set<AddressEntry>();
    for (const entry of this.#cluster.dirtyAddresses) if (this.#sign(entry)) moved.add(entry);
    return { moved, isCut };
  }

  #changed(kind: Atom['peer']['kind']): { added: Atom[]; removed: Atom[] } {
    const of = (atoms: Iterable<Atom>): Atom[] => [...atoms].filter(({ peer }) => peer.kind === kind);
    return { added: of(this.#atoms.added), removed: of(this.#atoms.removed) };
  }

  #matchPods(): void {
    const { classes, dirtyClasses, dirtyNamespaces } = this.#cluster;
    const { added, removed } = this.#changed('pods');
    for (const atom of removed) {
      this.#index.delete(atom);
      this.#byNamespaceLabels.delete(atom);
    }
    for (const atom of added) {
      this.#index.add(atom);
      const byLabels = atom.selections.filter(({ namespaces }) => 'labels' in namespaces);
      if (byLabels.length > 0) this.#byNamespaceLabels.set(atom, byLabels);
    }
    const all = [...added, ...removed].reduce((sum, atom) => sum + atom.selections.length, 0) > few;
    if (!all && added.length + removed.length + dirtyNamespaces.size > 0)
      for (const { name, labels, classes: some } of this.#cluster.namespaces()) {
        const here = new Set(added.filter((atom) => atom.selections.some((one) => selectsNamespace(one, name, labels))));
        const gone = new Set(removed);
        const before = dirtyNamespaces.get(name);
        let changed = here.size + gone.size;
        for (const [atom, selections] of before ? this.#byNamespaceLabels : []) {
          if (selections.every((one) => selectsNamespace(one, name, labels) === selectsNamespace(one, name, before!))) continue;
          // Another selection of the same peer may mean them still.
          changed += atom.selections.length;
          here.add(atom);
          gone.add(atom);
        }
        if (changed > few) for (const one of some) dirtyClasses.add(one);
        else if (changed > 0) for (const one of some) if (!dirtyClasses.has(one)) this.#change(one, here, gone);
      }
    for (const one of all ? classes : dirtyClasses) {
      const found = this.#index.find(this.#cluster.traitsOf(one));
      this.#setAtoms(one, isSorted(found) ? found : found.sort(byId));
    }
  }

  /** @param added those that may mean it, @param removed those that may not any more, unless they are among them */
  #change(one: LabelClass, added: ReadonlySet<Atom>, removed: ReadonlySet<Atom>): void {
    const traits = this.#cluster.traitsOf(one);
    const come = [...added].filter((atom) => selectsPods(atom, traits));
    const gone = one.atoms.some((atom) => removed.has(atom));
    if (come.length > 0 || gone) this.#setAtoms(one, [...one.atoms.filter((atom) => !removed.has(atom)), ...come].sort(byId));
  }

  #setAtoms(one: LabelClass, atoms: readonly Atom[]): void {
    if (sameAtoms(one.atoms, atoms)) return;
    one.atoms = atoms;
    this.#dirty(one);
  }

  #dirty(one: LabelClass): void {
    one.latest = undefined;
    for (const { addresses } of one.pods) for (const entry of addresses) this.#cluster.dirtyAddresses.add(entry);
  }

  #nameNamedPorts(groups: Groups): void {
    const names = new Set<string>();
    for (const slot of groups.slots()) if (slot.direction === 'egress') for (const name of slot.names.keys()) names.add(name);
    const isSame = names.size === this.#names.size && [...names].every((name) => this.#names.has(name));
    this.#names = names;
    for (const one of isSame ? this.#cluster.dirtyClasses : this.#cluster.classes) {
      const ports = one.ports.filter(({ name }) => names.has(name!));
      const key = ports.map(({ name, protocol, number }) => `${name}=${protocol}/${number}`).sort().join();
      if (key === one.named.key) continue;
      one.named = key === '' ? noNames : { key, ports };
      this.#dirty(one);
    }
  }

  #matchNodes(): void {
    const { added, removed } = this.#changed('nodes');
    const { nodes, dirtyNodes, dirtyAddresses } = this.#cluster;
    const isChanged = added.length + removed.length > 0;
    if (!isChanged && dirtyNodes.size === 0) return;
    const all = [...this.#atoms].filter(({ peer }) => peer.kind === 'nodes').sort(byId);
    for (const entry of isChanged ? nodes.values() : dirtyNodes) {
      const atoms = all.filter(({ peer }) => peer.kind === 'nodes' && matches(peer.labels, entry.node.labels));
      if (sameAtoms(atoms, entry.atoms)) continue;
      entry.atoms = atoms;
      for (const one of entry.addresses) dirtyAddresses.add(one);
    }
  }

  #matchDomains(): void {
    const { added, removed } = this.#changed('domains');
    if (added.length + removed.length === 0) return;
    const change = (atom: Atom, by: 'add' | 'delete'): void => {
      if (atom.peer.kind !== 'domains') return;
      for (const { name, wildcard } of atom.peer.names) {
        const map = this.#domains[wildcard ? 'below' : 'exact'];
        const some = map.get(name) ?? new Set();
        some[by](atom);
        if (some.size > 0) map.set(name, some);
        else map.delete(name);
      }
    };
    for (const atom of removed) change(atom, 'delete');
    for (const atom of added) change(atom, 'add');
    for (const addresses of this.#cluster.resolved.values()) for (const one of addresses) this.#cluster.dirtyAddresses.add(one);
  }

  #domainsOf(names: ReadonlySet<string>): Atom[] {
    const found = new Set<Atom>();
    for (const name of names) {
      for (const atom of this.#domains.exact.get(name) ?? []) found.add(atom);
      for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1))
        for (const atom of this.#domains.below.get(name.slice(dot + 1)) ?? []) found.add(atom);
    }
    return [...found].sort(byId);
  }

  /** @returns whether there are other pieces now */
  #cut(podCidrs: readonly Prefix[]): boolean {
    const { addresses, dirtyAddresses } = this.#cluster;
    const isCut = this.pieces.update(this.#atoms, podCidrs);
    if (isCut) for (const entry of addresses) if (this.pieces.place(entry)) dirtyAddresses.add(entry);
    for (const entry of dirtyAddresses) this.pieces.place(entry);
    return isCut;
  }

  /** @returns whether the address has another signature now */
  #sign(entry: AddressEntry): boolean {
    const before = entry.signature;
    const now = isUnused(entry) ? undefined : this.#signatureOf(entry);
    if (now === before) return false;
    if (before) {
      before.addresses.delete(entry);
      if (before.addresses.size === 0) this.#signatures.mayBeGone(before);
    }
    now?.addresses.add(entry);
    entry.signature = now;
    return true;
  }

  #signatureOf(entry: AddressEntry): Signature {
    const { piece, names } = entry;
    const pod = podAt(entry);
    if (!pod || names.size > 0) return this.#signatures.of(this.#traitsOf(entry));
    const { latest } = pod.class;
    if (latest?.piece === piece && latest && !latest.signature.isGone) return latest.signature;
    const signature = this.#signatures.of(this.#traitsOf(entry));
    pod.class.latest = { piece, signature };
    return signature;
  }

  #traitsOf(entry: AddressEntry): Traits {
    const { piece, names } = entry;
    const pod = podAt(entry);
    const node = pod ? undefined : nodeAt(entry);
    return {
      atoms: merged(names.size > 0 ? this.#domainsOf(names) : [], pod?.class.atoms ?? node?.atoms ?? []),
      regions: piece?.regions ?? [],
      named: pod && pod.class.named !== noNames ? pod.class.named : undefined,
      isOwnNode: node?.node.name === this.#cluster.nodeName,
      isUnknown: !pod && !node && piece?.isUnknown === true,
    };
  }
}
