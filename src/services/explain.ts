import type { EndpointSlice } from '../kube/types.ts';
import type { Family } from '../net/ip.ts';
import type { NftElement } from '../reconcile/model.ts';
import { addressType, backendsOf } from './endpoints.ts';
import { whyNotBalanced, whyNotExternal } from './external.ts';
import { healthOf, type ServiceHealth } from './health.ts';
import { named, type Protocol } from './names.ts';
import { nodePortAddressesOf, type ServiceNode } from './node.ts';
import {
  type Connections,
  type ConnectionsByPort,
  compareElements,
  countClients,
  countConnections,
  type ElementState,
  type KernelView,
  noConnections,
  readConnections,
} from './observed.ts';
import { type JudgedEndpoint, judgeEndpoints } from './reasons.ts';
import {
  externalKeys,
  nodePortKey,
  type ServiceFacts,
  type ServicePortView,
  type ServiceView,
  serviceKey,
  viewOf,
} from './service.ts';
import { allSets } from './sets.ts';
import { type Destination, PlanTable, type Position, positions, type Way, walk } from './walk.ts';

/** One address and port of a Service, with what clients meet there. */
export interface ExplainedDestination extends Destination {
  from: Record<Position, Way>;
  connections: Connections;
}

export interface ExplainedEndpoint extends JudgedEndpoint {
  connections: Connections;
  /** Clients that session affinity leads to it; absent without affinity. */
  clients?: number;
}

/** One port of a Service in one family. */
export interface ExplainedPort {
  name: string;
  family: Family;
  protocol: Protocol;
  port: number;
  nodePort?: number;
  destinations: ExplainedDestination[];
  endpoints: ExplainedEndpoint[];
  /** Endpoints of the other family, which clients of this one are never sent to. */
  otherFamily: number;
  /** Connections that go on to endpoints which are in the Service no more. */
  departed: { endpoint: string; connections: Connections }[];
}

export type Policy = 'Cluster' | 'Local';

/** A Service as the clients of one node meet it. */
export interface ServiceExplanation {
  node: string;
  zone?: string;
  namespace: string;
  name: string;
  type: string;
  /** Why nothing is planned for it. */
  noDataPath?: string;
  internalTrafficPolicy: Policy;
  externalTrafficPolicy: Policy;
  /** Seconds without a new connection after which a client is forgotten. */
  affinitySeconds?: number;
  /** What a load balancer that asks is told: well, when there are ready endpoints on this node (SD26). */
  healthCheck?: Pick<ServiceHealth, 'port' | 'localEndpoints'>;
  /** Whom the load balancer's addresses are for; absent: everybody. */
  sourceRanges?: string[];
  /** Addresses that the object has and this node does not take. */
  ignored: { address: string; why: string }[];
  ports: ExplainedPort[];
  /** ClusterIPs of which every port that is not declared is refused, and pings too (SD12, SD13). */
  refusesOtherPorts: string[];
  elements: ElementState[];
}

const meanings: ReadonlyMap<string, string> = new Map(allSets.map(({ name, comment }) => [name, comment ?? '']));

/**
 * Explains one Service to a person: from the objects by the functions that plan it, by the elements that are planned, and by what the kernel holds.
 * @param elements planned for it
 */
export function explainService(facts: ServiceFacts, elements: readonly NftElement[], kernel: KernelView): ServiceExplanation {
  const { service, node } = facts;
  const { metadata, spec } = service;
  const view = viewOf(service, node);
  const table = new PlanTable(elements);
  const noDataPath = noDataPathOf(facts, view);
  const known = view.ports.map((port) => ({
    port,
    backends: backendsOf(facts.slices, port.name, port.protocol, port.family, node),
  }));
  const health = healthOf(service, known);
  const seen = seenConnections(view, node, kernel);
  return {
    ...{ node: node.name, ...(node.zone === undefined ? {} : { zone: node.zone }) },
    ...{ namespace: metadata.namespace ?? 'default', name: metadata.name ?? '', type: spec?.type ?? 'ClusterIP' },
    ...(noDataPath === undefined ? {} : { noDataPath }),
    internalTrafficPolicy: view.internalLocal ? 'Local' : 'Cluster',
    externalTrafficPolicy: view.externalLocal ? 'Local' : 'Cluster',
    ...(view.affinitySeconds === undefined ? {} : { affinitySeconds: view.affinitySeconds }),
    ...(health ? { healthCheck: { port: health.port, localEndpoints: health.localEndpoints } } : {}),
    ...(view.sources ? { sourceRanges: view.sources.map(String) } : {}),
    ignored: ignoredOf(facts),
    ports: view.ports.map((port) => explainPort(facts, view, port, table, elements, kernel, seen.get(kindOf(port))!)),
    refusesOtherPorts: view.clusterIps
      .filter((address) => table.has(named('cluster-ips', address.family), `${address}`))
      .map(String),
    elements: compareElements(kernel, elements, meanings),
  };
}

