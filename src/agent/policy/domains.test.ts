import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startDns } from '../../dns/index.ts';
import { namespace } from '../../dns/testkit/cluster.ts';
import { answer } from '../../dns/testkit/message.ts';
import { TestUpstream } from '../../dns/testkit/upstream.ts';
import { connectTcp } from '../../kernel/sockets.ts';
import type { KubeObject } from '../../kube/api.ts';
import { FakeApi } from '../../kube/fake.ts';
import { Namespaces, Services } from '../../kube/resources.ts';
import { clusterPolicyResources } from '../../policy/resources.ts';
import { needsRoot } from '../../testing/root.ts';
import { Asker } from '../testkit/asker.ts';
import { eventually } from '../testkit/node.ts';
import { at, echoPort, everyWay, noWay, PolicyNode } from '../testkit/policy-node.ts';
import { Echo } from '../testkit/traffic.ts';

const vips = ['10.96.0.10', 'fd96::a'];
const [resource] = clusterPolicyResources;

test('CNP11, F48: a pod reaches the addresses that cluster DNS gave it for a name that a policy accepts, from its first packet on, over a restart of the agent, and others not; when their time is over, connections that are there stay', needsRoot, async () => {
  const addresses: Record<string, string> = { A: '192.0.2.2', AAAA: '2001:db8::2' };
  await using upstream = await TestUpstream.listen((request, { name, type }) =>
    answer(request, { answers: addresses[type] ? [{ name, type: type as 'A', ttl: 300, data: addresses[type] }] : [] }),
  );
  await using it = await PolicyNode.make();
  const { node } = it;
  const healthSocket = join(node.world.directory, 'dns.sock');
  node.config.dnsHealthSocket = healthSocket;
  const api = new FakeApi();
  await api.create(Namespaces, namespace('default'));
  const config = {
    ...{ listen: vips, podCidrs: ['10.1.0.0/16', 'fd01::/32'], serviceCidrs: ['10.96.0.0/16', 'fd96::/112'], healthSocket },
    upstream: { servers: [upstream.server], netns: '/proc/self/ns/net' },
  };
  await using dns = await startDns(config, { api, netns: node.ns.ns, log: () => {} });
  await dns.ready;
  const ports = ['UDP', 'TCP'].map((protocol) => ({ name: protocol.toLowerCase(), protocol: protocol as 'UDP', port: 53 }));
  await node.api.create(Services, { metadata: { name: 'kube-dns', namespace: 'kube-system' }, spec: { type: 'ClusterIP', clusterIP: vips[0]!, clusterIPs: vips, ports } });
  await node.startReady();
  await eventually(() => assert.equal(node.status().dnsAnswered, true));
  using _echo = await Echo.start(node.peer.ns, echoPort);
  const pod = await it.pod('a');
  const other = await it.pod('b', { namespace: 'shop' });
  const resolve = async (name: string): Promise<string[]> => {
    await using asker = await Asker.open(pod.ns.ns, vips[0]!, name);
    asker.ask();
    assert.equal(await asker.lost(5000), 0, name);
    return [...asker.heard.keys()].sort();
  };
  await resolve('www.example.org');
  assert.equal(await it.hears(pod, it.neighbour), everyWay);
  const egress = [
    { name: 'names', action: 'Accept', to: [{ domainNames: ['*.example.com'] }] },
    { name: 'rest', action: 'Deny', to: [{ networks: ['192.0.2.2/32', '2001:db8::2/128'] }] },
  ];
  const policy = { metadata: { name: 'names' }, spec: { tier: 'Admin', priority: 1, subject: { namespaces: { matchLabels: { team: 'default' } } }, egress } };
  await node.api.create(resource!, policy as KubeObject);
  await eventually(async () => assert.equal(await it.hears(pod, it.neighbour), noWay));
  await resolve('www.example.net');
  assert.equal(await it.hears(pod, it.neighbour), noWay, 'of a name that no policy names');
  // One is lost until the agent has said what it wants; from then on the first packet after an answer gets through.
  assert.deepEqual(await resolve('api.example.com'), ['192.0.2.2', '2001:db8::2']);
  const socket = await connectTcp(pod.ns.ns, at('192.0.2.2'), echoPort, { timeoutMs: 900 });
  assert.equal(await it.hears(pod, it.neighbour), everyWay);
  assert.equal(await it.hears(other, it.neighbour), everyWay, 'the policy is not about it');
  const echoes = async (text: string): Promise<void> => {
    const heard = once(socket, 'data', { signal: AbortSignal.timeout(20_000) });
    socket.write(text);
    assert.equal(String((await heard)[0]), text);
  };
  await echoes('before');
  await node.stop();
  await node.startReady();
  assert.equal(await it.hears(pod, it.neighbour), everyWay, 'the next agent is told what the DNS gave before');
  await echoes('after');
  // F48: somebody sets the machine's date, a day on or back.
  const { now } = Date;
  for (const days of [1, -1])
    try {
      Date.now = () => now() + days * 86_400_000;
      await sleep(1200);
      assert.equal(await it.hears(pod, it.neighbour), everyWay, `${days} days`);
    } finally {
      Date.now = now;
    }
  // The time of the addresses is over: for new connections.
  const { bigint } = process.hrtime;
  process.hrtime.bigint = () => bigint() + 3_600_000_000_000n;
  try {
    await eventually(async () => assert.equal(await it.hears(pod, it.neighbour), noWay));
    await echoes('still there');
  } finally {
    process.hrtime.bigint = bigint;
  }
  socket.destroy();
  await node.api.delete(resource!, 'names', undefined);
  await eventually(async () => assert.equal(await it.hears(pod, it.neighbour), everyWay));
});
