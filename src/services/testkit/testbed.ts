import dgram from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';
import { Nft } from '../../kernel/nftables/index.ts';
import { bindUdp, connectTcp, listenTcp } from '../../kernel/sockets.ts';
import type { EndpointSlice, Service, ServicePort } from '../../kube/types.ts';
import { type Family, IpAddr } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';
import { type Item, NftWriter, Reconciler, RtWriter, SysctlWriter } from '../../reconcile/index.ts';
import { type TestNs, TestWorld } from '../../testing/netns.ts';
import { egressOwner, planEgress, type ServiceNode, ServicePlanner } from '../index.ts';

/** For tests of this room: one node with pods, a machine with pods of another node, and a client outside of the cluster. */

export const at = IpAddr.parse;
export const serviceNode: ServiceNode = {
  name: 'n1',
  addresses: ['192.168.0.1', 'fd00:192::1'].map(at),
  podCidrs: ['10.244.1.0/24', 'fd00:244:1::/64'].map(Prefix.parse),
  serviceCidrs: ['10.96.0.0/16', 'fd00:96::/112'].map(Prefix.parse),
  sink: 'podnet-svc',
};
const nodeAddress = { ipv4: serviceNode.addresses[0]!, ipv6: serviceNode.addresses[1]! };
/** Pods a, b, c are on the node; `far` is behind another one. */
export const podAddress = (name: string, family: Family): string =>
  name === 'far'
    ? { ipv4: '10.244.2.5', ipv6: 'fd00:244:2::5' }[family]
    : `${{ ipv4: '10.244.1.', ipv6: 'fd00:244:1::' }[family]}${name.charCodeAt(0) - 95}`;
export const outsideAddress = { ipv4: '203.0.113.2', ipv6: 'fd00:203::2' };
export const wildcard = { ipv4: '0.0.0.0', ipv6: '::' } as const;

export const service = (name: string, clusterIPs: string[], ports: ServicePort[], spec: Service['spec'] = {}): Service => ({
  metadata: { namespace: 'default', name },
  spec: { type: ports.some((port) => port.nodePort) ? 'NodePort' : 'ClusterIP', clusterIPs, ports, ...spec },
});

/** @param pods names of pods, `far` included */
export const slice = (of: string, family: Family, pods: readonly string[], port = 8080, protocol = 'TCP'): EndpointSlice => ({
  metadata: { namespace: 'default', name: `${of}-${family}`, labels: { 'kubernetes.io/service-name': of } },
  addressType: family === 'ipv4' ? 'IPv4' : 'IPv6',
  ports: [{ port, protocol }],
  endpoints: pods.map((pod) => ({ addresses: [podAddress(pod, family)], nodeName: pod === 'far' ? 'n2' : 'n1' })),
});

export class Testbed implements AsyncDisposable {
  readonly world = new TestWorld('services');
  readonly node: TestNs;
  readonly outside: TestNs;
  readonly planner: ServicePlanner;
  readonly reconciler: Reconciler;
  readonly #namespaces = new Map<string, TestNs>();
  readonly #nft: Nft;
  readonly #closing: (() => Promise<unknown>)[] = [];

