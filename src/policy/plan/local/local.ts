import { directions } from '../../model.ts';
import { Bits } from './bits.ts';
import type { Cluster } from '../remote/cluster.ts';
import { type Group, Groups, type Slot } from './groups.ts';
import type { LabelClass } from '../remote/label-classes.ts';
import type { Atom, Atoms } from '../remote/peers.ts';
import { compileRules, type PolicyEntry, releaseRules } from './rules.ts';
import { selectsTraits } from '../remote/selection-index.ts';
import type { Signatures } from '../remote/signatures.ts';
import { setCell } from '../remote/signatures.ts';
import type { PolicyTable } from './policy-table.ts';
import type { TrafficSets } from './traffic-sets.ts';

/** What is to be judged again in a slot: remote addresses that one of these peers means, or all. Whoever a new peer means has a new signature, which is judged anyway. */
export type SlotDirt = Set<Atom> | 'all';

/** More changed policies than this are found by labels instead of being held against each class. */
const few = 64;

/** Which policies select the local pods: groups of pods, and the rules that are in use by them. */
export class Local {
  readonly groups = new Groups();
  readonly dirtySlots = new Map<Slot, SlotDirt>();
  /** Since `settled` slots came or went. */
  slotsChanged = false;
  readonly #cluster: Cluster;
  readonly #policies: PolicyTable;
  readonly #atoms: Atoms;
  readonly #traffic: TrafficSets;
  /** Serials of policies in use. */
  #used = new Bits();

  constructor(cluster: Cluster, policies: PolicyTable, atoms: Atoms, traffic: TrafficSets) {
    this.#cluster = cluster;
    this.#policies = policies;
    this.#atoms = atoms;
    this.#traffic = traffic;
  }

