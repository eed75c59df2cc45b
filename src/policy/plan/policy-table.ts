import { type Policy, type PolicyId, policyName } from '../model.ts';
import type { PolicyEntry } from './rules.ts';
import { SelectionIndex } from './selection-index.ts';

/** All policies, each version of one as an entry of its own, and what changed since they were planned. */
export class PolicyTable {
  readonly #byName = new Map<string, PolicyEntry>();
  readonly bySerial: (PolicyEntry | undefined)[] = [];
  readonly subjects = new SelectionIndex<PolicyEntry>();
  /** Those whose subjects are found by labels of namespaces. */
  readonly byNamespaceLabels = new Set<PolicyEntry>();
  readonly #free: number[] = [];
  readonly added = new Set<PolicyEntry>();
  /** They keep their serials until `settled`. */
  readonly removed = new Set<PolicyEntry>();

  get size(): number {
    return this.#byName.size;
  }

  set(policy: Policy): void {
    const name = policyName(policy);
    const before = this.#byName.get(name);
    // Addresses have no fields that could be compared; as text they are all there.
    if (before && JSON.stringify(before.policy) === JSON.stringify(policy)) return;
    if (before) this.#remove(before);
    const serial = this.#free.pop() ?? this.bySerial.length;
    const entry: PolicyEntry = { serial, policy, selection: policy.subject, rules: undefined };
    this.bySerial[serial] = entry;
    this.#byName.set(name, entry);
    this.subjects.add(entry);
    if ('labels' in policy.subject.namespaces) this.byNamespaceLabels.add(entry);
    this.added.add(entry);
  }

  delete(id: PolicyId): void {
    const name = policyName(id);
    const before = this.#byName.get(name);
    if (!before) return;
    this.#byName.delete(name);
    this.#remove(before);
  }

  settled(): void {
    for (const { serial } of this.removed) {
      this.bySerial[serial] = undefined;
      this.#free.push(serial);
    }
    this.added.clear();
    this.removed.clear();
  }

  #remove(entry: PolicyEntry): void {
    this.subjects.delete(entry);
    this.byNamespaceLabels.delete(entry);
    this.added.delete(entry);
    this.removed.add(entry);
  }
}