  /** @param facts of the node that are to be others than `serviceNode` has */
  constructor(facts: Partial<ServiceNode> = {}) {
    this.planner = new ServicePlanner({ node: { ...serviceNode, ...facts }, services: [], slices: [], held: new Map() });
    this.node = this.world.namespace('node');
    this.outside = this.world.namespace('outside');
    this.#namespaces.set('node', this.node).set('outside', this.outside);
    const far = this.world.namespace('far');
    this.#namespaces.set('far', far);
    this.world.join(this.node, ['192.168.0.1/24', 'fd00:192::1/64'], far, [
      '192.168.0.2/24',
      'fd00:192::2/64',
      '10.244.2.5/32',
      'fd00:244:2::5/128',
    ]);
    this.world.join(this.node, ['203.0.113.1/24', 'fd00:203::1/64'], this.outside, ['203.0.113.2/24', 'fd00:203::2/64']);
    route(this.outside, '192.168.0.1/32', '203.0.113.1', 'to-node');
    route(this.outside, 'fd00:192::1/128', 'fd00:203::1', 'to-node');
    // The other node knows the way to this one's pods, and none to the outside: what it answers must go by the node's address.
    route(far, '10.244.1.0/24', '192.168.0.1', 'to-node');
    route(far, 'fd00:244:1::/64', 'fd00:192::1', 'to-node');
    for (const name of ['a', 'b', 'c']) this.#pod(name);
    this.#nft = Nft.open(this.node.ns);
    this.reconciler = new Reconciler([new SysctlWriter(this.node.ns), new RtWriter(this.node.rt), new NftWriter(this.#nft)]);
    this.reconciler.contribute('node', nodeItems());
    this.reconciler.contribute(
      egressOwner,
      planEgress({
        podCidrs: ['10.244.0.0/16', 'fd00:244::/32'].map(Prefix.parse),
        serviceCidrs: serviceNode.serviceCidrs,
        nodeAddresses: ['192.168.0.0/24', 'fd00:192::/64'].map(Prefix.parse),
      }),
    );
    this.sync();
  }

  /** Writes what the planner has changed. @throws when the kernel refuses anything */
  sync(): ReturnType<Reconciler['sync']> {
    for (const [owner, items] of this.planner.take()) this.reconciler.contribute(owner, items);
    const result = this.reconciler.sync();
    if (result.failures.length > 0) throw result.failures[0]!.error;
    return result;
  }

  namespace(name: string): TestNs {
    return this.#namespaces.get(name)!;
  }

  /** Answers `NAME CLIENT-ADDRESS` to each TCP connection, and keeps it until the client closes. */
  async serveTcp(name: string, family: Family, port: number): Promise<void> {
    const open = new Set<net.Socket>();
    const server = net.createServer((socket) => {
      open.add(socket);
      socket.on('error', () => {}).on('close', () => open.delete(socket));
      socket.write(`${name} ${socket.remoteAddress}`);
      socket.on('data', (data) => socket.write(`${name} again ${data}`));
    });
    server.listen({ fd: listenTcp(this.namespace(name).ns, at(wildcard[family]), port) });
    await once(server, 'listening');
    this.#closing.push(() => {
      for (const socket of open) socket.destroy();
      return new Promise((resolve) => server.close(resolve));
    });
  }

  /** Answers `NAME CLIENT-ADDRESS LENGTH` to each datagram. */
  serveUdp(name: string, family: Family, port: number): void {
    const socket = dgram.createSocket(family === 'ipv4' ? 'udp4' : 'udp6');
    socket.on('message', (data, from) => socket.send(`${name} ${from.address} ${data.length}`, from.port, from.address));
    // Not the wildcard: the answer must come from the address that was asked.
    socket.bind({ fd: bindUdp(this.namespace(name).ns, at(podAddress(name, family)), port) });
    this.#closing.push(() => new Promise<void>((resolve) => socket.close(resolve)));
  }

  async connect(from: string, address: string, port: number, timeoutMs = 3000): Promise<net.Socket> {
    return connectTcp(this.namespace(from).ns, at(address), port, { timeoutMs });
  }

  /** One TCP connection. @returns who answered, and whom it saw asking */
  async ask(from: string, address: string, port: number): Promise<{ who: string; seen: string }> {
    const socket = await this.connect(from, address, port);
    const [data] = (await once(socket, 'data')) as [Buffer];
    socket.destroy();
    const [who = '', seen = ''] = data.toString().split(' ');
    return { who, seen };
  }

  /** One datagram of so many bytes and its answer. @throws ECONNREFUSED for an ICMP port unreachable, ETIMEDOUT */
  async askUdp(from: string, address: string, port: number, bytes = 10): Promise<string> {
    const family = at(address).family;
    const socket = dgram.createSocket(family === 'ipv4' ? 'udp4' : 'udp6');
    socket.bind({ fd: bindUdp(this.namespace(from).ns, at(wildcard[family]), 0) });
    try {
      socket.connect(port, address);
      await once(socket, 'connect');
      socket.send(Buffer.alloc(bytes));
      const timeout = AbortSignal.timeout(3000);
      const [data] = (await once(socket, 'message', { signal: timeout })) as [Buffer];
      return data.toString();
    } finally {
      socket.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#closing.map((close) => close()));
    this.#nft[Symbol.dispose]();
    this.world[Symbol.dispose]();
  }

  /** A routed pod: /32 and /128, the gateway is a link-local address. */
  #pod(name: string): void {
    const pod = this.world.namespace(name);
    this.#namespaces.set(name, pod);
    const [v4, v6] = [podAddress(name, 'ipv4'), podAddress(name, 'ipv6')];
    this.world.join(this.node, ['169.254.1.1/32', 'fe80::1/128'], pod, [`${v4}/32`, `${v6}/128`]);
    const link = this.node.index(`to-${name}`);
    this.node.rt.addRoute({ destination: Prefix.host(at(v4)), link, protocol: 4 });
    this.node.rt.addRoute({ destination: Prefix.host(at(v6)), link, protocol: 4 });
    const inside = pod.index('to-node');
    pod.rt.addRoute({ destination: Prefix.all('ipv4'), gateway: at('169.254.1.1'), onlink: true, link: inside, protocol: 4 });
    pod.rt.addRoute({ destination: Prefix.all('ipv6'), gateway: at('fe80::1'), onlink: true, link: inside, protocol: 4 });
  }
}

function route(from: TestNs, destination: string, gateway: string, link: string): void {
  from.rt.addRoute({ destination: Prefix.parse(destination), gateway: at(gateway), link: from.index(link), protocol: 4 });
}

function nodeItems(): Item[] {
  return [
    { kind: 'sysctl', name: 'net/ipv4/ip_forward', value: '1' },
    { kind: 'sysctl', name: 'net/ipv6/conf/all/forwarding', value: '1' },
    { kind: 'link', name: 'podnet-svc', type: 'bridge', up: true },
    ...serviceNode.serviceCidrs.map((destination): Item => {
      return { kind: 'route', destination, type: 'unicast', link: 'podnet-svc', source: nodeAddress[destination.family] };
    }),
    {
      kind: 'route',
      destination: Prefix.parse('10.244.2.0/24'),
      type: 'unicast',
      link: 'to-far',
      gateway: at('192.168.0.2'),
      source: nodeAddress.ipv4,
    },
    {
      kind: 'route',
      destination: Prefix.parse('fd00:244:2::/64'),
      type: 'unicast',
      link: 'to-far',
      gateway: at('fd00:192::2'),
      source: nodeAddress.ipv6,
    },
  ];
}
