import dgram from 'node:dgram';
import net from 'node:net';
import { answer } from '../../dns/testkit/message.ts';
import { parseMessage } from '../../dns/wire/message.ts';
import { formatName } from '../../dns/wire/names.ts';
import { bindUdp, listenTcp } from '../../kernel/sockets.ts';
import { writeSysctl } from '../../kernel/sysctl.ts';
import type { EndpointSlice, Service, ServiceSpec } from '../../kube/types.ts';
import { IpAddr } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';
import type { TestNs } from '../../testing/netns.ts';
import type { VerifyInput } from '../input.ts';
import { nft, route, SmallCluster } from './cluster.ts';

/** The endpoints: a and b on n1, c on n2, as SmallCluster makes them. */
const pods = {
  a: { ips: ['10.244.1.2', 'fd00:244:1:1::2'], node: 'n1' },
  b: { ips: ['10.244.1.6', 'fd00:244:1:2::2'], node: 'n1' },
  c: { ips: ['10.244.2.2', 'fd00:244:2:1::2'], node: 'n2' },
} as const;
export type PodName = keyof typeof pods;

export const dnsAddress = '10.96.0.10';

/** SmallCluster with a hand-made data path for Services (numgen and a map for each, the way that everybody understands), and a name server on each node. */
export class ServiceCluster implements Disposable {
  readonly cluster = new SmallCluster();
  /** `web.default.svc.cluster.local.` to its addresses; a name that is not here is NXDOMAIN. */
  readonly names = new Map<string, string[]>();
  readonly services: Service[] = [];
  readonly slices: EndpointSlice[] = [];
  readonly #closers: (() => void)[] = [];

  constructor() {
    try {
      this.#build();
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  #build(): void {
    const { n1, n2, outside } = this.cluster;
    const own = new Map([
      [n1, ['172.16.0.1', 'fd00:16::1']],
      [n2, ['172.16.0.2', 'fd00:16::2']],
    ]);
    for (const node of [n1, n2]) {
      // Who meets himself goes out where he came in: the redirect for it would use up the ICMP errors of that second (icmp_ratelimit).
      for (const link of ['all', ...node.rt.links().map(({ name }) => name)])
        writeSysctl(node.ns, `net/ipv4/conf/${link}/send_redirects`, 0);
      // Where Services are routed to until they are translated.
      node.rt.addLink({ type: 'bridge', name: 'svc', up: true });
      const link = node.index('svc');
      node.rt.addAddress({ link, address: IpAddr.parse(dnsAddress), prefixLength: 32 });
      const [source4 = '', source6 = ''] = own.get(node)!;
      node.rt.addRoute({ destination: Prefix.parse('10.96.0.0/16'), link, source: IpAddr.parse(source4) });
      node.rt.addRoute({ destination: Prefix.parse('fd00:96::/112'), link, source: IpAddr.parse(source6) });
      nft(
        node,
        'add table inet svc',
        'add chain inet svc pre { type nat hook prerouting priority -100; }',
        'add chain inet svc output { type nat hook output priority -100; }',
        'add chain inet svc post { type nat hook postrouting priority 90; }',
        'add chain inet svc check { type filter hook forward priority 0; }',
        'add chain inet svc own { type filter hook output priority 0; }',
        // Whoever meets himself, and whoever comes to a node port.
        ...Object.values(pods).flatMap(({ ips: [v4, v6] }) => [
          `add rule inet svc post ip saddr ${v4} ip daddr ${v4} masquerade`,
          `add rule inet svc post ip6 saddr ${v6} ip6 daddr ${v6} masquerade`,
        ]),
      );
      this.#serveNames(node);
    }
    route(outside, '172.16.0.1/32', '172.17.1.1');
    route(outside, '172.16.0.2/32', '172.17.2.1');
    // n1 answers the outside on the link that it came by.
    route(this.cluster.n1, '172.17.2.254/32', '172.17.1.254');
  }

  get input(): VerifyInput {
    return {
      ...this.cluster.input,
      services: this.services,
      endpointSlices: this.slices,
      clusterDns: [IpAddr.parse(dnsAddress)],
    };
  }

  /** A Service as the API has it, known to the name server; what the nodes do with it is for `translate` and others to say. */
  declare(name: string, clusterIps: string[], spec: Partial<ServiceSpec>, endpoints: readonly PodName[]): void {
    const metadata = { name, namespace: 'default' };
    const [clusterIP] = clusterIps;
    const [port] = spec.ports ?? [];
    this.services.push({ metadata, spec: { type: 'ClusterIP', clusterIP, clusterIPs: clusterIps, ...spec } } as Service);
    const headless = clusterIP === 'None';
    for (const [i, addressType] of (['IPv4', 'IPv6'] as const).entries()) {
      this.slices.push({
        metadata: { name: `${name}-${addressType}`, namespace: 'default', labels: { 'kubernetes.io/service-name': name } },
        addressType,
        ports: [{ name: port?.name ?? '', protocol: port?.protocol ?? 'TCP', port: port?.port }],
        endpoints: endpoints.map((pod) => ({
          addresses: [pods[pod].ips[i]!],
          nodeName: pods[pod].node,
          conditions: { ready: true, serving: true, terminating: false },
        })),
      } as EndpointSlice);
    }
    const addresses = headless ? endpoints.flatMap((pod) => [...pods[pod].ips]) : clusterIps;
    this.names.set(`${name}.default.svc.cluster.local.`, addresses);
  }

  /** @param match e.g. `ip daddr 10.96.0.7 tcp dport 80` @param to as many places as wanted, one may be there twice; the port stays unless given */
  translate(node: TestNs, match: string, to: readonly PodName[], port = ''): void {
    const index = match.startsWith('ip6') ? 1 : 0;
    const map = to.map((pod, i) => `${i} : ${pods[pod].ips[index]}`).join(', ');
    const family = index === 1 ? 'ip6' : 'ip';
    for (const chain of ['pre', 'output'])
      nft(node, `add rule inet svc ${chain} ${match} dnat ${family} to numgen random mod ${to.length} map { ${map} }${port}`);
  }

  /** The same on both nodes. */
  translateAll(match: string, to: readonly PodName[], port = ''): void {
    for (const node of [this.cluster.n1, this.cluster.n2]) this.translate(node, match, to, port);
  }

  /** A TCP server in a pod, in both families. It says nothing. */
  listen(pod: PodName, port: number): void {
    for (const ip of pods[pod].ips) {
      const server = net.createServer((socket) => socket.on('error', () => undefined).resume());
      server.listen({ fd: listenTcp(this.cluster[pod].ns, IpAddr.parse(ip), port) });
      this.#closers.push(() => server.close());
    }
  }

  #serveNames(node: TestNs): void {
    const socket = dgram.createSocket('udp4');
    socket.on('message', (data, from) => {
      const message = parseMessage(data);
      const name = formatName(message.name);
      const known = this.names.get(name);
      const type = message.type === 1 ? 'A' : 'AAAA';
      const answers = (known ?? [])
        .filter((ip) => ip.includes(':') === (type === 'AAAA'))
        .map((ip) => ({ name, type, data: ip }) as const);
      if (known?.[0] !== 'silence') socket.send(answer(data, { rcode: known ? 0 : 3, answers }), from.port, from.address);
    });
    socket.bind({ fd: bindUdp(node.ns, IpAddr.parse(dnsAddress), 53), exclusive: true });
    this.#closers.push(() => socket.close());
  }

  [Symbol.dispose](): void {
    for (const close of this.#closers) close();
    this.cluster[Symbol.dispose]();
  }
}
