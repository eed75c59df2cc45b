import type { EndpointSlice, Service } from '../kube/types.ts';
import type { PolicyPlanNode } from '../policy/plan/index.ts';
import type { Item, NftElement, NodeNetwork } from '../reconcile/index.ts';
import { ownerOf, type ServiceNode, ServicePlanner } from '../services/index.ts';
import type { Cluster } from './cluster.ts';
import { type Difference, difference } from './difference.ts';
import { type ElementChange, elementChanges, missingFrom } from './elements.ts';
import { PolicyForecast, type PolicyNews, policyNews, touchedNodes } from './policies.ts';
import { explainAll, type PlannedNode, type ServiceChange, serviceChanges } from './services.ts';

/** A node as its planners know it. */
export interface NodeSetting {
  service: ServiceNode;
  /** Service ports that it answers itself, its DNS, and those that it answers when it can. */
  answered: ReadonlySet<string>;
  answerable: ReadonlySet<string>;
  policy: PolicyPlanNode;
  /** What its kernel holds, where that can be read: numbers are those that stand there. */
  held?: NodeNetwork;
}

/** What a change does, before it is made. */
export interface Prediction {
  services: ServiceChange[];
  nodes: NodePrediction[];
}

export interface NodePrediction {
  node: string;
  /** What would be written. */
  elements: ElementChange[];
  /** How much of what is wanted now the kernel does not hold; absent where it was not read. */
  missing?: number;
}

/** What the nodes' agents would make of it when `before` becomes `after`. */
export function predict(settings: readonly NodeSetting[], before: Cluster, after: Cluster): Prediction {
  const policies = policyNews(before, after);
  const news: News = {
    all: policyNews(undefined, before),
    policies,
    touched: touchedNodes(before, after, policies),
    services: difference(before.services, after.services),
    slices: difference(before.slices, after.slices),
  };
  const nodes = settings.map((setting) => predictNode(setting, before, news));
  return { services: serviceChanges(nodes.map(({ planned }) => planned)), nodes: nodes.map(({ told }) => told) };
}

/** What every agent hears, found once: there may be thousands of nodes. */
interface News {
  /** Of policies, before the change. */
  all: PolicyNews;
  /** With the change. */
  policies: PolicyNews;
  /** Where that may change what is planned; absent: everywhere. */
  touched: ReadonlySet<string> | undefined;
  services: Difference<Service>;
  slices: Difference<EndpointSlice>;
}

function predictNode(setting: NodeSetting, before: Cluster, news: News): { planned: PlannedNode; told: NodePrediction } {
  const { held, service: node, answered, answerable } = setting;
  const changed = changedOwners(news);
  // Of whom the kernel is read what it lacks is told too.
  const isTouched = held !== undefined || (news.touched?.has(node.name) ?? true);
  if (!isTouched && changed.size === 0)
    return { planned: { name: node.name, before: new Map(), after: new Map() }, told: { node: node.name, elements: [] } };
  const { services, slices } = before;
  const planner = new ServicePlanner({ node, services, slices, held: held ?? new Map(), answered, answerable });
  const wanted = new Map<string, Item[]>(planner.take());
  const explained = () => explainAll(planner, changed, (owner) => (wanted.get(owner) ?? []) as NftElement[]);
  const was = explained();
  const policies = isTouched ? new PolicyForecast(setting, news.all) : undefined;
  const initial = [...wanted, ...(policies?.items ?? [])];
  change(planner, news);
  const changes = planner.take();
  for (const [owner, items] of changes) wanted.set(owner, items);
  return {
    planned: { name: node.name, before: was, after: explained() },
    told: {
      node: node.name,
      elements: elementChanges(initial, [...changes, ...(policies?.hear(news.policies) ?? [])]),
      ...(held ? { missing: missingFrom(held, initial) } : {}),
    },
  };
}

const names = ({ metadata }: Service | EndpointSlice): [namespace: string, name: string] => [
  metadata.namespace ?? 'default',
  metadata.name,
];

/** Tells a planner what its agent would hear. */
function change(planner: ServicePlanner, { services, slices }: News): void {
  for (const service of services.deleted) planner.deleteService(...names(service));
  for (const slice of slices.deleted) planner.deleteSlice(...names(slice));
  for (const service of services.set) planner.setService(service);
  for (const slice of slices.set) planner.setSlice(slice);
}

const serviceNameLabel = 'kubernetes.io/service-name';

function changedOwners({ services, slices }: News): Set<string> {
  return new Set([
    ...[...services.set, ...services.deleted].map((service) => ownerOf(...names(service))),
    ...[...slices.set, ...slices.deleted].map((slice) =>
      ownerOf(slice.metadata.namespace, slice.metadata.labels?.[serviceNameLabel] ?? ''),
    ),
  ]);
}
