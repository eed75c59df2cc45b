import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import { Conntrack } from '../../kernel/conntrack.ts';
import { bindUdp } from '../../kernel/sockets.ts';
import { Services } from '../../kube/resources.ts';
import { IpAddr } from '../../net/ip.ts';
import { needsRoot } from '../../testing/root.ts';
import type { AgentConfig } from '../config.ts';
import { eventually, TestNode } from '../testkit/node.ts';
import { Echo } from '../testkit/traffic.ts';

const vips = { ipv4: '10.96.0.80', ipv6: 'fd96::80' } as const;

/** A node with a client and two servers, which the Service leads to. */
class Bed implements AsyncDisposable {
  readonly node: TestNode;
  readonly #echoes: Echo[] = [];
  readonly #sockets: Socket[] = [];
  /** Addresses of the servers, IPv4 and IPv6. */
  readonly servers: string[][] = [];
  #client: Awaited<ReturnType<TestNode['addPod']>> | undefined;

  private constructor(node: TestNode) {
    this.node = node;
  }

  static async make(settings: Partial<AgentConfig> = {}): Promise<Bed> {
    const bed = new Bed(await TestNode.make(settings));
    await bed.node.setEndpoints([], []);
    await bed.node.startReady();
    bed.#client = await bed.node.addPod('client');
    for (const name of ['one', 'two']) {
      const { ns, addresses } = await bed.node.addPod(name);
      bed.#echoes.push(await Echo.start(ns.ns, 8080));
      bed.servers.push(addresses);
    }
    return bed;
  }

  /** The Service leads to these servers, by number. */
  async serve(...which: number[]): Promise<void> {
    const of = (family: number): string[] => which.map((i) => this.servers[i]![family]!);
    await this.node.setEndpoints(of(0), of(1));
    await this.node.settled();
  }

  heard(): number[] {
    return this.#echoes.map(({ heard }) => heard);
  }

