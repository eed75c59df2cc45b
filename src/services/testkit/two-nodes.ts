import { once } from 'node:events';
import net from 'node:net';
import { Nft } from '../../kernel/nftables/index.ts';
import { connectTcp, listenTcp } from '../../kernel/sockets.ts';
import { type Family, families } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';
import { type Item, NftWriter, Reconciler, RtWriter, SysctlWriter } from '../../reconcile/index.ts';
import { type TestNs, TestWorld } from '../../testing/netns.ts';
import {
  allSets,
  egressOwner,
  explainService,
  type KernelView,
  planEgress,
  type ServiceExplanation,
  type ServiceNode,
  ServicePlanner,
} from '../index.ts';
import { at, wildcard } from './testbed.ts';

export type NodeName = 'A' | 'B';
const names: readonly NodeName[] = ['A', 'B'];
const numberOf = { A: 1, B: 2 } as const;
const serviceCidrs = ['10.96.0.0/16', 'fd00:96::/112'].map(Prefix.parse);
/** Addresses of load balancers and externalIPs: the nodes send them to the outside, unless they take them for theirs. */
const externalRanges = ['198.51.100.0/24', 'fd00:198::/64'].map(Prefix.parse);

export const nodeAddress = (node: NodeName, family: Family): string =>
  ({ ipv4: `192.168.0.${numberOf[node]}`, ipv6: `fd00:192::${numberOf[node]}` })[family];
export const podAddress = (node: NodeName, family: Family, host = 2): string =>
  ({ ipv4: `10.244.${numberOf[node]}.${host}`, ipv6: `fd00:244:${numberOf[node]}::${host}` })[family];
/** The client outside has one link to each node. */
export const outsideAddress = (to: NodeName, family: Family, host = 2): string =>
  ({ ipv4: `203.0.${112 + numberOf[to]}.${host}`, ipv6: `fd00:203:${numberOf[to]}::${host}` })[family];
const podCidrs = (node: NodeName): Prefix[] => [`10.244.${numberOf[node]}.0/24`, `fd00:244:${numberOf[node]}::/64`].map(Prefix.parse);
const other = (node: NodeName): NodeName => (node === 'A' ? 'B' : 'A');

class Node implements Disposable {
  readonly ns: TestNs;
  readonly planner: ServicePlanner;
  readonly #nft: Nft;
  readonly #reconciler: Reconciler;

  constructor(name: NodeName, ns: TestNs) {
    this.ns = ns;
    const node: ServiceNode = {
      ...{ name, addresses: families.map((family) => at(nodeAddress(name, family))), podCidrs: podCidrs(name), serviceCidrs },
      externalIpCidrs: externalRanges,
    };
    this.planner = new ServicePlanner({ node, services: [], slices: [], held: new Map() });
    this.#nft = Nft.open(ns.ns);
    this.#reconciler = new Reconciler([new SysctlWriter(ns.ns), new RtWriter(ns.rt), new NftWriter(this.#nft)]);
    this.#reconciler.contribute('node', items(name));
    const hosts = names.flatMap((one) => families.map((family) => Prefix.host(at(nodeAddress(one, family)))));
    this.#reconciler.contribute(egressOwner, planEgress({ podCidrs: names.flatMap(podCidrs), serviceCidrs, nodeAddresses: hosts }));
  }

  sync(): void {
    for (const [owner, planned] of this.planner.take()) this.#reconciler.contribute(owner, planned);
    const { failures } = this.#reconciler.sync();
    if (failures.length > 0) throw failures[0]!.error;
  }

  /** As `podnet svc` tells of a Service of this node, from what its kernel holds. */
  explain(owner: string): ServiceExplanation {
    const elements = [...this.#reconciler.itemsOf(owner)].filter((item) => item.kind === 'nft-element');
    const find: KernelView['find'] = (name, keys) => this.#nft.find('podnet', allSets.find((set) => set.name === name)!, keys);
    return explainService(this.planner.factsOf(owner)!, elements, { find, connections: () => [], clients: () => [] });
  }

  [Symbol.dispose](): void {
    this.#nft[Symbol.dispose]();
  }
}

/**
 * Nodes A and B on one link, a pod on each and a server pod on A, and a client outside with a link to each node: what the truth table of
 * Services speaks of (semantics 2.5).
 */
export class TwoNodes implements AsyncDisposable {
  readonly world = new TestWorld('services');
  readonly nodes: Readonly<Record<NodeName, Node>>;
  readonly outside: TestNs;
  readonly #namespaces = new Map<string, TestNs>();
  readonly #closing: (() => Promise<unknown>)[] = [];

