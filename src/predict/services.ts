import type { NftElement } from '../reconcile/index.ts';
import {
  type ExplainedPort,
  explainService,
  ownerOf,
  type Position,
  type ServiceExplanation,
  type ServicePlanner,
  type Way,
} from '../services/index.ts';

/** What changes at one Service for its clients. */
export interface ServiceChange {
  /** `shop/web` */
  service: string;
  verb: 'added' | 'removed' | 'changed';
  /** Of the object: type, policies, affinity and the like. */
  fields: { field: string; before?: string; after?: string }[];
  ways: WayChange[];
  endpoints: EndpointChange[];
}

/** An address and port that clients of some nodes reach otherwise than before. */
export interface WayChange {
  verb: 'opened' | 'closed' | 'changed';
  kind: 'ClusterIP' | 'node port' | 'load balancer' | 'externalIP';
  /** `10.96.0.7:80` */
  to: string;
  protocol: string;
  from: Position[];
  nodes: string[];
  before?: string;
  after?: string;
}

/** Endpoints that clients of some nodes are led to, and were not, or no more. */
export interface EndpointChange {
  port: string;
  protocol: string;
  family: string;
  joined: string[];
  left: string[];
  nodes: string[];
}

/** A node, with what its planner holds before and after. */
export interface PlannedNode {
  name: string;
  before: ServicesOfNode;
  after: ServicesOfNode;
}

/** Explanations of one node's Services, by owner. */
export type ServicesOfNode = ReadonlyMap<string, ServiceExplanation>;

/** A kernel of which nothing is asked: what changes does not depend on who is connected. */
const nobody = { find: () => new Map(), connections: () => [], clients: () => [] };

/** @param elements that are planned for an owner */
export function explainAll(
  planner: ServicePlanner,
  owners: Iterable<string>,
  elements: (owner: string) => readonly NftElement[],
): Map<string, ServiceExplanation> {
  const found = new Map<string, ServiceExplanation>();
  for (const owner of owners) {
    const facts = planner.factsOf(owner);
    if (facts) found.set(owner, explainService(facts, elements(owner), nobody));
  }
  return found;
}

/** Of all nodes together: what is the same on several of them stands there once. */
export function serviceChanges(nodes: readonly PlannedNode[]): ServiceChange[] {
  const names = new Set(nodes.flatMap(({ before, after }) => [...before.keys(), ...after.keys()]));
  return [...names].sort().flatMap((owner) => {
    const change = changeOf(owner, nodes);
    return change.verb !== 'changed' || change.fields.length + change.ways.length + change.endpoints.length > 0 ? [change] : [];
  });
}

function changeOf(owner: string, nodes: readonly PlannedNode[]): ServiceChange {
  const first = nodes[0]!;
  const [was, is] = [first.before.get(owner), first.after.get(owner)];
  return {
    service: owner.slice(ownerOf('', '').indexOf('/')),
    verb: was && is ? 'changed' : is ? 'added' : 'removed',
    fields: fieldChanges(was, is),
    ways: wayChanges(owner, nodes),
    endpoints: endpointChanges(owner, nodes),
  };
}

/** What the object says, in words; the same on every node. */
const fieldsOf = (service: ServiceExplanation | undefined): Record<string, string | undefined> =>
  service === undefined
    ? {}
    : {
        type: service.type,
        internalTrafficPolicy: service.internalTrafficPolicy,
        externalTrafficPolicy: service.externalTrafficPolicy,
        sessionAffinity: service.affinitySeconds === undefined ? 'none' : `ClientIP, ${service.affinitySeconds}s`,
        sourceRanges: service.sourceRanges?.join(', ') ?? 'everybody',
        'health check port': service.healthCheck ? String(service.healthCheck.port) : 'none',
        'data path': service.noDataPath ?? 'planned',
      };

function fieldChanges(was: ServiceExplanation | undefined, is: ServiceExplanation | undefined): ServiceChange['fields'] {
  // Of a Service that comes or goes its ways say more.
  if (!was || !is) return [];
  const [before, after] = [fieldsOf(was), fieldsOf(is)];
  return Object.keys(after)
    .filter((field) => before[field] !== after[field])
    .map((field) => ({ field, before: before[field], after: after[field] }));
}

