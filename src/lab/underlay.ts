import { readdirSync } from 'node:fs';
import { NetNs } from '../kernel/netns.ts';
import type { RtBatch } from '../kernel/rtnetlink/batch.ts';
import { routeProtocol } from '../kernel/rtnetlink/routes.ts';
import { RtNetlink } from '../kernel/rtnetlink/rtnetlink.ts';
import { writeSysctl } from '../kernel/sysctl.ts';
import type { IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import type { LabNames } from './names.ts';
import type { Interface, Topology } from './topology.ts';

const loopback = 1;
/** ifindex of `eth0` in nodes and in the outside client: the first after lo. */
const eth0 = 2;
/** ifindexes in the underlay's and the router's namespaces, counted from here so that none must be looked up. */
const firstBridge = 10;
const firstPort = 100;
const outsidePort = 90;

/**
 * Makes the lab's underlay: its namespaces, a bridge for each link, the router between links and the outside client, and `eth0` of every node.
 * Nothing of it is in the host's namespace.
 * @throws KernelError; what was made until then is taken away by `removeNamespaces`
 */
export function createUnderlay(names: LabNames, topology: Topology, mtu: number): void {
  using underlay = NetNs.create(names.underlay);
  using router = NetNs.create(names.router);
  using outside = NetNs.create(names.outside);
  for (const ns of [underlay, router]) bringUp(ns);
  forward(router);
  for (const ns of [underlay, router, outside]) withoutDuplicateDetection(ns, 'default');
  bridgesWithoutFirewall(underlay);

  using links = RtNetlink.open(underlay);
  using routes = RtNetlink.open(router);
  links.batch((batch) => {
    for (const link of topology.links) {
      const index = firstBridge + link.index;
      batch.addLink({ type: 'bridge', name: link.bridge, index, mtu, up: true });
      addresses(batch, index, link.bridgeAddresses);
      const peer = { name: link.bridge, index, mtu, netNs: router.fd };
      batch.addLink({
        type: 'veth',
        name: `router${link.index}`,
        index: firstPort + link.index,
        mtu,
        master: index,
        up: true,
        peer,
      });
    }
  });
  routes.batch((batch) => {
    for (const link of topology.links) {
      addresses(batch, firstBridge + link.index, link.router);
      batch.setLink(firstBridge + link.index, { up: true });
    }
  });
  links.batch((batch) => defaultRoutes(batch, firstBridge, topology.links[0]!.router));
  connectOutside(topology, router, outside, mtu);
  topology.nodes.forEach((_, i) => {
    connectNode(names, topology, i, underlay, mtu);
  });
}

/** Makes the namespace of one node and joins it to its link. */
function connectNode(names: LabNames, topology: Topology, i: number, underlay: NetNs, mtu: number): void {
  const node = topology.nodes[i]!;
  using ns = NetNs.create(names.node(node.name).netns);
  bringUp(ns);
  using links = RtNetlink.open(underlay);
  links.addLink({
    type: 'veth',
    name: `node${i}`,
    index: firstPort + topology.links.length + i,
    mtu,
    master: firstBridge + node.link,
    up: true,
    peer: { name: 'eth0', index: eth0, mtu, netNs: ns.fd },
  });
  withoutDuplicateDetection(ns, 'eth0');
  using inside = RtNetlink.open(ns);
  inside.batch((batch) => {
    addresses(batch, eth0, node.interfaces);
    batch.setLink(eth0, { up: true });
    gateways(batch, eth0, node.gateways);
  });
}

function connectOutside(topology: Topology, router: NetNs, outside: NetNs, mtu: number): void {
  bringUp(outside);
  using routes = RtNetlink.open(router);
  routes.batch((batch) => {
    batch.addLink({
      type: 'veth',
      name: 'outside',
      index: outsidePort,
      mtu,
      up: true,
      peer: { name: 'eth0', index: eth0, mtu, netNs: outside.fd },
    });
    addresses(batch, outsidePort, topology.outside.router);
  });
  using client = RtNetlink.open(outside);
  client.batch((batch) => {
    addresses(batch, eth0, topology.outside.client);
    batch.setLink(eth0, { up: true });
    defaultRoutes(batch, eth0, topology.outside.router);
  });
}

/** Without duplicate address detection: the addresses are ours alone, and waiting for it would take a second. */
function addresses(batch: RtBatch, link: number, interfaces: readonly Interface[]): void {
  for (const { address, prefix } of interfaces) {
    batch.addAddress({
      link,
      address,
      prefixLength: prefix.length,
      ...(address.family === 'ipv6' ? { flags: ['nodad'] as const } : {}),
    });
  }
}

const defaultRoutes = (batch: RtBatch, link: number, via: readonly Interface[]): void =>
  gateways(
    batch,
    link,
    via.map(({ address }) => address),
  );

function gateways(batch: RtBatch, link: number, via: readonly IpAddr[]): void {
  for (const gateway of via)
    batch.addRoute({ destination: Prefix.all(gateway.family), link, gateway, protocol: routeProtocol.static });
}

function bringUp(ns: NetNs): void {
  using rt = RtNetlink.open(ns);
  rt.setLink(loopback, { up: true });
}

function forward(ns: NetNs): void {
  writeSysctl(ns, 'net/ipv4/ip_forward', 1);
  writeSysctl(ns, 'net/ipv6/conf/all/forwarding', 1);
}

/**
 * Link-local addresses too are usable at once: a router whose own is still tentative asks for no neighbour, and what it should have
 * forwarded in the first seconds is answered as unreachable.
 * @param link one that is not up yet, or `default` for those that will be made
 */
const withoutDuplicateDetection = (ns: NetNs, link: string): void => writeSysctl(ns, `net/ipv6/conf/${link}/accept_dad`, 0);

/** A new namespace starts with br_netfilter on, where the kernel has it: the underlay is a plain switch. */
function bridgesWithoutFirewall(ns: NetNs): void {
  for (const tables of ['ip', 'ip6', 'arp']) {
    try {
      writeSysctl(ns, `net/bridge/bridge-nf-call-${tables}tables`, 0);
    } catch (error) {
      if ((error as { errno?: string }).errno !== 'ENOENT') throw error;
    }
  }
}

/** Bind mounts of every network namespace that carries the lab's name, pods' among them, whether the lab's records still know of it or not. */
export function namespacesOf(names: LabNames): string[] {
  const found = (): string[] => {
    try {
      return readdirSync('/run/netns');
    } catch {
      return [];
    }
  };
  return found()
    .filter((name) => name.startsWith(names.netnsPrefix))
    .map((name) => `/run/netns/${name}`);
}

/** Takes all of them away; the kernel deletes links and tables with them once no process is left inside. */
export function removeNamespaces(names: LabNames): void {
  for (const path of namespacesOf(names)) NetNs.remove(path);
}
