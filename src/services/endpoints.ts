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
  /** All that are serving, whatever the policies say: connections to them live on (SD25). */
  serving: readonly Backend[];
}

const addressType = { ipv4: 'IPv4', ipv6: 'IPv6' } as const;


/**
 * The backends of one service port of one family: all slices merged, whoever manages them; of several entries for one address and port
 * the readiest counts, since slices overlap while they are rewritten (SD18).
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
        if (!other || rank(backend) > rank(other)) backends.set(backend.key, backend);
      }
    }
  }
  return [...backends.values()];
}

const rank = ({ ready, serving }: Backend): number => (ready ? 2 : serving ? 1 : 0);

function backendOf(endpoint: Endpoint, port: number, family: Family, node: ServiceNode): Backend | undefined {
  const address = IpAddr.tryParse(endpoint.addresses[0] ?? '');
  if (address?.family !== family || isSpecial(address)) return undefined;
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

/** SD17: hints count only when every ready endpoint has one and at least one names this node, or this node's zone. */
function byTopology(ready: readonly Backend[], node: ServiceNode): readonly Backend[] {
  if (ready.every((backend) => backend.nodes?.length)) {
    const here = ready.filter((backend) => backend.nodes!.includes(node.name));
    if (here.length > 0) return here;
  }
  if (node.zone !== undefined && ready.every((backend) => backend.zones?.length)) {
    const here = ready.filter((backend) => backend.zones!.includes(node.zone!));
    if (here.length > 0) return here;
  }
  return ready;
}

export function chooseBackends(backends: readonly Backend[], node: ServiceNode): BackendSets {
  return {
    cluster: usable(backends, (ready) => byTopology(ready, node)),
    local: usable(
      backends.filter((backend) => backend.isLocal),
      (ready) => ready,
    ),
    serving: backends.filter((backend) => backend.serving),
  };
}
