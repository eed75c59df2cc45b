import type { Resource } from '../kube/api.ts';
import * as known from '../kube/resources.ts';
import { type CustomResourceDefinition, servedCrds } from './schema/crds.ts';
import type { ServedResource } from './schema/served.ts';

/** A resource as the server offers and stores it. */
export interface ApiResource extends ServedResource {
  singular: string;
  shortNames?: readonly string[];
  /** `all`: what `kubectl get all` shows. */
  categories?: readonly string[];
  subresources: readonly string[];
  verbs: readonly string[];
  /** What field selectors may name besides `metadata.name` and `metadata.namespace`. */
  selectableFields: readonly string[];
  /** Another version or group of the same objects, under which they are stored. */
  storedAs?: ApiResource;
}

const allVerbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];

interface Extras {
  short?: string[];
  subresources?: string[];
  fields?: string[];
  verbs?: string[];
  all?: boolean;
  singular?: string;
  storedAs?: ApiResource;
}

function serve(resource: Resource, extras: Extras = {}): ApiResource {
  return {
    ...resource,
    singular: extras.singular ?? resource.kind.toLowerCase(),
    shortNames: extras.short,
    categories: extras.all ? ['all'] : undefined,
    subresources: extras.subresources ?? [],
    verbs: extras.verbs ?? allVerbs,
    selectableFields: extras.fields ?? [],
    storedAs: extras.storedAs,
  };
}

const status = ['status'];
const scalable = ['scale', 'status'];
const eventFields = ['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'];

const horizontalPodAutoscalers = serve(known.HorizontalPodAutoscalers, { short: ['hpa'], all: true, subresources: status });
const events = serve(known.Events, {
  short: ['ev'],
  fields: [
    ...eventFields.map((field) => `involvedObject.${field}`),
    ...['reason', 'reportingComponent', 'source', 'type', 'eventTime', 'firstTimestamp', 'lastTimestamp'],
  ],
});

const review = (group: string, kind: string): ApiResource =>
  serve({ group, version: 'v1', kind, plural: `${kind.toLowerCase()}s`, namespaced: false }, { verbs: ['create'] });

const customResources = ({ spec }: CustomResourceDefinition): ApiResource[] =>
  spec.versions.map(({ name, subresources }) => {
    const { kind, plural, singular, shortNames } = spec.names;
    const resource = { group: spec.group, version: name, kind, plural, namespaced: spec.scope === 'Namespaced' };
    return serve(resource, { singular, short: shortNames, subresources: subresources?.status ? status : [] });
  });

/**
 * All that is served, in the order of discovery. The kinds without a controller in podnet (Job …) are stored,
 * checked and shown like the others; nobody acts on them.
 */
export const servedResources: readonly ApiResource[] = [
  serve(known.ConfigMaps, { short: ['cm'] }),
  serve(known.Endpoints, { short: ['ep'], singular: 'endpoints' }),
  events,
  serve(known.LimitRanges, { short: ['limits'] }),
  serve(known.Namespaces, {
    short: ['ns'],
    subresources: ['finalize', 'status'],
    fields: ['status.phase'],
    verbs: allVerbs.filter((verb) => verb !== 'deletecollection'),
  }),
  serve(known.Nodes, { short: ['no'], subresources: status, fields: ['spec.unschedulable'] }),
  serve(known.PersistentVolumeClaims, { short: ['pvc'], subresources: status }),
  serve(known.PersistentVolumes, { short: ['pv'], subresources: status }),
  serve(known.Pods, {
    short: ['po'],
    all: true,
    subresources: ['attach', 'binding', 'ephemeralcontainers', 'eviction', 'exec', 'log', 'portforward', 'status'],
    fields: [
      ...['spec.nodeName', 'spec.restartPolicy', 'spec.schedulerName', 'spec.serviceAccountName', 'spec.hostNetwork'],
      ...['status.phase', 'status.podIP', 'status.podIPs', 'status.nominatedNodeName'],
    ],
  }),
  serve(known.ReplicationControllers, { short: ['rc'], all: true, subresources: scalable, fields: ['status.replicas'] }),
  serve(known.ResourceQuotas, { short: ['quota'], subresources: status }),
  serve(known.Secrets, { fields: ['type'] }),
  serve(known.ServiceAccounts, { short: ['sa'], subresources: ['token'] }),
  serve(known.Services, { short: ['svc'], all: true, subresources: status, fields: ['spec.clusterIP', 'spec.type'] }),

  serve(known.ControllerRevisions),
  serve(known.DaemonSets, { short: ['ds'], all: true, subresources: status }),
  serve(known.Deployments, { short: ['deploy'], all: true, subresources: scalable }),
  serve(known.ReplicaSets, { short: ['rs'], all: true, subresources: scalable, fields: ['status.replicas'] }),
  serve(known.StatefulSets, { short: ['sts'], all: true, subresources: scalable }),

  review('authentication.k8s.io', 'SelfSubjectReview'),
  review('authorization.k8s.io', 'SelfSubjectAccessReview'),
  review('authorization.k8s.io', 'SelfSubjectRulesReview'),
  review('authorization.k8s.io', 'SubjectAccessReview'),

  horizontalPodAutoscalers,
  serve(
    { ...known.HorizontalPodAutoscalers, version: 'v1' },
    { short: ['hpa'], all: true, subresources: status, storedAs: horizontalPodAutoscalers },
  ),

  serve(known.CronJobs, { short: ['cj'], all: true, subresources: status }),
  serve(known.Jobs, { all: true, subresources: status, fields: ['status.successful'] }),
  serve(known.Leases),
  serve(known.EndpointSlices),
  serve(
    { group: 'events.k8s.io', version: 'v1', kind: 'Event', plural: 'events', namespaced: true },
    {
      short: ['ev'],
      storedAs: events,
      fields: [...eventFields.map((field) => `regarding.${field}`), 'reason', 'reportingController', 'type'],
    },
  ),

  serve(known.IngressClasses),
  serve(known.Ingresses, { short: ['ing'], subresources: status }),
  serve(known.IPAddresses, { short: ['ip'] }),
  serve(known.NetworkPolicies, { short: ['netpol'] }),
  serve(known.ServiceCIDRs, { subresources: status }),
  serve(known.PodDisruptionBudgets, { short: ['pdb'], subresources: status }),

  serve(known.ClusterRoleBindings),
  serve(known.ClusterRoles),
  serve(known.RoleBindings),
  serve(known.Roles),
  serve(known.PriorityClasses, { short: ['pc'] }),
  serve(known.StorageClasses, { short: ['sc'] }),

  ...servedCrds().flatMap(customResources),
];

/** Where the objects of a resource stand in the store: one place for all versions of it. */
export const storageOf = (resource: ApiResource): ApiResource => resource.storedAs ?? resource;

const byPath = new Map(servedResources.map((resource) => [`${resource.group}/${resource.version}/${resource.plural}`, resource]));

/** @param group '' for the core group */
export const findResource = (group: string, version: string, plural: string): ApiResource | undefined =>
  byPath.get(`${group}/${version}/${plural}`);
