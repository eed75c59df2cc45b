import type { Resource } from '../../kube/api.ts';
import { qualifiedName } from '../../kube/resources.ts';
import type { Strategy } from '../registry/strategy.ts';
import { servedCrds } from '../schema/crds.ts';
import { cronJobs, jobs } from './batch.ts';
import * as cluster from './cluster.ts';
import { configMaps, secrets } from './config.ts';
import { custom } from './custom.ts';
import * as networking from './networking.ts';
import * as others from './others.ts';
import { pods } from './pods.ts';
import { services } from './service/index.ts';
import { ipAddresses, serviceCidrs } from './service-cidrs.ts';
import * as workloads from './workloads.ts';

/** What is peculiar to each resource. Those that are absent have nothing peculiar. */
const strategies: Readonly<Record<string, Strategy>> = {
  configmaps: configMaps,
  endpoints: networking.endpoints,
  events: others.events,
  namespaces: cluster.namespaces,
  nodes: cluster.nodes,
  persistentvolumeclaims: cluster.persistentVolumeClaims,
  persistentvolumes: cluster.persistentVolumes,
  pods,
  replicationcontrollers: workloads.replicationControllers,
  resourcequotas: { initialStatus: {} },
  secrets,
  services,
  'daemonsets.apps': workloads.daemonSets,
  'deployments.apps': workloads.deployments,
  'replicasets.apps': workloads.replicaSets,
  'statefulsets.apps': workloads.statefulSets,
  'horizontalpodautoscalers.autoscaling': others.horizontalPodAutoscalers,
  'cronjobs.batch': cronJobs,
  'jobs.batch': jobs,
  'leases.coordination.k8s.io': others.leases,
  'endpointslices.discovery.k8s.io': networking.endpointSlices,
  'ingressclasses.networking.k8s.io': { generation: true },
  'ingresses.networking.k8s.io': networking.ingresses,
  'networkpolicies.networking.k8s.io': networking.networkPolicies,
  'ipaddresses.networking.k8s.io': ipAddresses,
  'servicecidrs.networking.k8s.io': serviceCidrs,
  'poddisruptionbudgets.policy': networking.podDisruptionBudgets,
  'clusterrolebindings.rbac.authorization.k8s.io': others.clusterRoleBindings,
  'clusterroles.rbac.authorization.k8s.io': others.clusterRoles,
  'rolebindings.rbac.authorization.k8s.io': others.roleBindings,
  'roles.rbac.authorization.k8s.io': others.roles,
  'priorityclasses.scheduling.k8s.io': others.priorityClasses,
  'storageclasses.storage.k8s.io': others.storageClasses,
};

const none: Strategy = {};
const customGroups = new Set(servedCrds().map(({ spec }) => spec.group));

export const strategyOf = (resource: Resource): Strategy =>
  strategies[qualifiedName(resource)] ?? (customGroups.has(resource.group) ? custom : none);
