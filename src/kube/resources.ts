import type { KubeObject, Resource } from './api.ts';
import type * as t from './types.ts';

const define =
  <T extends KubeObject>(group: string, version: string, namespaced: boolean) =>
  (kind: string, plural: string): Resource<T> => ({ group, version, plural, kind, namespaced });

export const Pods = define<t.Pod>('', 'v1', true)('Pod', 'pods');
export const Services = define<t.Service>('', 'v1', true)('Service', 'services');
export const Endpoints = define<t.Endpoints>('', 'v1', true)('Endpoints', 'endpoints');
export const ConfigMaps = define<t.ConfigMap>('', 'v1', true)('ConfigMap', 'configmaps');
export const Secrets = define<t.Secret>('', 'v1', true)('Secret', 'secrets');
export const ServiceAccounts = define<t.ServiceAccount>('', 'v1', true)('ServiceAccount', 'serviceaccounts');
export const Events = define<t.Event>('', 'v1', true)('Event', 'events');
export const ReplicationControllers = define<t.ReplicationController>(
  '',
  'v1',
  true,
)('ReplicationController', 'replicationcontrollers');
export const PersistentVolumeClaims = define<t.PersistentVolumeClaim>(
  '',
  'v1',
  true,
)('PersistentVolumeClaim', 'persistentvolumeclaims');
export const LimitRanges = define<t.LimitRange>('', 'v1', true)('LimitRange', 'limitranges');
export const ResourceQuotas = define<t.ResourceQuota>('', 'v1', true)('ResourceQuota', 'resourcequotas');
export const Nodes = define<t.Node>('', 'v1', false)('Node', 'nodes');
export const Namespaces = define<t.Namespace>('', 'v1', false)('Namespace', 'namespaces');
export const PersistentVolumes = define<t.PersistentVolume>('', 'v1', false)('PersistentVolume', 'persistentvolumes');

export const Deployments = define<t.Deployment>('apps', 'v1', true)('Deployment', 'deployments');
export const ReplicaSets = define<t.ReplicaSet>('apps', 'v1', true)('ReplicaSet', 'replicasets');
export const DaemonSets = define<t.DaemonSet>('apps', 'v1', true)('DaemonSet', 'daemonsets');
export const StatefulSets = define<t.StatefulSet>('apps', 'v1', true)('StatefulSet', 'statefulsets');
export const ControllerRevisions = define<t.ControllerRevision>('apps', 'v1', true)('ControllerRevision', 'controllerrevisions');

export const Jobs = define<t.Job>('batch', 'v1', true)('Job', 'jobs');
export const CronJobs = define<t.CronJob>('batch', 'v1', true)('CronJob', 'cronjobs');

export const EndpointSlices = define<t.EndpointSlice>('discovery.k8s.io', 'v1', true)('EndpointSlice', 'endpointslices');
export const NetworkPolicies = define<t.NetworkPolicy>('networking.k8s.io', 'v1', true)('NetworkPolicy', 'networkpolicies');
export const Ingresses = define<t.Ingress>('networking.k8s.io', 'v1', true)('Ingress', 'ingresses');
export const IngressClasses = define<t.IngressClass>('networking.k8s.io', 'v1', false)('IngressClass', 'ingressclasses');
export const ServiceCIDRs = define<t.ServiceCIDR>('networking.k8s.io', 'v1', false)('ServiceCIDR', 'servicecidrs');
export const IPAddresses = define<t.IPAddress>('networking.k8s.io', 'v1', false)('IPAddress', 'ipaddresses');

export const PodDisruptionBudgets = define<t.PodDisruptionBudget>(
  'policy',
  'v1',
  true,
)('PodDisruptionBudget', 'poddisruptionbudgets');
export const HorizontalPodAutoscalers = define<t.HorizontalPodAutoscaler>(
  'autoscaling',
  'v2',
  true,
)('HorizontalPodAutoscaler', 'horizontalpodautoscalers');
export const Leases = define<t.Lease>('coordination.k8s.io', 'v1', true)('Lease', 'leases');
export const StorageClasses = define<t.StorageClass>('storage.k8s.io', 'v1', false)('StorageClass', 'storageclasses');
export const PriorityClasses = define<t.PriorityClass>('scheduling.k8s.io', 'v1', false)('PriorityClass', 'priorityclasses');
export const Roles = define<t.Role>('rbac.authorization.k8s.io', 'v1', true)('Role', 'roles');
export const RoleBindings = define<t.RoleBinding>('rbac.authorization.k8s.io', 'v1', true)('RoleBinding', 'rolebindings');
export const ClusterRoles = define<t.ClusterRole>('rbac.authorization.k8s.io', 'v1', false)('ClusterRole', 'clusterroles');
export const ClusterRoleBindings = define<t.ClusterRoleBinding>(
  'rbac.authorization.k8s.io',
  'v1',
  false,
)('ClusterRoleBinding', 'clusterrolebindings');

/** Every resource podnet knows by name. A server may serve fewer, or more. */
export const allResources: readonly Resource[] = [
  ...[Namespaces, Nodes, Pods, Services, Endpoints, ConfigMaps, Secrets, ServiceAccounts, Events, ReplicationControllers],
  ...[PersistentVolumeClaims, PersistentVolumes, LimitRanges, ResourceQuotas],
  ...[Deployments, ReplicaSets, DaemonSets, StatefulSets, ControllerRevisions, Jobs, CronJobs],
  ...[EndpointSlices, NetworkPolicies, Ingresses, IngressClasses, ServiceCIDRs, IPAddresses],
  ...[PodDisruptionBudgets, HorizontalPodAutoscalers, Leases, StorageClasses, PriorityClasses],
  ...[Roles, RoleBindings, ClusterRoles, ClusterRoleBindings],
];

/** `v1` or `apps/v1`: what stands in an object's `apiVersion`. */
export const apiVersionOf = (resource: Resource): string =>
  resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;

/** `pods`, `deployments.apps`: the name as kubectl and error messages write it. */
export const qualifiedName = (resource: Resource): string =>
  resource.group === '' ? resource.plural : `${resource.plural}.${resource.group}`;

const byKind = new Map(allResources.map((resource) => [`${resource.group}/${resource.kind}`, resource]));

/** The resource of an `apiVersion` and `kind`, whatever the version: owner references outlive versions. */
export function resourceOfKind(apiVersion: string, kind: string): Resource | undefined {
  const slash = apiVersion.indexOf('/');
  return byKind.get(`${slash < 0 ? '' : apiVersion.slice(0, slash)}/${kind}`);
}

/** The URL path, from `/api` on. Names are escaped. Without a namespace a namespaced resource's path means all namespaces. */
export function resourcePath(resource: Resource, namespace?: string, name?: string, subresource?: string): string {
  let path = resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
  if (resource.namespaced && namespace) path += `/namespaces/${encodeURIComponent(namespace)}`;
  path += `/${resource.plural}`;
  if (name !== undefined) path += `/${encodeURIComponent(name)}`;
  return subresource ? `${path}/${subresource}` : path;
}
