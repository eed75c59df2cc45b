import { createHash } from 'node:crypto';
import type { Family, IpAddr } from '../net/ip.ts';
import { Mac } from '../net/mac.ts';
import { Prefix } from '../net/prefix.ts';
import type { Fdb, Item, Link, Neighbour, Route, Sysctl } from '../reconcile/model.ts';

export type Backend = 'auto' | 'direct' | 'vxlan';

export const svcLink = 'podnet-svc';
export const vxlanLink = 'podnet-vxlan';
/** Table that the kernel looks into first, RT_TABLE_LOCAL. */
const localTable = 255;

/** What routing needs to know of a node; from the Node object. */
export interface RouteNode {
  name: string;
  /** InternalIPs, primary family first. */
  addresses: readonly IpAddr[];
  podCidrs: readonly Prefix[];
  /** When its Node was made (RFC 3339): of nodes whose pod CIDRs overlap the older keeps its own. */
  created?: string | undefined;
}

/** What only this node knows. */
export interface LocalFacts {
  /** Link that carries the node's own addresses. */
  uplink: string;
  /** Prefixes of the uplink's addresses: nodes inside of them are reached without a router. */
  onLink: readonly Prefix[];
  uplinkMtu: number;
  /** Names of the links by which other nodes' packets to the uplink's addresses may come; undefined where that is any. */
  underlay?: readonly string[];
  /** net.ipv6.conf.<uplink>.accept_ra as it was found. */
  acceptRa?: number;
}

export interface RoutesConfig {
  families: readonly Family[];
  backend: Backend;
  serviceCidrs: readonly Prefix[];
  /** Addresses that this node's DNS answers on. */
  clusterDns: readonly IpAddr[];
  vxlan: { id: number; port: number };
}

/** Items, and what keeps a node from being reached. */
export interface PeerPlan {
  items: Item[];
  problems: string[];
}

const addressOf = (node: RouteNode, family: Family): IpAddr | undefined =>
  node.addresses.find((address) => address.family === family);

/** The node's end of its tunnels: its first address. */
export const tunnelEnd = (node: RouteNode): IpAddr | undefined => node.addresses[0];

/** MAC of a node's VXLAN device, which the others must know beforehand: locally administered, from the address of its tunnel's end. */
export function vxlanMac(end: IpAddr): Mac {
  const digest = createHash('sha256').update(`podnet vxlan ${end}`).digest();
  return Mac.fromBytes(Uint8Array.from([0x0e, ...digest.subarray(0, 5)]));
}

/** Bytes that VXLAN adds to a packet: outer IP, UDP, VXLAN and inner Ethernet headers (RFC 7348; NM8). */
const vxlanOverhead = (underlay: Family): number => (underlay === 'ipv4' ? 50 : 70);

const isOnLink = (address: IpAddr, local: LocalFacts): boolean => local.onLink.some((prefix) => prefix.contains(address));

/** Whether traffic for this family's pods of a peer goes through the tunnel, or cannot go at all. */
export function wayTo(peer: RouteNode, family: Family, local: LocalFacts, backend: Backend): 'direct' | 'vxlan' | 'none' {
  if (backend === 'vxlan') return 'vxlan';
  const gateway = addressOf(peer, family);
  if (gateway && isOnLink(gateway, local)) return 'direct';
  return backend === 'auto' ? 'vxlan' : 'none';
}

/**
 * Largest packet of a pod, so that with DF set it reaches every other pod (NM8): the uplink's, less the tunnel's headers when any node is
 * reached through one. Pods keep what they were given at ADD.
 */
export function podMtu(self: RouteNode, peers: readonly RouteNode[], local: LocalFacts, config: RoutesConfig): number {
  const tunnels =
    config.backend === 'vxlan' ||
    peers.some((peer) => config.families.some((family) => wayTo(peer, family, local, config.backend) === 'vxlan'));
  const end = tunnelEnd(self);
  return tunnels && end ? local.uplinkMtu - vxlanOverhead(end.family) : local.uplinkMtu;
}

/**
 * What a node holds whoever else is there: forwarding, an answer for its own pod addresses that nobody has, the link that Service addresses are
 * routed to, the addresses of its DNS and its end of the tunnels.
 */
export function planSelf(self: RouteNode, local: LocalFacts, config: RoutesConfig): Item[] {
  const source = (family: Family): { source?: IpAddr } => {
    const own = addressOf(self, family);
    return own ? { source: own } : {};
  };
  const unassigned = self.podCidrs.map((destination): Route => ({ kind: 'route', destination, type: 'unreachable' }));
  const services = config.serviceCidrs.map(
    (destination): Route => ({ kind: 'route', destination, type: 'unicast', link: svcLink, ...source(destination.family) }),
  );
  const dns = config.clusterDns.map(
    // Without a source the kernel takes the address itself, which no other node's DNS could answer to when this node's own is not ready.
    (address): Route => ({
      ...{ kind: 'route', destination: Prefix.host(address), type: 'local', link: 'lo', table: localTable },
      ...source(address.family),
    }),
  );
  // A bridge without ports works on every kernel and drops what is sent to it.
  const svc: Link = { kind: 'link', name: svcLink, type: 'bridge', up: true };
  const links = [svc, ...tunnel(self, local, config)];
  return [...forwarding(local, config), ...links, ...withIpv6(links, config), ...unassigned, ...services, ...dns];
}

/** IPv6 forwarding makes a link ignore router advertisements unless accept_ra is 2 (Documentation/networking/ip-sysctl.rst). */
function forwarding(local: LocalFacts, config: RoutesConfig): Sysctl[] {
  const on = (name: string, value = '1'): Sysctl => ({ kind: 'sysctl', name, value });
  return config.families.flatMap((family) => {
    if (family === 'ipv4') return [on('net/ipv4/ip_forward')];
    const advertised = local.acceptRa ? [on(`net/ipv6/conf/${local.uplink}/accept_ra`, '2')] : [];
    return [...advertised, on('net/ipv6/conf/all/forwarding')];
  });
}

