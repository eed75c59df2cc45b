import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type DnsServer, startDns } from '../../dns/index.ts';
import { namespace, service } from '../../dns/testkit/cluster.ts';
import { FakeApi } from '../../kube/fake.ts';
import { EndpointSlices, Namespaces, Services } from '../../kube/resources.ts';
import type { TestNs } from '../../testing/netns.ts';
import { serveHttp } from '../../unix/http.ts';
import { eventually, TestNode } from './node.ts';

/** Of cluster DNS. */
export const vips = ['10.96.0.10', 'fd96::a'];
/** What each answers. */
export const name = 'web.default.svc.cluster.local';
/** What each node's DNS says of the name: by it the answers tell who gave them. */
export const own = ['10.96.1.1', 'fd96::1:1'];
export const others = ['10.96.1.2', 'fd96::1:2'];

/** A DNS of its own knowledge on these addresses of a namespace. */
async function serveDns(ns: TestNs, listen: string[], says: string[]): Promise<DnsServer> {
  const api = new FakeApi();
  await api.create(Namespaces, namespace('default'));
  await api.create(Services, service('web', { clusterIP: says[0]!, clusterIPs: says }));
  // There are no Node objects that would tell who may ask.
  const config = {
    listen,
    podCidrs: ['10.1.0.0/16'],
    serviceCidrs: ['10.96.0.0/16', 'fd96::/112'],
    limits: { clients: ['0.0.0.0/0', '::/0'] },
  };
  const dns = await startDns(config, { api, netns: ns.ns, log: () => {} });
  await dns.ready;
  return dns;
}

/** `me` and `peer` serve DNS, and a test says whether that of `me` is ready; it answers in any case. */
export class DnsNode implements AsyncDisposable {
  readonly node: TestNode;
  readonly #parts: AsyncDisposable[] = [];
  #ready = true;

  private constructor(node: TestNode) {
    this.node = node;
    this.#parts.push(node);
  }

  static async start(attach: 'routed' | 'bridge' = 'routed'): Promise<DnsNode> {
    const it = new DnsNode(await TestNode.make({ attach }));
    try {
      await it.#start();
      return it;
    } catch (error) {
      await it[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #start(): Promise<void> {
    const { node } = this;
    node.config.dnsHealthSocket = join(node.world.directory, 'dns.sock');
    this.#parts.push(
      await serveHttp(node.config.dnsHealthSocket, { '/ready': () => ({ code: this.#ready ? 200 : 503, body: '' }) }),
    );
    const ports = ['UDP', 'TCP'].map((protocol) => ({ name: protocol.toLowerCase(), protocol: protocol as 'UDP', port: 53 }));
    await node.api.create(Services, {
      metadata: { name: 'kube-dns', namespace: 'kube-system' },
      spec: { type: 'ClusterIP', clusterIP: vips[0]!, clusterIPs: vips, ports },
    });
    for (const [addressType, mine, theirs] of [
      ['IPv4', '192.0.2.1', '192.0.2.2'],
      ['IPv6', '2001:db8::1', '2001:db8::2'],
    ] as const)
      await node.api.create(EndpointSlices, {
        metadata: {
          name: `kube-dns-${addressType}`,
          namespace: 'kube-system',
          labels: { 'kubernetes.io/service-name': 'kube-dns' },
        },
        ...{ addressType, ports },
        endpoints: [mine, theirs].map((address, i) => ({
          addresses: [address],
          nodeName: i ? 'peer' : 'me',
          conditions: { ready: true, serving: true },
        })),
      });
    this.#parts.push(await serveDns(node.ns, [...vips, '192.0.2.1', '2001:db8::1'], own));
    this.#parts.push(await serveDns(node.peer, ['192.0.2.2', '2001:db8::2'], others));
    await node.startReady();
  }

  /** Until the kernel holds it. */
  async setReady(ready: boolean): Promise<void> {
    this.#ready = ready;
    await eventually(() => assert.equal(this.node.status().dnsAnswered, ready));
    await this.node.settled();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const part of this.#parts.reverse()) await part[Symbol.asyncDispose]();
  }
}
