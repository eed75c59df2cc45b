import { Fd } from '../../kernel/fd.ts';
import { Nft } from '../../kernel/nftables/index.ts';
import { NetNs } from '../../kernel/netns.ts';
import { ShortConnections } from '../../kernel/short-connections.ts';
import { sockaddr } from '../../kernel/sockaddr.ts';
import { listenTcp } from '../../kernel/sockets.ts';
import { writeSysctl } from '../../kernel/sysctl.ts';
import type { EndpointSlice } from '../../kube/types.ts';
import { IpAddr } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';
import { NftWriter, Reconciler } from '../../reconcile/index.ts';
import { ServicePlanner } from '../../services/index.ts';
import { join, local, namespaceAt, route } from '../links.ts';
import { clusterCidr, clusterIpOf, endpointAddressOf, nodeCidr, servicePort, serviceCidr, servicesOf, type Size, sliceOf, targetPort } from '../objects.ts';

const firstIp = IpAddr.parse(clusterIpOf(0));

/** What some connections took. */
export interface Connections {
  ms: number;
  /** Of this process, user and system: all of the kernel's work on the packets is done inside of its calls. */
  cpuUs: number;
  connectUs: Float64Array;
}

/** A pod, its node and a server behind it, in namespaces of their own; Services as podnet's planner and writer make them. */
export class ServiceNode implements Disposable {
  readonly size: Size;
  readonly #all: NetNs[] = [];
  readonly #client: NetNs;
  readonly #nft: Nft;
  readonly #listener: Fd;
  #turn = 0;

  constructor(directory: string, size: Size) {
    this.size = size;
    const make = (name: string): NetNs => {
      const ns = namespaceAt(`${directory}-${name}`);
      this.#all.push(ns);
      return ns;
    };
    const [client, node, server] = [make('client'), make('node'), make('server')];
    this.#client = client;
    join(node, 'client', '192.0.2.1', client, '192.0.2.2');
    join(node, 'server', '198.51.100.1', server, '198.51.100.2');
    writeSysctl(node, 'net/ipv4/ip_forward', '1');
    route(node, nodeCidr, 'client', '192.0.2.2');
    route(node, clusterCidr, 'server', '198.51.100.2');
    route(client, '0.0.0.0/0', 'node', '192.0.2.1');
    route(server, '0.0.0.0/0', 'node', '198.51.100.1');
    local(client, nodeCidr);
    local(server, '10.129.0.0/24');
    this.#listener = Fd.own(listenTcp(server, IpAddr.parse('0.0.0.0'), targetPort, { backlog: 4096 }), 'the server behind the Services');
    this.#nft = Nft.open(node);
    const planner = new ServicePlanner({
      node: {
        ...{ name: 'me', addresses: [IpAddr.parse('192.0.2.1')] },
        ...{ podCidrs: [Prefix.parse(nodeCidr)], serviceCidrs: [Prefix.parse(serviceCidr)] },
      },
      ...{ services: servicesOf(size), slices: sharedSlices(size), held: new Map() },
    });
    const reconciler = new Reconciler([new NftWriter(this.#nft)]);
    for (const [owner, items] of planner.take()) reconciler.contribute(owner, items);
    const [failure] = reconciler.sync().failures;
    if (failure) throw failure.error;
  }

  /** Connects, one after the other, each time to any of the Services. @throws KernelError */
  connect(count: number): Connections {
    return this.#client.enter(() => this.#connect(count));
  }

  #connect(count: number): Connections {
    const connectUs = new Float64Array(count);
    // Its own address and ports, one after the other: where the kernel chooses the port, the way it does depends on how many destinations there are.
    const turn = this.#turn++;
    const source = IpAddr.parse(nodeCidr.replace('.0/24', `.${2 + (turn % 250)}`));
    const firstPort = 1024 + ((Math.floor(turn / 250) * count) % 60_000);
    const connections = new ShortConnections(this.#listener.number, source);
    const target = sockaddr(firstIp, servicePort);
    const first = target.readUInt32BE(4);
    const begin = performance.now();
    const cpu = process.cpuUsage();
    for (let i = 0; i < count; i++) {
      target.writeUInt32BE(first + Math.floor(Math.random() * this.size.services), 4);
      connectUs[i] = connections.connect(target, firstPort + i) * 1000;
    }
    const { user, system } = process.cpuUsage(cpu);
    return { ms: performance.now() - begin, cpuUs: user + system, connectUs };
  }

  [Symbol.dispose](): void {
    this.#nft[Symbol.dispose]();
    this.#listener.close();
    for (const ns of this.#all) {
      ns[Symbol.dispose]();
      NetNs.remove(ns.name);
    }
  }
}

/** Behind every Service are the same few pods: nodes of one Service and of many differ by their Services alone, and not by what servers' kernels look up. */
function* sharedSlices(size: Size): Iterable<EndpointSlice> {
  const addresses = Array.from({ length: size.endpoints / size.services }, (_, i) => endpointAddressOf(i));
  for (let service = 0; service < size.services; service++) yield sliceOf(service, 0, addresses);
}
