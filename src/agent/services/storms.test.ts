import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import type net from 'node:net';
import { test } from 'node:test';
import { connectTcp } from '../../kernel/sockets.ts';
import { EndpointSlices, Services } from '../../kube/resources.ts';
import type { EndpointSlice, Service } from '../../kube/types.ts';
import { IpAddr } from '../../net/ip.ts';
import { run } from '../../testing/judge.ts';
import { changes } from '../../testing/machine.ts';
import { needsRoot } from '../../testing/root.ts';
import { failed } from '../testkit/cni-spec.ts';
import { eventually, TestNode } from '../testkit/node.ts';
import { reaches } from '../testkit/reach.ts';
import { switchable } from '../testkit/switch.ts';
import { Echo } from '../testkit/traffic.ts';

const service = (name: string, clusterIP: string): Service => ({
  metadata: { name, namespace: 'default' },
  spec: { type: 'ClusterIP', clusterIP, clusterIPs: [clusterIP], ipFamilies: ['IPv4'], ports: [{ name: 'tcp', protocol: 'TCP', port: 80, targetPort: 8080 }] },
});
const slice = (name: string, addresses: readonly string[]): EndpointSlice => ({
  metadata: { name: `${name}-x`, namespace: 'default', labels: { 'kubernetes.io/service-name': name } },
  addressType: 'IPv4',
  ports: [{ name: 'tcp', protocol: 'TCP', port: 8080 }],
  endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true, serving: true } })),
});

test('F50, SD24: a thousand connections live on at an endpoint that leaves its Service, and no new one goes there', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  const [client, leaving, staying] = [await node.addPod('client'), await node.addPod('leaving'), await node.addPod('staying')];
  using first = await Echo.start(leaving.ns.ns, 8080);
  using second = await Echo.start(staying.ns.ns, 8080);
  const ends = (...pods: (typeof leaving)[]): [string[], string[]] => [pods.map(({ addresses }) => addresses[0]!), pods.map(({ addresses }) => addresses[1]!)];
  await node.setEndpoints(...ends(leaving));
  const open = (count: number): Promise<net.Socket[]> =>
    Promise.all(
      Array.from({ length: count }, async (_, i) => {
        const socket = await connectTcp(client.ns.ns, IpAddr.parse(i % 2 === 0 ? '10.96.0.80' : 'fd96::80'), 80, { timeoutMs: 20_000 });
        socket.on('error', () => {});
        return socket;
      }),
    );
  const echo = async (sockets: readonly net.Socket[], text: string): Promise<void> => {
    const answers = await Promise.all(
      sockets.map(async (socket) => {
        const answer = once(socket, 'data');
        socket.write(text);
        return String((await answer)[0]);
      }),
    );
    assert.ok(answers.every((answer) => answer === text));
  };
  const leadsTo = (server: Echo): Promise<void> =>
    eventually(async () => {
      const { heard } = server;
      const probes = await open(4);
      await echo(probes, 'probe');
      for (const socket of probes) socket.destroy();
      assert.equal(server.heard, heard + 4, 'all go there');
    });
  const sockets: net.Socket[] = [];
  try {
    // Of both families, from the moment that all of them go there.
    await leadsTo(first);
    for (let i = 0; i < 10; i++) sockets.push(...(await open(100)));
    await echo(sockets, 'before');
    await node.setEndpoints(...ends(staying));
    await leadsTo(second);
    const { heard } = first;
    const fresh = await open(200);
    await echo(fresh, 'fresh');
    assert.equal(first.heard, heard, 'no new one went there');
    await echo(sockets.slice(0, 1000), 'after');
    assert.equal(sockets.slice(0, 1000).filter((socket) => socket.destroyed).length, 0);
    for (const socket of fresh) socket.destroy();
  } finally {
    for (const socket of sockets) socket.destroy();
  }
});

