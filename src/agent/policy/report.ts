import { type Policy, policyName, type Problem } from '../../policy/model.ts';
import type { Item } from '../../reconcile/model.ts';
import { isDefault, podOwner } from './faults.ts';

/** What `status` tells of policies. */
export interface PolicyStatus {
  /** How many there are in the cluster, of each kind. */
  policies: Record<string, number>;
  /** They are in force here: pods and namespaces of the cluster are known. */
  enforced: boolean;
  /** The present epoch (ADR 19), while they are in force. */
  epoch?: number;
  /** How many pods of this node some policy speaks of, how many identities of remote addresses they tell apart, and how many classes of ports. */
  pods: number;
  identities: number;
  classes: number;
  /** What of them could not be understood or has no room, and what that means for traffic (NP19). */
  problems: string[];
}

export interface PolicyReportParts {
  policies: readonly Policy[];
  /** Of the Reconciler, all. */
  owners: Iterable<string>;
  itemsOf(owner: string): Iterable<Item>;
  epoch?: number;
  /** 0 where nothing is planned. */
  identities: number;
  /** What of a policy has no room, beside what stands in it. */
  limitProblemsOf(policy: Policy): readonly Problem[];
}

export function policyStatus({ policies, owners, itemsOf, epoch, identities, limitProblemsOf }: PolicyReportParts): PolicyStatus {
  const counts: Record<string, number> = {};
  for (const { kind } of policies) counts[kind] = (counts[kind] ?? 0) + 1;
  const all = [...owners];
  const pods = all.filter((owner) => owner.startsWith(podOwner('')) && [...itemsOf(owner)].some(isDefault));
  const classes = all.filter((owner) => owner.startsWith('policy class '));
  return {
    ...{ policies: counts, enforced: epoch !== undefined, ...(epoch === undefined ? {} : { epoch }) },
    ...{ pods: pods.length, identities, classes: classes.length },
    problems: problemsOf(policies.map((policy) => ({ ...policy, problems: [...policy.problems, ...limitProblemsOf(policy)] }))),
  };
}

/** A sentence for each part that was not understood. */
export const problemsOf = (policies: readonly Policy[]): string[] =>
  policies.flatMap((policy) => policy.problems.map(({ at, what, effect }) => `${policyName(policy)}, ${at}: ${what}; ${effect}`));
