import { ApiError } from '../../kube/api.ts';
import { Namespaces } from '../../kube/resources.ts';
import type { ObjectMeta } from '../../kube/types.ts';
import { badRequest, forbidden, notFound } from '../errors.ts';
import type { ApiResource } from '../resources.ts';
import type { Surroundings } from './strategy.ts';

/** Says in the object what the request says of its namespace. @throws ApiError 400 when both say something else */
export function placeIn(resource: ApiResource, namespace: string | undefined, metadata: ObjectMeta): void {
  if (!resource.namespaced) delete metadata.namespace;
  else if (metadata.namespace && namespace && metadata.namespace !== namespace)
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  else metadata.namespace = namespace ?? metadata.namespace;
}

/** Admission NamespaceLifecycle. @throws ApiError 404 when there is no such namespace, 403 when it is ending */
export function checkNamespace(
  store: Surroundings['store'],
  resource: ApiResource,
  namespace: string | undefined,
  name: string,
): void {
  if (!resource.namespaced || namespace === undefined) return;
  const entry = store.get(Namespaces, undefined, namespace);
  if (!entry) throw notFound(Namespaces, namespace);
  if (entry.object.metadata.deletionTimestamp === undefined) return;
  const error = forbidden(
    resource,
    name,
    `unable to create new content in namespace ${namespace} because it is being terminated`,
  );
  throw new ApiError(error.code, error.reason, error.message, {
    ...(error.details as object),
    causes: [
      { reason: 'NamespaceTerminating', message: `namespace ${namespace} is being terminated`, field: 'metadata.namespace' },
    ],
  });
}