  /** After changes of local pods, of their labels or of policies. */
  update(signatures: Signatures): void {
    const changed = this.#findPolicies();
    if (changed.length === 0) return;
    const changedGroups = this.#regroup(changed, signatures);
    const used = new Bits();
    for (const group of this.groups) used.addAll(group.policies);
    const unused: PolicyEntry[] = [];
    for (const serial of used.difference(this.#used)) {
      const entry = this.#policies.bySerial[serial]!;
      if (used.has(serial)) entry.rules = compileRules(entry, this.#atoms, this.#traffic);
      else unused.push(entry);
    }
    this.#used = used;
    for (const [group, before] of changedGroups) this.#refresh(group, before, signatures);
    for (const entry of unused) releaseRules(entry, this.#atoms);
  }

  settled(): void {
    this.dirtySlots.clear();
    this.slotsChanged = false;
    this.groups.areRefreshed = false;
  }

  /** @returns classes that others select now */
  #findPolicies(): { one: LabelClass; policies: Bits | undefined }[] {
    const { added, removed, subjects, byNamespaceLabels } = this.#policies;
    const { dirtyLocals, dirtyNamespaces } = this.#cluster;
    const found: { one: LabelClass; policies: Bits | undefined }[] = [];
    const all = new Set(dirtyLocals);
    for (const { class: one } of this.#cluster.localPods.values())
      if (added.size + removed.size > 0 || dirtyNamespaces.has(one.namespace)) all.add(one);
    for (const one of all) {
      if (one.local === 0) {
        found.push({ one, policies: undefined });
        continue;
      }
      const traits = this.#cluster.traitsOf(one);
      const before = one.policies;
      let policies: Bits;
      if (!before || dirtyLocals.has(one) || added.size + removed.size > few) {
        policies = new Bits();
        for (const { serial } of subjects.find(traits)) policies.add(serial);
      } else {
        policies = before.copy();
        for (const { serial } of removed) policies.delete(serial);
        const maybe = dirtyNamespaces.has(one.namespace) ? [...added, ...byNamespaceLabels] : added;
        for (const entry of maybe)
          if (selectsTraits(entry.selections[0], traits)) policies.add(entry.serial);
          else policies.delete(entry.serial);
      }
      if (!before || !policies.equals(before)) found.push({ one, policies });
    }
    return found;
  }

  /** @returns groups that are others now, with the policies that they had, or for new ones those of the group that they come from */
  #regroup(changed: readonly { one: LabelClass; policies: Bits | undefined }[], signatures: Signatures): Map<Group, Bits> {
    const result = new Map<Group, Bits>();
    const before = new Map<LabelClass, Group | undefined>();
    for (const { one } of changed) {
      before.set(one, one.group);
      one.group?.classes.delete(one);
    }
    for (const { one, policies } of changed) {
      one.policies = policies;
      const from = before.get(one);
      const now = policies && !policies.isEmpty ? this.#groupOf(one, policies, from, result, signatures) : undefined;
      one.group = now;
      now?.classes.add(one);
      if (now !== from) this.#dirtyPods(one);
    }
    for (const group of new Set(before.values()))
      if (group?.classes.size === 0) {
        result.delete(group);
        this.#forget(this.groups.delete(group), signatures);
      }
    return result;
  }

  #groupOf(one: LabelClass, policies: Bits, from: Group | undefined, result: Map<Group, Bits>, signatures: Signatures): Group {
    const known = this.groups.find(policies, one.portsKey);
    if (known) return known;
    const inherits = from?.portsKey === one.portsKey ? from : undefined;
    // Nobody is left in it: it becomes the new one, and what stays the same of it stays.
    if (inherits && inherits.classes.size === 0 && !result.has(inherits)) {
      result.set(inherits, inherits.policies);
      this.groups.change(inherits, policies, one.namespace);
      return inherits;
    }
    const made = this.groups.make(policies, one);
    result.set(made, new Bits());
    if (inherits) {
      this.slotsChanged = true;
      result.set(made, result.get(inherits) ?? inherits.policies);
      for (const direction of directions) {
        const slot = inherits.slots[direction];
        if (!slot) continue;
        const copy = this.groups.makeSlot(made, direction, slot);
        signatures.widen(this.groups.width);
        for (const signature of signatures) setCell(signature, copy.index, signature.cells[slot.index]!);
      }
    }
    return made;
  }

  #refresh(group: Group, before: Bits, signatures: Signatures): void {
    const isolated = (): boolean[] => directions.map((direction) => (group.slots[direction]?.isolating ?? 0) > 0);
    const wasIsolated = isolated();
    const different = Array.from(group.policies.difference(before), (serial) => this.#policies.bySerial[serial]!);
    const { made, gone } = this.groups.refresh(group, different);
    signatures.widen(this.groups.width);
    this.#forget(gone, signatures);
    if (made.length + gone.length > 0) for (const one of group.classes) this.#dirtyPods(one);
    for (const slot of made) this.dirtySlots.set(slot, 'all');
    if (made.length > 0) this.slotsChanged = true;
    const isIsolated = isolated();
    for (const [i, direction] of directions.entries()) {
      const slot = group.slots[direction];
      if (!slot || made.includes(slot)) continue;
      const rules = different.flatMap((entry) => entry.rules?.[direction] ?? []);
      // Isolation keeps from the Baseline tier, and a rule without peers is about, whoever is at the other end.
      const isForAll = isIsolated[i] !== wasIsolated[i] || rules.some(({ atoms }) => !atoms);
      if (isForAll) this.dirtySlots.set(slot, 'all');
      else if (rules.length > 0) this.dirtySlots.set(slot, new Set(rules.flatMap(({ atoms }) => atoms ?? []).filter((atom) => !this.#atoms.added.has(atom))));
    }
  }

  #dirtyPods({ pods }: LabelClass): void {
    for (const { key, isLocal } of pods) if (isLocal) this.#cluster.dirtyLocalPods.add(key);
  }

  /** Slots that are free are empty, and so tell nobody from anybody. */
  #forget(slots: readonly number[], signatures: Signatures): void {
    if (slots.length > 0) this.slotsChanged = true;
    for (const index of slots) for (const signature of signatures) setCell(signature, index, 0);
  }
}
