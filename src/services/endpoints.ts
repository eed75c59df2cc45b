import type { Endpoint, EndpointSlice } from '../kube/types.ts';
import { type Family, IpAddr } from '../net/ip.ts';
import type { Protocol } from './names.ts';
import { isSpecial } from './special.ts';
import type { ServiceNode } from './node.ts';

/** An address and port that a Service may send to. */
export interface Backend {
  /** `10.244.1.7 . 8080`, as nft prints it; also its identity. */
  key: string;
  address: IpAddr;
  port: number;
  ready: boolean;
  serving: boolean;
  terminating: boolean;
  /** On this node (SD19). */
  isLocal: boolean;
  zones: readonly string[] | undefined;
  nodes: readonly string[] | undefined;
}

/** Where the connections of one service port may go. */
export interface BackendSets {
  /** From anywhere, for policy Cluster (SD5). */
  cluster: readonly Backend[];
  /** On this node only, for policy Local. */
  local: readonly Backend[];
  /** All that are serving, or published as ready though they are not (SA15), whatever the policies say: connections to them live on (SD25). */
  serving: readonly Backend[];
}

export const addressType = { ipv4: 'IPv4', ipv6: 'IPv6' } as const;


/**
 * The backends of one service port of one family: all slices merged, whoever manages them; of several entries for one address and port
 * the readiest counts, since slices overlap while they are rewritten (SD18); of equals one, in whatever order they come.
 */
export function backendsOf(
  slices: Iterable<EndpointSlice>,
  portName: string,
  protocol: Protocol,
  family: Family,
  node: ServiceNode,
): Backend[] {
  const backends = new Map<string, Backend>();
  for (const slice of slices) {
    if (slice.addressType !== addressType[family]) continue;
    for (const { name, protocol: given, port } of slice.ports ?? []) {
      if ((name ?? '') !== portName || (given ?? 'TCP').toLowerCase() !== protocol || !port) continue;
      for (const endpoint of slice.endpoints ?? []) {
        const backend = backendOf(endpoint, port, family, node);
        if (!backend) continue;
        const other = backends.get(backend.key);
        if (!other || isBetter(backend, other)) backends.set(backend.key, backend);
      }
    }
  }
  return [...backends.values()];
}

/** Usable before not usable (SD5); then, as kube-proxy has it, who is on this node. */
const rank = ({ ready, serving, terminating, isLocal }: Backend): number => (ready ? 6 : serving ? (terminating ? 4 : 2) : 0) + (isLocal ? 1 : 0);

function isBetter(a: Backend, b: Backend): boolean {
  const more = rank(a) - rank(b);
  return more > 0 || (more === 0 && textOfHints(a) < textOfHints(b));
}

const textOfHints = ({ zones, nodes }: Backend): string => JSON.stringify([nodes ?? [], zones ?? []]);

/** Why an endpoint's address is skipped. */
export function faultOf(address: IpAddr, family: Family): 'special' | 'family' | undefined {
  if (address.family !== family) return 'family';
  return isSpecial(address) ? 'special' : undefined;
}

function backendOf(endpoint: Endpoint, port: number, family: Family, node: ServiceNode): Backend | undefined {
  const address = IpAddr.tryParse(endpoint.addresses[0] ?? '');
  if (!address || faultOf(address, family)) return undefined;
  const { ready = true, serving = true, terminating = false } = endpoint.conditions ?? {};
  return {
    key: `${address} . ${port}`,
    address,
    port,
    ready,
    serving,
    terminating,
    isLocal: endpoint.nodeName === node.name,
    zones: endpoint.hints?.forZones?.map((zone) => zone.name),
    nodes: endpoint.hints?.forNodes?.map((hint) => hint.name),
  };
}

/** SD5: ready ones; when there are none, those that still serve while they end. */
function usable(backends: readonly Backend[], near: (ready: readonly Backend[]) => readonly Backend[]): readonly Backend[] {
  const ready = backends.filter((backend) => backend.ready);
  if (ready.length > 0) return near(ready);
  return backends.filter((backend) => backend.serving && backend.terminating);
}

/** Whom hints prefer for clients of this node: endpoints for the node, for its zone, or nobody. */
export type Topology = 'node' | 'zone' | undefined;

/** SD17: hints count only when every ready endpoint has one and at least one names this node, or this node's zone. */
export function topologyOf(ready: readonly Backend[], node: ServiceNode): Topology {
  return (['node', 'zone'] as const).find(
    (topology) => ready.every((backend) => hintsOf(backend, topology)?.length) && ready.some((backend) => isNear(backend, topology, node)),
  );
}

const hintsOf = (backend: Backend, topology: 'node' | 'zone'): readonly string[] | undefined =>
  topology === 'node' ? backend.nodes : backend.zones;

export function isNear(backend: Backend, topology: Topology, node: ServiceNode): boolean {
  if (topology === undefined) return true;
  const here = topology === 'node' ? node.name : node.zone;
  return here !== undefined && hintsOf(backend, topology)!.includes(here);
}

function byTopology(ready: readonly Backend[], node: ServiceNode): readonly Backend[] {
  const topology = topologyOf(ready, node);
  return topology === undefined ? ready : ready.filter((backend) => isNear(backend, topology, node));
}

/** While this node's own endpoint of a service port does not answer, it is none for this node's clients, unless there is no other. */
export function elsewhere(backends: readonly Backend[]): readonly Backend[] {
  const others = backends.filter(({ isLocal }) => !isLocal);
  return others.some(({ ready, serving }) => ready || serving) ? others : backends;
}

export function chooseBackends(backends: readonly Backend[], node: ServiceNode): BackendSets {
  return {
    cluster: usable(backends, (ready) => byTopology(ready, node)),
    local: usable(
      backends.filter((backend) => backend.isLocal),
      (ready) => ready,
    ),
    serving: backends.filter(({ ready, serving }) => ready || serving),
  };
}
