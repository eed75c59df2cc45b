import { directions, type Policy, type Rule } from '../model.ts';
import { closedRule } from '../read-rules.ts';
import type { PolicyPod } from '../world.ts';

/** What is not planned for as it stands: the object, and what planning it failed with. */
export interface Fault<T> {
  given: T;
  why: string;
}

/** By names of policies, and by keys of pods. */
export interface Faults {
  closed: ReadonlyMap<string, Fault<Policy>>;
  cut: ReadonlyMap<string, Fault<PolicyPod>>;
}

export const closedEffect = 'its rules allow nothing, and those that deny or pass deny everything';

/** What is left of a policy that cannot be planned for as it stands. */
export function closedPolicy(policy: Policy, why: string): Policy {
  const closed = `planning it failed: ${why}`;
  const rules = (some: readonly Rule[] | undefined): Rule[] | undefined =>
    some?.map(({ at, action, name }) => closedRule(at, action, name, closed));
  const [egress, ingress] = directions.map((direction) => rules(policy.rules[direction]));
  return { ...policy, rules: { egress, ingress }, problems: [...policy.problems, { at: 'spec', what: closed, effect: closedEffect }] };
}
