import type { Change, Informer } from '../../kube/informer.ts';
import { isDeleting, isPodFinished, isPodReady, jsonEqual, key, podIps } from '../../kube/objects.ts';
import { fromMap, matches } from '../../kube/selectors.ts';
import type { Pod, Service } from '../../kube/types.ts';
import { hasSelector } from './labels.ts';

/** The pods that a Service selects. `pods` has the index `namespace`. */
export function selectedPods(service: Service, pods: Informer<Pod>): Pod[] {
  const selector = fromMap(service.spec?.selector ?? {});
  return pods.byIndex('namespace', service.metadata.namespace ?? '').filter(({ metadata }) => matches(selector, metadata.labels));
}

/** Whether the difference between two states of a pod can matter to any endpoint. */
const matters = (a: Pod, b: Pod): boolean =>
  isPodReady(a) !== isPodReady(b) ||
  isPodFinished(a) !== isPodFinished(b) ||
  isDeleting(a) !== isDeleting(b) ||
  a.spec?.nodeName !== b.spec?.nodeName ||
  podIps(a).join() !== podIps(b).join() ||
  !jsonEqual(a.metadata.labels ?? {}, b.metadata.labels ?? {});

/** Keys of the Services that select a pod of the changes, before or after. `services` has the index `namespace`. */
export function affectedServices(changes: readonly Change<Pod>[], services: Informer<Service>): Set<string> {
  const keys = new Set<string>();
  for (const { type, object, previous } of changes) {
    if (type === 'modified' && previous && !matters(object, previous)) continue;
    for (const service of services.byIndex('namespace', object.metadata.namespace ?? '')) {
      if (keys.has(key(service)) || !hasSelector(service)) continue;
      const selector = fromMap(service.spec!.selector!);
      if (matches(selector, object.metadata.labels) || (previous && matches(selector, previous.metadata.labels)))
        keys.add(key(service));
    }
  }
  return keys;
}
