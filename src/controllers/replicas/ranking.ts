import { isPodReady, podCondition } from '../../kube/objects.ts';
import type { Pod } from '../../kube/types.ts';

const phases: Record<string, number> = { Pending: 0, Unknown: 1, Running: 2 };

/** `controller.kubernetes.io/pod-deletion-cost`: the cheapest goes first. */
const deletionCost = (pod: Pod): number => {
  const cost = Number(pod.metadata.annotations?.['controller.kubernetes.io/pod-deletion-cost'] ?? 0);
  return Number.isInteger(cost) ? cost : 0;
};

const restarts = (pod: Pod): number =>
  Math.max(0, ...(pod.status?.containerStatuses ?? []).map(({ restartCount }) => restartCount));

const time = (text: string | undefined): number => Date.parse(text ?? '') || 0;

/**
 * The pods in the order in which they should go: as kube-controller-manager's ActivePodsWithRanks. Those that serve least go first: without a
 * node, pending, not ready, cheap, on a crowded node, ready for a shorter time, restarted more often, younger.
 */
export function deletionOrder(pods: readonly Pod[]): Pod[] {
  const crowd = new Map<string, number>();
  for (const { spec } of pods) crowd.set(spec?.nodeName ?? '', (crowd.get(spec?.nodeName ?? '') ?? 0) + 1);
  const rank = (pod: Pod): number[] => [
    pod.spec?.nodeName ? 1 : 0,
    phases[pod.status?.phase ?? 'Pending'] ?? 0,
    isPodReady(pod) ? 1 : 0,
    deletionCost(pod),
    -(crowd.get(pod.spec?.nodeName ?? '') ?? 0),
    -time(podCondition(pod, 'Ready')?.lastTransitionTime),
    -restarts(pod),
    -time(pod.metadata.creationTimestamp),
  ];
  const ranked = pods.map((pod) => ({ pod, rank: rank(pod) }));
  ranked.sort((a, b) => {
    const at = a.rank.findIndex((value, i) => value !== b.rank[i]);
    return at < 0 ? (a.pod.metadata.name < b.pod.metadata.name ? 1 : -1) : a.rank[at]! - b.rank[at]!;
  });
  return ranked.map(({ pod }) => pod);
}
