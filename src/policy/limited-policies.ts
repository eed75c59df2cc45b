import type { Policy, Problem } from './model.ts';
import { PolicyLimits } from './limits/limits.ts';

/** Policies that come and go by an id, and which of them are over a limit, for who says so on them. */
export class LimitedPolicies {
  readonly #limits = new PolicyLimits();
  readonly #byId = new Map<string, Policy>();
  readonly #ids = new Map<Policy, string>();

  /** @param policy undefined: it is deleted */
  set(id: string, policy: Policy | undefined): void {
    const before = this.#byId.get(id);
    if (before) {
      this.#limits.delete(before);
      this.#ids.delete(before);
      this.#byId.delete(id);
    }
    if (!policy) return;
    this.#byId.set(id, policy);
    this.#ids.set(policy, id);
    this.#limits.add(policy);
  }

  /** @returns policies of which something else is to be said than before, for others' sake too */
  settle(): string[] {
    return this.#limits.settle().map((policy) => this.#ids.get(policy)!);
  }

  /** What is to be said beside what stands in the policy. */
  problemsOf(id: string): readonly Problem[] {
    const policy = this.#byId.get(id);
    return policy ? this.#limits.problemsOf(policy) : [];
  }
}
