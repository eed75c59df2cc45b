import { ApiError } from '../../kube/api.ts';
import { kubeTime, withCondition } from '../../kube/objects.ts';
import type { Binding, Pod } from '../../kube/types.ts';
import { as } from '../object.ts';
import type { Registry } from '../registry/registry.ts';
import type { WriteRequest } from '../registry/request.ts';
import type { ApiResource } from '../resources.ts';
import { FieldErrors } from '../validation/field-errors.ts';

const refused = (name: string, why: string): ApiError =>
  new ApiError(409, 'Conflict', `Operation cannot be fulfilled on pods/binding "${name}": ${why}`, {
    name,
    kind: 'pods/binding',
  });

/** Puts a pod on a node, once. */
export function bindPod(
  registry: Registry,
  pods: ApiResource,
  namespace: string | undefined,
  name: string,
  binding: Binding,
  request: WriteRequest,
): void {
  const { target, metadata } = binding;
  const errors = new FieldErrors();
  if (!target?.name) errors.required('target.name');
  if (target?.kind && target.kind !== 'Node') errors.notSupported('target.kind', target.kind, ['Node', '<empty>']);
  if (errors.any) throw errors.toError({ group: '', kind: 'Binding' }, name);
  const now = kubeTime(registry.around.now());
  registry.modify(
    pods,
    namespace,
    name,
    request,
    (object) => {
      const pod = as<Pod>(object);
      if (metadata?.uid && metadata.uid !== pod.metadata.uid)
        throw refused(name, `Precondition failed: UID in precondition: ${metadata.uid}, UID in object meta: ${pod.metadata.uid}`);
      if (pod.metadata.deletionTimestamp) throw refused(name, `pod ${name} is being deleted, cannot be assigned to a host`);
      if (pod.spec?.nodeName) throw refused(name, `pod ${name} is already assigned to node "${pod.spec.nodeName}"`);
      pod.spec!.nodeName = target.name;
      if (metadata?.annotations) pod.metadata.annotations = { ...pod.metadata.annotations, ...metadata.annotations };
      pod.status = {
        ...pod.status,
        conditions: withCondition(pod.status?.conditions, { type: 'PodScheduled', status: 'True' }, now),
      };
    },
    { subresource: 'binding', raw: true },
  );
}
