import { ApiError } from '../../kube/api.ts';
import { isPodReady } from '../../kube/objects.ts';
import { PodDisruptionBudgets, Pods } from '../../kube/resources.ts';
import { fromLabelSelector, matches } from '../../kube/selectors.ts';
import type { Eviction, Pod, PodDisruptionBudget } from '../../kube/types.ts';
import { as } from '../object.ts';
import type { DeletionRequest } from '../registry/deletion.ts';
import type { Registry } from '../registry/registry.ts';
import type { ApiResource } from '../resources.ts';
import type { Store } from '../store/store.ts';

/** Deletes a pod unless a disruption budget forbids it. */
export function evict(
  registry: Registry,
  pods: ApiResource,
  namespace: string,
  name: string,
  eviction: Eviction,
  dryRun: boolean,
): void {
  const pod = as<Pod>(registry.get(pods, namespace, name).object);
  const phase = pod.status?.phase;
  const counts = phase !== 'Succeeded' && phase !== 'Failed' && phase !== 'Pending' && !pod.metadata.deletionTimestamp;
  if (counts && isPodReady(pod)) {
    const { store } = registry.around;
    const budgets = [...store.all(PodDisruptionBudgets, namespace)]
      .map(({ object }) => as<PodDisruptionBudget>(object))
      .filter(({ spec }) => {
        const selector = fromLabelSelector(spec?.selector);
        return selector !== undefined && matches(selector, pod.metadata.labels);
      });
    if (budgets.length > 1)
      throw new ApiError(
        500,
        'InternalError',
        'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
      );
    const [budget] = budgets;
    if (budget && allowed(budget, namespace, store) <= 0)
      throw new ApiError(429, 'TooManyRequests', "Cannot evict pod as it would violate the pod's disruption budget.", {
        causes: [
          {
            reason: 'DisruptionBudget',
            message: `The disruption budget ${budget.metadata.name} needs ${healthyWanted(budget, namespace, store)} healthy pods and has ${healthy(budget, namespace, store).length} currently`,
          },
        ],
      });
  }
  registry.delete(
    pods,
    namespace,
    name,
    (eviction.deleteOptions ?? {}) as DeletionRequest,
    dryRun || (eviction.deleteOptions?.dryRun?.length ?? 0) > 0,
  );
}

// No controller keeps budgets' status: it is counted when somebody asks.

function selected({ spec }: PodDisruptionBudget, namespace: string, store: Store): Pod[] {
  const selector = fromLabelSelector(spec?.selector) ?? [];
  return [...store.all(Pods, namespace)]
    .map(({ object }) => as<Pod>(object))
    .filter(({ metadata }) => matches(selector, metadata.labels));
}

const healthy = (budget: PodDisruptionBudget, namespace: string, store: Store): Pod[] =>
  selected(budget, namespace, store).filter((pod) => isPodReady(pod) && !pod.metadata.deletionTimestamp);

function portion(value: number | string, of: number): number {
  return typeof value === 'number' ? value : Math.ceil((Number.parseInt(value, 10) * of) / 100);
}

function healthyWanted(budget: PodDisruptionBudget, namespace: string, store: Store): number {
  const { minAvailable, maxUnavailable } = budget.spec ?? {};
  const expected = selected(budget, namespace, store).length;
  if (maxUnavailable !== undefined) return Math.max(0, expected - portion(maxUnavailable, expected));
  return portion(minAvailable ?? 1, expected);
}

const allowed = (budget: PodDisruptionBudget, namespace: string, store: Store): number =>
  healthy(budget, namespace, store).length - healthyWanted(budget, namespace, store);
