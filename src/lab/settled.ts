import { setTimeout as sleep } from 'node:timers/promises';
import type { Api } from '../kube/api.ts';
import { isDeleting, isPodReady, key, podIps } from '../kube/objects.ts';
import { EndpointSlices, Pods, Services } from '../kube/resources.ts';
import { fromMap, matches } from '../kube/selectors.ts';
import type { EndpointSlice, Pod, Service } from '../kube/types.ts';

export interface ServiceState {
  services: Service[];
  slices: EndpointSlice[];
}

const readyEndpoints = (slices: readonly EndpointSlice[], { metadata }: Service): Set<string> =>
  new Set(
    slices
      .filter(
        ({ metadata: own }) =>
          own.namespace === metadata.namespace && own.labels?.['kubernetes.io/service-name'] === metadata.name,
      )
      .flatMap(({ endpoints }) => (endpoints ?? []).filter(({ conditions }) => conditions?.ready !== false))
      .flatMap(({ targetRef }) => targetRef?.name ?? []),
  );

/** Services whose slices do not show yet which of their pods are Ready; those without a selector are whoever's who wrote them. */
export function unsettled(pods: readonly Pod[], { services, slices }: ServiceState): string[] {
  return services
    .filter((service) => {
      const { selector, type, publishNotReadyAddresses } = service.spec ?? {};
      if (!selector || Object.keys(selector).length === 0 || type === 'ExternalName' || publishNotReadyAddresses) return false;
      const wanted = pods.filter(
        (pod) =>
          pod.metadata.namespace === service.metadata.namespace &&
          matches(fromMap(selector), pod.metadata.labels) &&
          isPodReady(pod) &&
          !isDeleting(pod) &&
          podIps(pod).length > 0,
      );
      const there = readyEndpoints(slices, service);
      return there.size !== wanted.length || !wanted.every(({ metadata }) => there.has(metadata.name));
    })
    .map(key);
}

/**
 * Services and slices, once the slices have followed the pods: the controller is a moment behind whoever sees a pod become Ready.
 * What does not settle in time is given as it is.
 */
export async function settledServices(api: Api, timeoutMs = 5000): Promise<ServiceState> {
  for (const end = performance.now() + timeoutMs; ; await sleep(25)) {
    const [pods, services, slices] = await Promise.all([api.list(Pods), api.list(Services), api.list(EndpointSlices)]);
    const state = { services: services.items, slices: slices.items };
    if (unsettled(pods.items, state).length === 0 || performance.now() > end) return state;
  }
}
