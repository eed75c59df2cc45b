import type { Resource } from '../../kube/api.ts';
import { ownerRef } from '../../kube/objects.ts';
import type { Endpoints, ObjectMeta, Service } from '../../kube/types.ts';

export const serviceNameLabel = 'kubernetes.io/service-name';
export const managedByLabel = 'endpointslice.kubernetes.io/managed-by';
export const headlessLabel = 'service.kubernetes.io/headless';
export const triggerAnnotation = 'endpoints.kubernetes.io/last-change-trigger-time';
export const sliceController = 'endpointslice-controller.k8s.io';
export const mirroringController = 'endpointslicemirroring-controller.k8s.io';

export const isHeadless = (service: Service): boolean =>
  service.spec?.clusterIP === 'None' || service.spec?.clusterIPs?.[0] === 'None';

/** A Service that the endpoints controllers work for. */
export const hasSelector = (service: Service): boolean =>
  service.spec?.type !== 'ExternalName' && Object.keys(service.spec?.selector ?? {}).length > 0;

/** ES7: the owner's labels, except those that say what a slice is. */
export function sliceMeta(
  resource: Resource,
  owner: Service | Endpoints,
  managedBy: string,
  trigger: string | undefined,
  headless = false,
): ObjectMeta {
  const { name, namespace, labels = {} } = owner.metadata;
  const reserved = new Set([serviceNameLabel, managedByLabel, headlessLabel]);
  const copied = Object.entries(labels).filter(([label]) => !reserved.has(label));
  return {
    name: '',
    generateName: `${name.slice(0, 57)}-`,
    namespace,
    labels: {
      ...Object.fromEntries(copied),
      [serviceNameLabel]: name,
      [managedByLabel]: managedBy,
      ...(headless ? { [headlessLabel]: '' } : {}),
    },
    ...(trigger ? { annotations: { [triggerAnnotation]: trigger } } : {}),
    ownerReferences: [ownerRef(resource, owner)],
  };
}