/** Whatever the node's default for new links is: routes of IPv6 lead to these. */
const withIpv6 = (links: readonly Link[], { families }: RoutesConfig): Sysctl[] =>
  families.includes('ipv6')
    ? links.map(({ name }) => ({ kind: 'sysctl', name: `net/ipv6/conf/${name}/disable_ipv6`, value: '0' }))
    : [];

function tunnel(self: RouteNode, local: LocalFacts, config: RoutesConfig): Link[] {
  const end = tunnelEnd(self);
  if (config.backend === 'direct' || !end) return [];
  const vxlan = { ...config.vxlan, local: end, underlay: local.uplink };
  const mtu = local.uplinkMtu - vxlanOverhead(end.family);
  return [{ kind: 'link', name: vxlanLink, type: 'vxlan', mtu, mac: vxlanMac(end), up: true, vxlan }];
}

const overlapping = (prefix: Prefix, others: readonly Prefix[]): Prefix | undefined =>
  others.find((other) => other.overlaps(prefix));

/**
 * What is wrong with a node's pod CIDRs by themselves: addresses of pods that are also addresses of Services, or of nodes and routers on its links (F27).
 * @returns a sentence each
 */
export function problemsOfSelf(self: RouteNode, local: LocalFacts, config: RoutesConfig): string[] {
  return self.podCidrs.flatMap((cidr) => {
    const services = overlapping(cidr, config.serviceCidrs);
    const onLink = overlapping(cidr, local.onLink);
    return [
      ...(services
        ? [`the pod CIDR ${cidr} overlaps the Service CIDR ${services}: pods and Services may have the same address; ${remedy}`]
        : []),
      ...(onLink
        ? [`the pod CIDR ${cidr} overlaps ${onLink}, where ${local.uplink} and other nodes have their addresses; ${remedy}`]
        : []),
    ];
  });
}

export const remedy =
  'give the node another pod CIDR (node.spec.podCIDRs cannot be changed: delete the Node and register it anew)';

/** Of a pod CIDR of a peer: what makes it no place that this node may have a route to (F27). */
function conflict(peer: RouteNode, destination: Prefix, self: RouteNode): string | undefined {
  const own = overlapping(destination, self.podCidrs);
  return own === undefined
    ? undefined
    : `the pod CIDR ${own} of this node overlaps ${destination} of node ${peer.name}: two pods may have the same address, and those of ${peer.name} are not reached from here; ${remedy}`;
}

/**
 * How this node reaches the pods of another: one route for each pod CIDR, and the tunnel's neighbour and forwarding entries where it goes
 * through one. Every route names the node's own address as source, so that nodes reach pods from the address that the cluster knows. There is none for a
 * pod CIDR that overlaps the node's own: its pods would be cut off.
 * @param mtu of pods (`podMtu`). Where it is lower than the link's, the route says so: no router fragments IPv6, and what the node sends would be lost
 * until it has learned.
 */
export function planPeer(
  peer: RouteNode,
  self: RouteNode,
  local: LocalFacts,
  config: RoutesConfig,
  mtu = local.uplinkMtu,
): PeerPlan {
  const plan: PeerPlan = { items: [], problems: [] };
  for (const address of peer.addresses) {
    const cidr = self.podCidrs.find((prefix) => prefix.contains(address));
    if (cidr)
      plan.problems.push(`the address ${address} of node ${peer.name} is in the pod CIDR ${cidr} of this node; ${remedy}`);
  }
  for (const destination of peer.podCidrs) {
    const { family } = destination;
    if (!config.families.includes(family)) continue;
    const why = conflict(peer, destination, self);
    if (why !== undefined) {
      plan.problems.push(why);
      continue;
    }
    const own = addressOf(self, family);
    const route = { kind: 'route', destination, type: 'unicast', ...(own ? { source: own } : {}) } as const;
    switch (wayTo(peer, family, local, config.backend)) {
      case 'direct':
        plan.items.push({
          ...{ ...route, gateway: addressOf(peer, family)!, link: local.uplink },
          ...(mtu < local.uplinkMtu ? { mtu } : {}),
        });
        break;
      case 'vxlan':
        throughTunnel(plan, route, peer, self);
        break;
      case 'none':
        plan.problems.push(
          `node ${peer.name} has no ${family} address on the links of ${self.name} (${local.onLink.join(', ') || 'none'}), and the backend is direct: use auto or vxlan`,
        );
    }
  }
  return plan;
}

/**
 * The next hop inside the tunnel is the network address of the peer's pod CIDR, which no pod has; its MAC is known beforehand, so that nothing is
 * ever asked or learned.
 */
function throughTunnel(plan: PeerPlan, route: Route, peer: RouteNode, self: RouteNode): void {
  const own = tunnelEnd(self);
  const end = own && addressOf(peer, own.family);
  if (!end) {
    plan.problems.push(`node ${peer.name} has no ${own?.family ?? 'IP'} address for a tunnel from ${self.name}`);
    return;
  }
  const mac = vxlanMac(tunnelEnd(peer)!);
  const gateway = route.destination.address;
  const neighbour: Neighbour = { kind: 'neighbour', link: vxlanLink, address: gateway, mac };
  const fdb: Fdb = { kind: 'fdb', link: vxlanLink, mac, destination: end };
  plan.items.push({ ...route, gateway, link: vxlanLink, onlink: true }, neighbour);
  // One for both families: the tunnel's end is the same.
  if (!plan.items.some((item) => item.kind === 'fdb')) plan.items.push(fdb);
}
