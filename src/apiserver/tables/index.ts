import { qualifiedName } from '../../kube/resources.ts';
import type { ObjectMeta } from '../../kube/types.ts';
import { clone, type Json, type StoredObject } from '../object.ts';
import { toStored } from '../registry/convert.ts';
import { type ApiResource, storageOf } from '../resources.ts';
import * as cluster from './cluster.ts';
import type { Printer, Printing } from './columns.ts';
import { customPrinters } from './custom.ts';
import * as networking from './networking.ts';
import * as others from './others.ts';
import { pods } from './pods.ts';
import * as workloads from './workloads.ts';

const printers: Readonly<Record<string, Printer>> = {
  configmaps: cluster.configMaps,
  endpoints: networking.endpoints,
  events: others.events,
  limitranges: cluster.limitRanges,
  namespaces: cluster.namespaces,
  nodes: cluster.nodes,
  persistentvolumeclaims: cluster.persistentVolumeClaims,
  persistentvolumes: cluster.persistentVolumes,
  pods,
  replicationcontrollers: workloads.replicationControllers,
  resourcequotas: cluster.resourceQuotas,
  secrets: cluster.secrets,
  serviceaccounts: cluster.serviceAccounts,
  services: networking.services,
  'controllerrevisions.apps': workloads.controllerRevisions,
  'daemonsets.apps': workloads.daemonSets,
  'deployments.apps': workloads.deployments,
  'replicasets.apps': workloads.replicaSets,
  'statefulsets.apps': workloads.statefulSets,
  'horizontalpodautoscalers.autoscaling': workloads.horizontalPodAutoscalers,
  'cronjobs.batch': workloads.cronJobs,
  'jobs.batch': workloads.jobs,
  'leases.coordination.k8s.io': cluster.leases,
  'endpointslices.discovery.k8s.io': networking.endpointSlices,
  'ingressclasses.networking.k8s.io': networking.ingressClasses,
  'ingresses.networking.k8s.io': networking.ingresses,
  'ipaddresses.networking.k8s.io': networking.ipAddresses,
  'networkpolicies.networking.k8s.io': networking.networkPolicies,
  'servicecidrs.networking.k8s.io': networking.serviceCidrs,
  'poddisruptionbudgets.policy': workloads.podDisruptionBudgets,
  'clusterrolebindings.rbac.authorization.k8s.io': others.clusterRoleBindings,
  'clusterroles.rbac.authorization.k8s.io': others.clusterRoles,
  'rolebindings.rbac.authorization.k8s.io': others.roleBindings,
  'roles.rbac.authorization.k8s.io': others.roles,
  'priorityclasses.scheduling.k8s.io': cluster.priorityClasses,
  'storageclasses.storage.k8s.io': cluster.storageClasses,
};

const customs = customPrinters();

const printerOf = (resource: ApiResource): Printer => {
  const name = qualifiedName(storageOf(resource));
  return printers[name] ?? customs.get(name) ?? others.anything;
};

/** How much of each object a Table carries along. */
export type IncludeObject = 'None' | 'Metadata' | 'Object';

export interface TableOptions {
  version: 'v1' | 'v1beta1';
  include: IncludeObject;
  nowMs: number;
  /** Later events of a watch need none. */
  headers: boolean;
  /** ListMeta, or that of the one object. */
  metadata: Json;
}

/** meta.k8s.io Table, which `kubectl get` prints. */
export function toTable(resource: ApiResource, objects: readonly StoredObject[], options: TableOptions): Json {
  const { columns, conditions } = printerOf(resource);
  const printing: Printing = { nowMs: options.nowMs };
  const apiVersion = `meta.k8s.io/${options.version}`;
  const columnDefinitions = columns.map(({ name, type, format, priority }) => ({
    name,
    type,
    format,
    description: name,
    priority,
  }));
  const rows = objects.map((object) => {
    // Printers know the stored version.
    const seen = resource.storedAs ? toStored(resource, clone(object)) : object;
    const marks = conditions?.(seen);
    return {
      cells: columns.map(({ cell }) => cell(seen, printing)),
      ...(marks ? { conditions: marks } : {}),
      ...(options.include === 'None' ? {} : { object: options.include === 'Object' ? object : partial(object, apiVersion) }),
    };
  });
  return {
    kind: 'Table',
    apiVersion,
    metadata: options.metadata,
    columnDefinitions: options.headers ? columnDefinitions : [],
    rows,
  };
}

/** meta.k8s.io PartialObjectMetadata */
export const partial = (object: { metadata: ObjectMeta }, apiVersion: string): Json => ({
  kind: 'PartialObjectMetadata',
  apiVersion,
  metadata: object.metadata,
});