  constructor() {
    const [a, b] = [this.world.namespace('hostA'), this.world.namespace('hostB')];
    this.outside = this.world.namespace('outside');
    const both = (address: (family: Family) => string, lengths = { ipv4: 24, ipv6: 64 }): string[] =>
      families.map((family) => `${address(family)}/${lengths[family]}`);
    this.world.join(a, both((family) => nodeAddress('A', family)), b, both((family) => nodeAddress('B', family)), ['eth0', 'eth0']);
    for (const [name, ns] of [
      ['A', a],
      ['B', b],
    ] as const) {
      this.#namespaces.set(`host${name}`, ns);
      const [mine, theirs] = [both((family) => outsideAddress(name, family, 1)), both((family) => outsideAddress(name, family))];
      this.world.join(ns, mine, this.outside, theirs, ['uplink', `to${name}`]);
      for (const family of families) {
        const gateway = at(outsideAddress(name, family, 1));
        this.outside.rt.addRoute({ destination: Prefix.host(at(nodeAddress(name, family))), gateway, link: this.outside.index(`to${name}`), protocol: 4 });
        const range = externalRanges.find((prefix) => prefix.family === family)!;
        ns.rt.addRoute({ destination: range, gateway: at(outsideAddress(name, family)), link: ns.index('uplink'), protocol: 4 });
      }
      this.#pod(name, `pod${name}`, 2);
    }
    this.#pod('A', 'server', 9);
    this.nodes = { A: new Node('A', a), B: new Node('B', b) };
    this.sync();
  }

  sync(): void {
    for (const name of names) this.nodes[name].sync();
  }

  each(change: (planner: ServicePlanner) => void): void {
    for (const name of names) change(this.nodes[name].planner);
    this.sync();
  }

  /** Has the client outside send these to one of the nodes. */
  sendBy(node: NodeName, addresses: readonly string[]): void {
    for (const address of addresses) {
      const { family } = at(address);
      const gateway = at(outsideAddress(node, family, 1));
      this.outside.rt.replaceRoute({ destination: Prefix.host(at(address)), gateway, link: this.outside.index(`to${node}`), protocol: 4 });
    }
  }

  /** The server pod answers each TCP connection with the client's address. */
  async serve(family: Family, port: number): Promise<void> {
    const server = net.createServer((socket) => socket.on('error', () => {}).end(String(socket.remoteAddress)));
    server.listen({ fd: listenTcp(this.#namespaces.get('server')!.ns, at(wildcard[family]), port) });
    await once(server, 'listening');
    this.#closing.push(() => new Promise((resolve) => server.close(resolve)));
  }

  /** @returns the source that the server saw; @throws as `connectTcp` does */
  async ask(from: string, address: string, port: number, timeoutMs: number): Promise<string> {
    const socket = await connectTcp((this.#namespaces.get(from) ?? this.outside).ns, at(address), port, { timeoutMs });
    const [data] = (await once(socket, 'data')) as [Buffer];
    socket.destroy();
    return String(data);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#closing.map((close) => close()));
    for (const name of names) this.nodes[name][Symbol.dispose]();
    this.world[Symbol.dispose]();
  }

  /** A routed pod: /32 and /128, the gateway is a link-local address. */
  #pod(node: NodeName, name: string, host: number): void {
    const [ns, pod] = [this.#namespaces.get(`host${node}`)!, this.world.namespace(name)];
    this.#namespaces.set(name, pod);
    const own = families.map((family) => podAddress(node, family, host));
    this.world.join(ns, ['169.254.1.1/32', 'fe80::1/128'], pod, [`${own[0]}/32`, `${own[1]}/128`], [name, 'eth0']);
    for (const address of own) ns.rt.addRoute({ destination: Prefix.host(at(address)), link: ns.index(name), protocol: 4 });
    const link = pod.index('eth0');
    for (const [family, gateway] of [
      ['ipv4', '169.254.1.1'],
      ['ipv6', 'fe80::1'],
    ] as const)
      pod.rt.addRoute({ destination: Prefix.all(family), gateway: at(gateway), onlink: true, link, protocol: 4 });
  }
}

/** What the other rooms contribute of a node: forwarding, the Service CIDRs' link, the way to the other node's pods. */
function items(node: NodeName): Item[] {
  const source = (family: Family) => at(nodeAddress(node, family));
  const peer = other(node);
  return [
    { kind: 'sysctl', name: 'net/ipv4/ip_forward', value: '1' },
    { kind: 'sysctl', name: 'net/ipv6/conf/all/forwarding', value: '1' },
    { kind: 'link', name: 'podnet-svc', type: 'bridge', up: true },
    ...serviceCidrs.map((destination): Item => {
      return { kind: 'route', destination, type: 'unicast', link: 'podnet-svc', source: source(destination.family) };
    }),
    ...podCidrs(peer).map((destination): Item => {
      const { family } = destination;
      const gateway = at(nodeAddress(peer, family));
      return { kind: 'route', destination, type: 'unicast', link: 'eth0', gateway, source: source(family) };
    }),
  ];
}
