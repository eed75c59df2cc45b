import type { KubeObject, Resource } from './api.ts';
import { apiVersionOf } from './resources.ts';
import type { Node, ObjectMeta, ObjectReference, OwnerReference, Pod, PodCondition } from './types.ts';

/** `namespace/name`, or `name` of what has no namespace. */
export const key = ({ metadata }: { metadata: Pick<ObjectMeta, 'name' | 'namespace'> }): string =>
  metadata.namespace ? `${metadata.namespace}/${metadata.name}` : metadata.name;

/** The reference by which a controller owns what it makes. */
export const ownerRef = (resource: Resource, owner: KubeObject): OwnerReference => ({
  apiVersion: apiVersionOf(resource),
  kind: resource.kind,
  name: owner.metadata.name,
  uid: owner.metadata.uid ?? '',
  controller: true,
  blockOwnerDeletion: true,
});

/** The one owner that manages an object. */
export const controllerOf = (object: { metadata: ObjectMeta }): OwnerReference | undefined =>
  object.metadata.ownerReferences?.find((ref) => ref.controller === true);

export const isControlledBy = (object: { metadata: ObjectMeta }, owner: { metadata: ObjectMeta }): boolean =>
  owner.metadata.uid !== undefined && controllerOf(object)?.uid === owner.metadata.uid;

export const isDeleting = (object: { metadata: ObjectMeta }): boolean => object.metadata.deletionTimestamp !== undefined;

export const objectRef = (resource: Resource, object: KubeObject): ObjectReference => ({
  apiVersion: apiVersionOf(resource),
  kind: resource.kind,
  name: object.metadata.name,
  ...(object.metadata.namespace ? { namespace: object.metadata.namespace } : {}),
  ...(object.metadata.uid ? { uid: object.metadata.uid } : {}),
  ...(object.metadata.resourceVersion ? { resourceVersion: object.metadata.resourceVersion } : {}),
});

interface AnyCondition {
  type: string;
  status: string;
  reason?: string;
  message?: string;
  lastTransitionTime?: string;
}

export const conditionOf = <C extends { type: string }>(conditions: readonly C[] | undefined, type: string): C | undefined =>
  conditions?.find((condition) => condition.type === type);

/** A new list with the condition set; lastTransitionTime changes only with the status. */
export function withCondition<C extends AnyCondition>(conditions: readonly C[] | undefined, condition: C, now: string): C[] {
  const old = conditionOf(conditions, condition.type);
  const lastTransitionTime = old?.status === condition.status ? (old.lastTransitionTime ?? now) : now;
  const set = { ...old, ...condition, lastTransitionTime };
  return old ? conditions!.map((one) => (one === old ? set : one)) : [...(conditions ?? []), set];
}

export const podCondition = (pod: Pod, type: string): PodCondition | undefined => conditionOf(pod.status?.conditions, type);

export const isPodReady = (pod: Pod): boolean => podCondition(pod, 'Ready')?.status === 'True';

/** Succeeded or Failed: its containers never run again. */
export const isPodFinished = (pod: Pod): boolean => pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';

/** Neither finished nor on its way out. */
export const isPodActive = (pod: Pod): boolean => !isPodFinished(pod) && !isDeleting(pod);

/** Ready for at least `minReadySeconds`. */
export function isPodAvailable(pod: Pod, minReadySeconds: number, nowMs: number): boolean {
  const ready = podCondition(pod, 'Ready');
  if (ready?.status !== 'True') return false;
  return minReadySeconds === 0 || nowMs - Date.parse(ready.lastTransitionTime ?? '') >= minReadySeconds * 1000;
}

/** The pod's addresses, primary first; empty before its sandbox stands. */
export function podIps(pod: Pod): string[] {
  const all = pod.status?.podIPs?.map(({ ip }) => ip).filter((ip) => ip !== '') ?? [];
  return all.length > 0 ? all : pod.status?.podIP ? [pod.status.podIP] : [];
}

/** Addresses of one type, e.g. `InternalIP`, in the node's order (primary family first). */
export const nodeAddresses = (node: Node, type = 'InternalIP'): string[] =>
  (node.status?.addresses ?? []).filter((address) => address.type === type).map(({ address }) => address);

/** Of a Node: whether podnet's DNS on it answers. Written by its agent, and only once it did not. */
export const dnsConditionType = 'PodnetDNSReady';

export const isDnsReady = (node: Node): boolean => conditionOf(node.status?.conditions, dnsConditionType)?.status !== 'False';

export const isNodeReady = (node: Node): boolean => conditionOf(node.status?.conditions, 'Ready')?.status === 'True';

/** metav1.Time: RFC 3339 in whole seconds. */
export const kubeTime = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;

/** metav1.MicroTime, as Leases and event times have it. */
export const kubeMicroTime = (ms: number): string => new Date(ms).toISOString().replace('Z', '000Z');

/** Whether two plain JSON values are equal; absent and undefined are the same. */
export function jsonEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const left = a as Record<string, unknown>;
  const right = b as Record<string, unknown>;
  for (const name of Object.keys(left)) if (!jsonEqual(left[name], right[name])) return false;
  for (const name of Object.keys(right)) if (left[name] === undefined && right[name] !== undefined) return false;
  return true;
}
