import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type DnsServer, startDns } from '../dns/index.ts';
import { framed } from '../dns/testkit/client.ts';
import { namespace, service } from '../dns/testkit/cluster.ts';
import { question } from '../dns/testkit/message.ts';
import { NewConnections } from '../kernel/new-connections.ts';
import { connectTcp } from '../kernel/sockets.ts';
import { FakeApi } from '../kube/fake.ts';
import { EndpointSlices, Namespaces, Services } from '../kube/resources.ts';
import { IpAddr } from '../net/ip.ts';
import { run } from '../testing/judge.ts';
import type { TestNs } from '../testing/netns.ts';
import { needsRoot } from '../testing/root.ts';
import { serveHttp } from '../unix/http.ts';
import { Asker } from './testkit/asker.ts';
import { eventually, TestNode } from './testkit/node.ts';

const vips = ['10.96.0.10', 'fd96::a'];
const name = 'web.default.svc.cluster.local';
/** What each node's DNS says of the name: by it the answers tell who gave them. */
const own = ['10.96.1.1', 'fd96::1:1'];
const others = ['10.96.1.2', 'fd96::1:2'];

/** A DNS of its own knowledge on these addresses of a namespace. */
async function serveDns(ns: TestNs, listen: string[], says: string[]): Promise<DnsServer> {
  const api = new FakeApi();
  await api.create(Namespaces, namespace('default'));
  await api.create(Services, service('web', { clusterIP: says[0]!, clusterIPs: says }));
  // There are no Node objects that would tell who may ask.
  const config = { listen, podCidrs: ['10.1.0.0/16'], serviceCidrs: ['10.96.0.0/16', 'fd96::/112'], limits: { clients: ['0.0.0.0/0', '::/0'] } };
  const dns = await startDns(config, { api, netns: ns.ns, log: () => {} });
  await dns.ready;
  return dns;
}

/** `me` and `peer` serve DNS, and a test says whether that of `me` is ready; it answers in any case. */
class DnsNode implements AsyncDisposable {
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
    this.#parts.push(await serveHttp(node.config.dnsHealthSocket, { '/ready': () => ({ code: this.#ready ? 200 : 503, body: '' }) }));
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
        metadata: { name: `kube-dns-${addressType}`, namespace: 'kube-system', labels: { 'kubernetes.io/service-name': 'kube-dns' } },
        ...{ addressType, ports },
        endpoints: [mine, theirs].map((address, i) => ({ addresses: [address], nodeName: i ? 'peer' : 'me', conditions: { ready: true, serving: true } })),
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

const counted = (asker: Asker): Record<string, number> => Object.fromEntries(asker.heard);

for (const attach of ['routed', 'bridge'] as const) test(`kubernetes#56903: both families asked from one port, thousands of times, by pods and the node itself: all are answered, and none is in conntrack (${attach})`, needsRoot, async () => {
  await using dns = await DnsNode.start(attach);
  const { node } = dns;
  const pod = await node.addPod('a');
  await node.settled();
  using connections = NewConnections.open(node.ns.ns);
  for (const from of [pod.ns, node.ns])
    for (const vip of vips) {
      await using asker = await Asker.open(from.ns, vip, name);
      for (let burst = 0; burst < 50; burst++) {
        for (let i = 0; i < 20; i++) asker.ask();
        assert.equal(await asker.lost(), 0, `${from.path} to ${vip}`);
      }
      assert.deepEqual(counted(asker), { [own[0]!]: 1000, [own[1]!]: 1000 });
    }
  const tracked = connections.take().filter(({ original }) => original.destinationPort === 53 || original.sourcePort === 53);
  assert.deepEqual(tracked, []);
  // TCP is tracked: the look would have seen the others.
  const socket = await connectTcp(pod.ns.ns, IpAddr.parse(vips[0]!), 53, { timeoutMs: 5000 });
  socket.write(framed(question(name)));
  await new Promise((resolve) => socket.once('data', resolve));
  socket.destroy();
  assert.deepEqual(
    connections.take().filter(({ original }) => original.destinationPort === 53).map(({ original }) => original.protocol),
    ['tcp'],
  );
});

test("P8: while a node's own DNS is not ready, other nodes answer for it, and its own endpoint is none, though it is in the slices", needsRoot, async () => {
  await using dns = await DnsNode.start();
  const { node } = dns;
  const pod = await node.addPod('a');
  await dns.setReady(false);
  const untracked = ['answered4', 'answered6'].map((set) => run(node.ns.path, 'nft', 'list', 'set', 'inet', 'podnet', set));
  for (const text of untracked) assert.doesNotMatch(text, /elements/);
  for (const from of [pod.ns, node.ns])
    for (const vip of vips) {
      // Each a flow of its own: the endpoint is chosen for each.
      for (let i = 0; i < 20; i++) {
        await using asker = await Asker.open(from.ns, vip, name);
        asker.ask();
        assert.equal(await asker.lost(), 0, `${from.path} to ${vip}`);
        assert.deepEqual([...asker.heard.keys()].sort(), [...others].sort());
      }
    }
});

test('readiness that changes to and fro, while questions are asked from the same ports: each is answered, by the one or the other', needsRoot, async () => {
  await using dns = await DnsNode.start();
  const pod = await dns.node.addPod('a');
  await dns.node.settled();
  const all: Asker[] = [];
  for (const from of [pod.ns, dns.node.ns]) for (const vip of vips) all.push(await Asker.open(from.ns, vip, name));
  let ending = false;
  const asking = (async () => {
    while (!ending) {
      for (const asker of all) asker.ask();
      await sleep(1);
    }
  })();
  try {
    for (let i = 0; i < 10; i++) {
      await dns.setReady(i % 2 === 1);
      await sleep(50);
    }
    ending = true;
    await asking;
    for (const asker of all) {
      assert.equal(await asker.lost(), 0, JSON.stringify(counted(asker)));
      const heard = counted(asker);
      for (const address of [...own, ...others]) assert.ok(heard[address]! > 20, JSON.stringify(heard));
    }
  } finally {
    ending = true;
    await asking;
    for (const asker of all) await asker[Symbol.asyncDispose]();
  }
});
