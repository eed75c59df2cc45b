import type { KubeObject } from '../kube/api.ts';
import { conditionOf } from '../kube/objects.ts';
import type { Condition } from '../kube/types.ts';
import type { Policy, Problem } from './model.ts';

/** In the status of cluster-wide policies: whether podnet understands all that stands in it (NP19, CNP10). */
export const understoodCondition = 'PodnetUnderstood';

/** Reasons of Events about NetworkPolicies, which have no status. */
export const eventReasons = { problem: 'PolicyNotUnderstood', mended: 'PolicyUnderstood' } as const;

/** `spec.egress[0].to[0].cidrs: an unknown field; the rule allows nothing` */
const problemText = ({ at, what, effect }: Problem): string => `${at}: ${what}; ${effect}`;

/** Longest message of an Event that every API server takes (events.k8s.io/v1). Conditions may be longer; nobody reads that far. */
const longest = 1024;

/** What is wrong with a policy as one message, its beginning where it is too long; undefined: nothing is. */
export function problemsText({ problems }: Policy): string | undefined {
  if (problems.length === 0) return undefined;
  const texts = problems.map(problemText);
  const whole = texts.join('. ');
  if (whole.length <= longest) return whole;
  const rest = (count: number): string => (count > 0 ? `. And ${count} more: podnet policy explain` : '');
  let shown = '';
  for (const [index, text] of texts.entries()) {
    const next = index === 0 ? text : `${shown}. ${text}`;
    if (next.length + rest(texts.length - index - 1).length > longest)
      return `${shown || `${text.slice(0, longest - 100)}...`}${rest(texts.length - Math.max(index, 1))}`;
    shown = next;
  }
  return shown;
}

/** The condition that a cluster-wide policy should have, without its times. */
export function understood(policy: Policy, observedGeneration: number | undefined): Omit<Condition, 'lastTransitionTime'> {
  const problems = problemsText(policy);
  return {
    type: understoodCondition,
    ...(problems === undefined
      ? { status: 'True', reason: 'Understood', message: 'all of it is understood' }
      : { status: 'False', reason: 'NotUnderstood', message: problems }),
    ...(observedGeneration === undefined ? {} : { observedGeneration }),
  };
}

/**
 * Whether something is to be said on a policy: it has problems, or its condition says what is so no longer. One that was always understood needs no condition. Of NetworkPolicies, which
 * have none, it cannot be seen whether their problems were told.
 * @param object of which the policy was read
 */
export function isUnsaid(policy: Policy, { metadata, status }: KubeObject & { status?: { conditions?: Condition[] } }): boolean {
  const present = conditionOf(status?.conditions, understoodCondition);
  if (!present) return policy.problems.length > 0;
  const wanted = understood(policy, metadata.generation);
  return (['status', 'reason', 'message', 'observedGeneration'] as const).some((field) => present[field] !== wanted[field]);
}