const kindOf = ({ family, protocol }: ServicePortView): string => `${family} ${protocol}`;

/** Connections to all ports of the Service, by family and protocol. */
function seenConnections(view: ServiceView, node: ServiceNode, kernel: KernelView): Map<string, ConnectionsByPort> {
  const wanted = new Map<string, { of: ServicePortView; ports: Set<number> }>();
  for (const port of view.ports) {
    const known = wanted.get(kindOf(port)) ?? { of: port, ports: new Set() };
    wanted.set(kindOf(port), known);
    for (const to of destinationsOf(view, port, node)) known.ports.add(to.port);
  }
  return new Map(Array.from(wanted, ([kind, { of, ports }]) => [kind, readConnections(kernel, of.family, of.protocol, ports)]));
}

/** Why nothing is planned for a Service; undefined when there is. */
export function noDataPathOf({ service: { spec } }: ServiceFacts, view: ServiceView): string | undefined {
  if (view.ports.length > 0) return undefined;
  if (spec?.type === 'ExternalName') return 'ExternalName: it is a name for another name (CNAME), answered by DNS alone';
  const [first = spec?.clusterIP ?? ''] = spec?.clusterIPs ?? [];
  if (first === 'None')
    return 'headless: DNS answers with the addresses of its endpoints, and clients connect to them without translation';
  if (first === '') return 'it has no ClusterIP yet';
  return spec?.ports?.length ? 'none of its ports has a protocol that is translated' : 'it has no ports';
}

/** Addresses that the object has and this node does not take. */
export function ignoredOf({ service: { spec, status }, node }: ServiceFacts): ServiceExplanation['ignored'] {
  const ingress = spec?.type === 'LoadBalancer' ? (status?.loadBalancer?.ingress ?? []) : [];
  return [
    ...ingress.map((one) => ({ address: one.ip ?? one.hostname ?? '', why: whyNotBalanced(one, node) })),
    ...(spec?.externalIPs ?? []).map((address) => ({ address, why: whyNotExternal(address, node) })),
  ].flatMap(({ address, why }) => (why === undefined ? [] : [{ address, why }]));
}

function destinationsOf(view: ServiceView, port: ServicePortView, node: ServiceNode): Destination[] {
  const { nodePort, family } = port;
  const own = nodePortAddressesOf(node).filter((address) => address.family === family);
  return [
    { kind: 'ClusterIP', address: `${port.clusterIp}`, port: port.port },
    ...port.externalIps.map((address): Destination => {
      const isBalanced = view.loadBalancerIps.some((balanced) => balanced.equals(address));
      return { kind: isBalanced ? 'load balancer' : 'externalIP', address: `${address}`, port: port.port };
    }),
    ...(nodePort === undefined
      ? []
      : own.map((address): Destination => ({ kind: 'node port', address: `${address}`, port: nodePort }))),
  ];
}

const otherFamily = (slices: readonly EndpointSlice[], family: Family): number =>
  slices
    .filter(({ addressType: type }) => type === addressType[family === 'ipv4' ? 'ipv6' : 'ipv4'])
    .reduce((total, { endpoints }) => total + (endpoints?.length ?? 0), 0);

function explainPort(
  { slices, node, silent }: ServiceFacts,
  view: ServiceView,
  port: ServicePortView,
  table: PlanTable,
  elements: readonly NftElement[],
  kernel: KernelView,
  seen: ConnectionsByPort,
): ExplainedPort {
  const { name, family, protocol, nodePort } = port;
  const destinations = destinationsOf(view, port, node);
  const { byDestination, byEndpoint } = countConnections(seen, destinations);
  const sets = table.setsOf([serviceKey(port), nodePortKey(port), ...externalKeys(port)]);
  const clients = view.affinitySeconds === undefined ? undefined : countClients(kernel, family, elements, sets);
  const endpoints = judgeEndpoints(slices, port, node, silent).map((judged): ExplainedEndpoint => {
    const key = `${judged.address} . ${judged.port}`;
    const connections = byEndpoint.get(key) ?? noConnections();
    byEndpoint.delete(key);
    return { ...judged, connections, ...(clients ? { clients: clients.get(key) ?? 0 } : {}) };
  });
  return {
    ...{ name, family, protocol, port: port.port, ...(nodePort === undefined ? {} : { nodePort }) },
    destinations: destinations.map((to) => ({
      ...to,
      from: Object.fromEntries(positions.map((from) => [from, walk(table, view, port, to, from)])) as Record<Position, Way>,
      connections: byDestination.get(`${to.address} ${to.port}`)!,
    })),
    endpoints,
    otherFamily: otherFamily(slices, family),
    departed: Array.from(byEndpoint, ([endpoint, connections]) => ({ endpoint, connections })),
  };
}