  /** One socket of the client: one connection to conntrack. */
  async flow(family: 'ipv4' | 'ipv6'): Promise<Socket> {
    const socket = createSocket(family === 'ipv4' ? 'udp4' : 'udp6');
    this.#sockets.push(socket);
    socket.on('error', () => {});
    const fd = bindUdp(this.#client!.ns.ns, IpAddr.unspecified(family), 0);
    await new Promise<void>((resolve) => void socket.bind({ fd }, resolve));
    return socket;
  }

  /** Asks until it is answered: what is on its way while the entry goes may be lost. @returns the number of the server that heard it */
  async ask(
    socket: Socket,
    family: 'ipv4' | 'ipv6',
    to: { address: string; port: number } = { address: vips[family], port: 80 },
  ): Promise<number> {
    return eventually(async () => {
      const before = this.heard();
      socket.send('hello', to.port, to.address);
      await once(socket, 'message', { signal: AbortSignal.timeout(300) });
      return this.heard().findIndex((count, i) => count > before[i]!);
    });
  }

  entries(): string[] {
    using conntrack = Conntrack.open(this.node.ns.ns);
    return conntrack
      .list({ protocol: 'udp' })
      .map(({ original, reply }) => `${original.destination}:${original.destinationPort} at ${reply.source}`)
      .filter((text) => text.includes(':80 '));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.close();
    for (const echo of this.#echoes) echo[Symbol.dispose]();
    await this.node[Symbol.asyncDispose]();
  }
}

for (const family of ['ipv4', 'ipv6'] as const)
  test(
    `SD25 (${family}): a UDP flow to an endpoint that goes leads to another with its next packet; others stay where they are`,
    needsRoot,
    async () => {
      await using bed = await Bed.make();
      await bed.serve(0);
      const first = await bed.flow(family);
      assert.equal(await bed.ask(first, family), 0);
      await bed.serve(0, 1);
      assert.equal(await bed.ask(first, family), 0, 'a flow stays while its endpoint serves');
      // Which endpoint a flow gets is chance: flows until one gets the other.
      let second = await bed.flow(family);
      for (let tries = 0; (await bed.ask(second, family)) !== 1 && tries < 60; tries++) second = await bed.flow(family);
      const deleted = bed.node.status().staleUdpDeleted;
      await bed.serve(1);
      await eventually(async () => assert.equal(await bed.ask(first, family), 1));
      assert.equal(await bed.ask(second, family), 1);
      assert.ok(bed.node.status().staleUdpDeleted > deleted);
    },
  );

for (const family of ['ipv4', 'ipv6'] as const)
  test(`SD25 (${family}): so it is by a node port, a load balancer's address and an externalIP`, needsRoot, async () => {
    await using bed = await Bed.make({ services: { externalIpCidrs: ['198.51.100.0/24', '2001:db8:1::/64'], healthPort: 0 } });
    const [balanced, external] = family === 'ipv4' ? ['198.51.100.1', '198.51.100.2'] : ['2001:db8:1::1', '2001:db8:1::2'];
    const web = await bed.node.api.get(Services, 'web', 'default');
    const spec = { ...web.spec, type: 'LoadBalancer', externalIPs: [external!] };
    spec.ports = spec.ports!.map((port) => ({ ...port, nodePort: 30_080 }));
    const status = { loadBalancer: { ingress: [{ ip: balanced! }] } };
    const changed = await bed.node.api.update(Services, { ...web, spec });
    await bed.node.api.update(Services, { ...changed, status }, { subresource: 'status' });
    await bed.serve(0);
    const own = family === 'ipv4' ? '192.0.2.1' : '2001:db8::1';
    const ways = [
      { address: own, port: 30_080 },
      { address: balanced!, port: 80 },
      { address: external!, port: 80 },
    ];
    const flows = await Promise.all(ways.map(() => bed.flow(family)));
    for (const [i, to] of ways.entries()) assert.equal(await bed.ask(flows[i]!, family, to), 0, to.address);
    const { staleUdpDeleted } = bed.node.status();
    await bed.serve(1);
    for (const [i, to] of ways.entries())
      await eventually(async () => assert.equal(await bed.ask(flows[i]!, family, to), 1, to.address));
    assert.equal(bed.node.status().staleUdpDeleted - staleUdpDeleted, ways.length);
  });

test(
  'SD25: entries of a Service that went are deleted, so that its address does not lead to its pods any more',
  needsRoot,
  async () => {
    await using bed = await Bed.make();
    await bed.serve(0);
    const socket = await bed.flow('ipv4');
    await bed.ask(socket, 'ipv4');
    assert.deepEqual(bed.entries(), [`10.96.0.80:80 at ${bed.servers[0]![0]}`]);
    const { staleUdpDeleted } = bed.node.status();
    await bed.node.api.delete(Services, 'web', 'default');
    // It would end by itself, in time.
    await eventually(() => assert.equal(bed.node.status().staleUdpDeleted, staleUdpDeleted + 1));
    assert.deepEqual(bed.entries(), []);
  },
);

test('SD25: an agent that starts deletes what went stale while none ran, and nothing else', needsRoot, async () => {
  await using bed = await Bed.make();
  await bed.serve(0);
  const [stale, fresh] = [await bed.flow('ipv4'), await bed.flow('ipv6')];
  await bed.ask(stale, 'ipv4');
  await bed.ask(fresh, 'ipv6');
  await bed.node.stop();
  await bed.node.setEndpoints([bed.servers[1]![0]!], [bed.servers[0]![1]!]);
  await bed.node.startReady();
  await eventually(() => assert.equal(bed.node.status().staleUdpDeleted, 1));
  assert.deepEqual(bed.entries(), [`fd96::80:80 at ${bed.servers[0]![1]}`]);
  await eventually(async () => assert.equal(await bed.ask(stale, 'ipv4'), 1));
});

test('SD25: an agent that starts deletes entries of a Service that went while none ran', needsRoot, async () => {
  await using bed = await Bed.make();
  await bed.serve(0);
  for (const family of ['ipv4', 'ipv6'] as const) await bed.ask(await bed.flow(family), family);
  assert.equal(bed.entries().length, 2);
  await bed.node.stop();
  await bed.node.api.delete(Services, 'web', 'default');
  await bed.node.startReady();
  // They would end by themselves, in time.
  await eventually(() => assert.equal(bed.node.status().staleUdpDeleted, 2));
  assert.deepEqual(bed.entries(), []);
});
