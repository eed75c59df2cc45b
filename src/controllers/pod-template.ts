import type { KubeObject, Resource } from '../kube/api.ts';
import { ownerRef } from '../kube/objects.ts';
import type { Pod, PodTemplateSpec } from '../kube/types.ts';

/** A pod as a template asks for it, owned by `owner`. Without a name it is generated from the owner's. */
export function podFromTemplate(
  resource: Resource,
  owner: KubeObject,
  template: PodTemplateSpec | undefined,
  name?: string,
): Pod {
  const { labels, annotations, finalizers } = template?.metadata ?? {};
  // The server appends five characters; a DNS label has 63.
  const generateName = `${owner.metadata.name.slice(0, 57)}-`;
  return structuredClone({
    metadata: {
      ...(name ? { name } : { name: '', generateName }),
      namespace: owner.metadata.namespace,
      ...(labels ? { labels } : {}),
      ...(annotations ? { annotations } : {}),
      ...(finalizers ? { finalizers } : {}),
      ownerReferences: [ownerRef(resource, owner)],
    },
    spec: template?.spec ?? { containers: [] },
  });
}
