import { directions, type Policy, type PolicyId, policyName, type Problem } from '../../model.ts';
import type { PolicyEntry } from './rules.ts';
import { PolicyLimits } from '../../limits/limits.ts';
import { SelectionIndex } from '../remote/selection-index.ts';

/** All policies, each version of one as an entry of its own, and what changed since they were planned. */
export class PolicyTable {
  readonly #byName = new Map<string, PolicyEntry>();
  readonly #limits = new PolicyLimits();
  /** Policies as they were given. */
  readonly #given = new Map<string, Policy>();
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
    const given = this.#given.get(name);
    // Addresses have no fields that could be compared; as text they are all there.
    if (given && JSON.stringify(given) === JSON.stringify(policy)) return;
    if (given) this.#limits.delete(given);
    this.#limits.add(policy);
    this.#given.set(name, policy);
    this.#put(name, policy);
  }

  delete(id: PolicyId): void {
    const name = policyName(id);
    const given = this.#given.get(name);
    if (!given) return;
    this.#limits.delete(given);
    this.#given.delete(name);
    this.#remove(this.#byName.get(name)!);
    this.#byName.delete(name);
  }

  /** To be called before what changed is looked at: rules for which there is no room are closed, and opened where there is room again. */
  limit(): void {
    for (const policy of this.#limits.settle()) {
      const name = policyName(policy);
      const now = this.#limits.of(policy);
      if (!sameRules(now, this.#byName.get(name)!.policy)) this.#put(name, now);
    }
  }

  /** What is to be said of a policy beside what stands in it, as of the last `limit`. */
  limitProblemsOf(id: PolicyId): readonly Problem[] {
    const given = this.#given.get(policyName(id));
    return given ? this.#limits.problemsOf(given) : [];
  }

  settled(): void {
    for (const { serial } of this.removed) {
      this.bySerial[serial] = undefined;
      this.#free.push(serial);
    }
    this.added.clear();
    this.removed.clear();
  }

  #put(name: string, policy: Policy): void {
    const before = this.#byName.get(name);
    if (before) this.#remove(before);
    const serial = this.#free.pop() ?? this.bySerial.length;
    const entry: PolicyEntry = { serial, policy, selections: [policy.subject], rules: undefined };
    this.bySerial[serial] = entry;
    this.#byName.set(name, entry);
    this.subjects.add(entry);
    if ('labels' in policy.subject.namespaces) this.byNamespaceLabels.add(entry);
    this.added.add(entry);
  }

  #remove(entry: PolicyEntry): void {
    this.subjects.delete(entry);
    this.byNamespaceLabels.delete(entry);
    this.added.delete(entry);
    this.removed.add(entry);
  }
}

/** Of two versions of a policy of which some rules are closed: whether the same ones are. */
const sameRules = (a: Policy, b: Policy): boolean =>
  directions.every((direction) =>
    (a.rules[direction] ?? []).every((rule, i) => rule.closed === b.rules[direction]![i]!.closed),
  );
