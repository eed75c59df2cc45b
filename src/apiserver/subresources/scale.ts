import type { Scale } from '../../kube/types.ts';
import { as, isJson, type Json, type StoredObject } from '../object.ts';
import type { Registry } from '../registry/registry.ts';
import type { WriteRequest } from '../registry/request.ts';
import type { ApiResource } from '../resources.ts';
import { selectorText } from '../strategies/workloads.ts';
import { FieldErrors } from '../validation/field-errors.ts';

/** autoscaling/v1 Scale of anything with replicas. */
export function scaleOf({ metadata, spec, status }: StoredObject): StoredObject {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = metadata;
  const selector = selectorText(spec?.selector);
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: { replicas: spec?.replicas ?? 0 },
    status: { replicas: (status?.replicas as number | undefined) ?? 0, ...(selector && { selector }) },
  };
}

/** @param scale what the client made of the Scale */
export function writeScale(
  registry: Registry,
  resource: ApiResource,
  namespace: string | undefined,
  name: string,
  scale: unknown,
  request: WriteRequest,
): StoredObject {
  const { spec, metadata } = (isJson(scale) ? scale : {}) as Partial<Scale>;
  const replicas = (isJson(spec) ? (spec as Json).replicas : undefined) ?? 0;
  const errors = new FieldErrors();
  if (!Number.isInteger(replicas)) errors.invalid('spec.replicas', replicas, 'must be an integer');
  else if ((replicas as number) < 0) errors.invalid('spec.replicas', replicas, 'must be greater than or equal to 0');
  if (errors.any) throw errors.toError({ group: 'autoscaling', kind: 'Scale' }, name);
  const written = registry.modify(
    resource,
    namespace,
    name,
    request,
    (object) => {
      if (metadata?.resourceVersion) object.metadata.resourceVersion = metadata.resourceVersion;
      if (metadata?.uid) object.metadata.uid = metadata.uid;
      object.spec = { ...object.spec, replicas };
    },
    { subresource: 'scale' },
  );
  return scaleOf(as<StoredObject>(written));
}