interface KnownWay extends Pick<WayChange, 'kind' | 'to' | 'protocol'> {
  from: Position;
  way: Way;
}

const addressAndPort = (address: string, port: number): string => `${address.includes(':') ? `[${address}]` : address}:${port}`;

function waysOf(service: ServiceExplanation | undefined): Map<string, KnownWay> {
  const ways = new Map<string, KnownWay>();
  for (const { protocol, destinations } of service?.ports ?? [])
    for (const { kind, address, port, from } of destinations)
      for (const [position, way] of Object.entries(from) as [Position, Way][]) {
        const to = addressAndPort(address, port);
        ways.set(`${kind} ${to} ${protocol} ${position}`, { kind, to, protocol, from: position, way });
      }
  return ways;
}

const isServed = (way: Way | undefined): boolean => way?.outcome === 'sent on' || way?.outcome === 'answered here';

/** How many endpoints there are to draw from is told by the endpoints. */
const wayText = (way: Way | undefined): string | undefined =>
  way && `${way.outcome}${way.only ? `, only from ${way.only.join(', ') || 'nobody'}` : ''}: ${way.why}`;

function wayChanges(owner: string, nodes: readonly PlannedNode[]): WayChange[] {
  const changes = new Map<string, WayChange>();
  for (const { name, before, after } of nodes) {
    const [was, is] = [waysOf(before.get(owner)), waysOf(after.get(owner))];
    for (const key of new Set([...was.keys(), ...is.keys()])) {
      const [old, now] = [was.get(key), is.get(key)];
      const texts = { before: wayText(old?.way), after: wayText(now?.way) };
      if (texts.before === texts.after) continue;
      const { kind, to, protocol, from } = (now ?? old)!;
      const verb = isServed(old?.way) === isServed(now?.way) ? 'changed' : isServed(now?.way) ? 'opened' : 'closed';
      const change = { verb, kind, to, protocol, ...withoutAbsent(texts) } as const;
      const id = JSON.stringify(change);
      const found = changes.get(id);
      if (!found) changes.set(id, { ...change, from: [from], nodes: [name] });
      else {
        if (!found.from.includes(from)) found.from.push(from);
        if (!found.nodes.includes(name)) found.nodes.push(name);
      }
    }
  }
  return [...changes.values()];
}

const withoutAbsent = (texts: { before: string | undefined; after: string | undefined }): { before?: string; after?: string } =>
  Object.fromEntries(Object.entries(texts).filter(([, text]) => text !== undefined));

/** Endpoints that some client of the node may be led to. */
const chosen = (port: ExplainedPort | undefined): Set<string> =>
  new Set(
    port?.endpoints.flatMap(({ address, port: number, any, local }) =>
      number !== undefined && (any === true || local === true) ? [addressAndPort(address, number)] : [],
    ),
  );

function endpointChanges(owner: string, nodes: readonly PlannedNode[]): EndpointChange[] {
  const changes = new Map<string, EndpointChange>();
  const byKey = (service: ServiceExplanation | undefined): Map<string, ExplainedPort> =>
    new Map(service?.ports.map((port) => [`${port.protocol} ${port.port} ${port.family}`, port]));
  for (const { name, before, after } of nodes) {
    const [was, is] = [byKey(before.get(owner)), byKey(after.get(owner))];
    for (const key of new Set([...was.keys(), ...is.keys()])) {
      const [old, now] = [chosen(was.get(key)), chosen(is.get(key))];
      const joined = [...now].filter((one) => !old.has(one));
      const left = [...old].filter((one) => !now.has(one));
      if (joined.length + left.length === 0) continue;
      const { protocol, port, family } = (is.get(key) ?? was.get(key))!;
      const change = { port: String(port), protocol, family, joined, left };
      const id = JSON.stringify(change);
      const found = changes.get(id);
      if (found) found.nodes.push(name);
      else changes.set(id, { ...change, nodes: [name] });
    }
  }
  return [...changes.values()];
}
