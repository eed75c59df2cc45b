import { controllerOf } from '../kube/objects.ts';
import type { EndpointSlice, Pod, PodTemplateSpec, Service } from '../kube/types.ts';
import { clusterDnsPod, isAnsweredByNodes, isClusterDns, usualClusterDns } from './cluster-dns.ts';
import { makeUpAddresses } from './made-up.ts';
import { type AnyObject, isPolicyKind, readPolicy } from './policies.ts';
import { podOf, readParts } from './read-world.ts';
import { makeWorld, type PolicyPod, podKey, type World } from './world.ts';

/** A world, and the Services by which its pods are asked. */
export interface Inventory {
  world: World;
  services: readonly Service[];
  slices: readonly EndpointSlice[];
  /** What people must know of it: policies of versions that are not known. */
  notes: readonly string[];
}

/** What an API server holds. */
export function readCluster(objects: readonly AnyObject[]): Inventory {
  const found = servicesOf(objects);
  const { pods, ...parts } = readParts(objects);
  const answered = found.services.filter(isAnsweredByNodes).map(clusterDnsPod);
  return { ...found, world: makeWorld({ ...parts, pods: [...pods, ...answered] }) };
}

/**
 * What manifests would become: pods are made of the templates of workloads, two at most, since replicas are alike (of a StatefulSet each, since their
 * labels differ); who has no address or node gets one that is made up. Cluster DNS is there though no manifest brings it.
 */
export function readManifestObjects(given: readonly AnyObject[]): Inventory {
  const objects = given.map(withNamespace);
  const { pods, ...parts } = readParts(objects);
  const there = new Set(pods.map(podKey));
  const all = [...pods, ...podsOfWorkloads(objects).filter((pod) => !there.has(podKey(pod)))];
  const found = servicesOf(objects);
  const dns = hasClusterDns(all, found.services) ? [] : [usualClusterDns];
  const complete = makeUpAddresses([...all, ...dns.map(clusterDnsPod)], parts.nodes);
  return { ...found, services: [...found.services, ...dns], world: makeWorld({ ...parts, ...complete }) };
}

const hasClusterDns = (pods: readonly PolicyPod[], services: readonly Service[]): boolean =>
  pods.some(isClusterDns) ||
  services.some(({ metadata: { namespace, name } }) => namespace === 'kube-system' && name === 'kube-dns');

const clusterScoped = /^(Namespace|Node|Cluster.*|AdminNetworkPolicy|BaselineAdminNetworkPolicy)$/;

/** `kubectl apply` puts what names no namespace into `default`. */
const withNamespace = (object: AnyObject): AnyObject =>
  clusterScoped.test(object.kind ?? '') || object.metadata.namespace !== undefined
    ? object
    : { ...object, metadata: { ...object.metadata, namespace: 'default' } };

function servicesOf(objects: readonly AnyObject[]): Omit<Inventory, 'world'> {
  const notes = objects
    .filter((object) => isPolicyKind(object) && !readPolicy(object))
    .map(({ apiVersion, kind, metadata: { name } }) => `${kind} ${name} of ${apiVersion} is not known to podnet and is left out`);
  return {
    services: objects.filter(({ apiVersion, kind }) => apiVersion === 'v1' && kind === 'Service') as Service[],
    slices: objects.filter(({ kind }) => kind === 'EndpointSlice') as EndpointSlice[],
    notes,
  };
}

interface Workload extends AnyObject {
  spec?: { replicas?: number; template?: PodTemplateSpec; jobTemplate?: { spec?: { template?: PodTemplateSpec } } };
}

const workloadKinds = ['Deployment', 'ReplicaSet', 'ReplicationController', 'StatefulSet', 'DaemonSet', 'Job', 'CronJob'];

/** Of workloads that are nobody's, and of which no pod is there already. */
function podsOfWorkloads(objects: readonly AnyObject[]): PolicyPod[] {
  const nameOf = (kind: string | undefined, namespace: string | undefined, name: string): string =>
    `${kind} ${namespace}/${name}`;
  const inUse = new Set<string>();
  for (const object of objects) {
    const owner = controllerOf(object as Pod);
    if (!owner) continue;
    inUse.add(nameOf(owner.kind, object.metadata.namespace, owner.name));
    // A dump of pods seldom has their ReplicaSets.
    if (owner.kind === 'ReplicaSet')
      inUse.add(nameOf('Deployment', object.metadata.namespace, owner.name.replace(/-[^-]+$/, '')));
  }
  return (objects as Workload[])
    .filter((object) => workloadKinds.includes(object.kind ?? '') && !controllerOf(object as Pod))
    .filter(({ kind, metadata: { namespace, name } }) => !inUse.has(nameOf(kind, namespace, name)))
    .flatMap(podsOfWorkload);
}

/** More replicas of a StatefulSet than this are like the others for anyone who reads. */
const mostReplicas = 50;

function podsOfWorkload({ kind, metadata: { name, namespace }, spec }: Workload): PolicyPod[] {
  const template = spec?.template ?? spec?.jobTemplate?.spec?.template;
  const replicas = spec?.replicas ?? 1;
  if (!template || replicas === 0) return [];
  const podCalled = (podName: string, more: Record<string, string> = {}): PolicyPod => ({
    ...podOf({
      metadata: { name: podName, namespace, labels: { ...template.metadata?.labels, ...more } },
      ...(template.spec ? { spec: template.spec } : {}),
    }),
    workload: `${kind}/${name}`,
  });
  if (kind !== 'StatefulSet') return replicas > 1 ? [podCalled(`${name}-1`), podCalled(`${name}-2`)] : [podCalled(name)];
  return Array.from({ length: Math.min(replicas, mostReplicas) }, (_, index) =>
    podCalled(`${name}-${index}`, {
      'statefulset.kubernetes.io/pod-name': `${name}-${index}`,
      'apps.kubernetes.io/pod-index': String(index),
    }),
  );
}