test('F19: slices before their Service, Services that go before their slices, and one made anew under its name with another address', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  const [client, server] = [await node.addPod('client'), await node.addPod('server')];
  using echo = await Echo.start(server.ns.ns, 8080);
  assert.equal(echo.heard, 0);
  const answers = (to: string, timeoutMs = 5000): Promise<boolean> => reaches({ from: client.ns.ns, to, port: 80, protocol: 'tcp' }, timeoutMs);
  const served = (address: string): Promise<void> => eventually(async () => assert.ok(await answers(address), address));
  const silent = async (address: string): Promise<void> => {
    await eventually(() => assert.ok(!node.ruleset().some((line) => line.includes(`"${address}"`)), `${address} is in no rule`));
    assert.equal(await answers(address, 200), false, address);
  };
  const known = (): Promise<unknown> => node.settled();

  await node.api.create(EndpointSlices, slice('late', [server.addresses[0]!]));
  await known();
  await silent('10.96.0.90');
  await node.api.create(Services, service('late', '10.96.0.90'));
  await served('10.96.0.90');
  // The Service goes, its slices stay for a while.
  await node.api.delete(Services, 'late', 'default');
  await silent('10.96.0.90');
  // Under its name, with another address and another uid, while slices of the former one are there.
  await node.api.create(Services, service('late', '10.96.0.91'));
  await served('10.96.0.91');
  // In one breath: what was heard of both must end in the last.
  for (const address of ['10.96.0.92', '10.96.0.93', '10.96.0.94']) {
    await node.api.delete(Services, 'late', 'default');
    await node.api.create(Services, service('late', address));
  }
  await served('10.96.0.94');
  for (const address of ['10.96.0.90', '10.96.0.91', '10.96.0.92', '10.96.0.93']) await silent(address);
  await node.api.delete(EndpointSlices, 'late-x', 'default');
  await eventually(async () => assert.equal(await answers('10.96.0.94', 1000), false, 'refused without endpoints'));
  await node.api.delete(Services, 'late', 'default');
  await silent('10.96.0.94');
});

test('F20: a thousand Services with ten thousand endpoints that come and go at once end in what was there before, and the next change is soon', needsRoot, async () => {
  await using node = await TestNode.make({ families: ['ipv4'], clusterDns: ['10.96.0.10'], serviceCidrs: ['10.96.0.0/16'] });
  await node.startReady();
  const isThere = (address: string): string => run(node.ns.path, 'nft', 'get', 'element', 'inet', 'podnet', 'service-ips4', `{ ${address} . tcp . 80 }`);
  const before = node.kernel();
  const of = (i: number): string => `10.96.${10 + (i >> 8)}.${i & 255}`;
  const indexes = Array.from({ length: 1000 }, (_, i) => i);
  const syncs = node.status().reconciler.syncs;
  await Promise.all(
    indexes.flatMap((i) => [
      node.api.create(Services, service(`s${i}`, of(i))),
      node.api.create(EndpointSlices, slice(`s${i}`, Array.from({ length: 10 }, (_, k) => `10.1.${1 + (i >> 4)}.${1 + ((i & 15) * 10 + k)}`))),
    ]),
  );
  await eventually(() => isThere(of(999)), 60_000);
  await node.settled();
  for (const i of [0, 777, 998]) isThere(of(i));
  assert.ok(node.status().reconciler.syncs - syncs < 500, 'many changes are one transaction');
  await Promise.all(
    indexes.flatMap((i) => [node.api.delete(Services, `s${i}`, 'default'), node.api.delete(EndpointSlices, `s${i}-x`, 'default')]),
  );
  await eventually(() => assert.throws(() => isThere(of(999))), 60_000);
  await eventually(() => assert.deepEqual(changes({ kernel: before }, { kernel: node.kernel() }), []), 60_000);
  await node.api.create(Services, service('next', '10.96.0.99'));
  await node.api.create(EndpointSlices, slice('next', ['10.1.1.2']));
  await eventually(() => isThere('10.96.0.99'));
});

test('F11, CNI9, CNI14: a first start without an API makes no configuration, STATUS says 50, it is asked ever more rarely, and all is well once it is there', needsRoot, async () => {
  await using node = await TestNode.make();
  const { api, setUp } = switchable(node.api);
  setUp(false);
  let asked = 0;
  const counting = new Proxy(api, {
    get(target, name: keyof typeof api) {
      const call = target[name] as (...args: unknown[]) => unknown;
      return (...args: unknown[]) => {
        asked++;
        return call.apply(target, args);
      };
    },
  });
  await node.start(counting);
  const configuration = `${node.config.cni.confDir}/10-podnet.conflist`;
  const began = performance.now();
  await eventually(() => assert.match(node.status().why ?? '', /the API server has not told of nodes and Services yet: connect ECONNREFUSED/));
  assert.match(failed(await node.cni({ command: 'STATUS' }), 50, 'STATUS'), /API server/);
  await new Promise((resolve) => setTimeout(resolve, 700));
  const tries = Math.ceil(Math.log2(1 + (performance.now() - began) / 50)) + 1;
  assert.ok(asked <= tries * 12, `${asked} requests in ${Math.round(performance.now() - began)} ms`);
  assert.equal(existsSync(configuration), false);
  assert.ok(!node.ruleset().some((line) => line.includes('podnet')), 'nothing is written');
  setUp(true);
  await node.settled();
  await eventually(() => assert.ok(existsSync(configuration)));
  await node.addPod('a');
});
