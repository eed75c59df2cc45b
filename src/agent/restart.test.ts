import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Nodes, Services } from '../kube/resources.ts';
import { ip, run } from '../testing/judge.ts';
import { changes } from '../testing/machine.ts';
import { needsRoot } from '../testing/root.ts';
import { eventually, TestNode } from './testkit/node.ts';
import { switchable } from './testkit/switch.ts';
import { tablesTakenOver, Witness } from './testkit/witness.ts';

for (const attach of ['routed', 'bridge'] as const)
  test(`SD22: an agent that starts again writes nothing that is right (${attach})`, needsRoot, async () => {
    await using node = await TestNode.make({ attach, backend: 'vxlan' });
    await node.startReady();
    const { addresses } = await node.addPod('a');
    await node.settled();
    await node.stop();
    using witness = new Witness(node.ns.path);
    await witness.quiet();
    await node.startReady();
    const { reconciler, attachments } = node.status();
    assert.deepEqual([reconciler.operations, attachments], [0, 1]);
    await sleep(100);
    assert.deepEqual([...witness.seen], tablesTakenOver(attach));
    for (const address of addresses) run(node.ns.path, 'ping', '-c1', '-W5', address);
  });

test('what changed while no agent ran is written after its start, and nothing else is', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  await node.addPod('a');
  await node.settled();
  await node.stop();

  const before = node.kernel();
  await node.setEndpoints(['10.1.1.2', '10.1.1.3'], ['fd01:0:0:1::2']);
  await node.api.delete(Nodes, 'peer');
  run(node.ns.path, 'nft', 'delete', 'element', 'inet', 'podnet', 'cluster-ips4', '{ 10.96.0.80 }');
  run(node.ns.path, 'ip', 'route', 'del', '10.1.0.2');
  await node.startReady();

  const lines = changes({ kernel: before }, { kernel: node.kernel() }).filter(
    (line) => !/element of (slots|endpoints)/.test(line),
  );
  assert.deepEqual(
    lines.map((line) => line.replace(/^kernel |,"(dev|protocol|metric|flags|pref|prefsrc|gateway)".*/g, '')).sort(),
    [
      'gone: element of no-masquerade4 "192.0.2.2"',
      'gone: element of no-masquerade6 "2001:db8::2"',
      'gone: element of service-ips6 [{"concat":["fd96::80","tcp",80]},"0:6002"]',
      'gone: element of service-ips6 [{"concat":["fd96::80","udp",80]},"0:8002"]',
      'gone: element of tunnel-networks4-24 167837952',
      'gone: element of tunnel-networks6-64 "0xfd010000000000010000000000000000"',
      'gone: element of tunnel4-nodes "192.0.2.2"',
      'gone: element of tunnel4-pods4-24 {"concat":["192.0.2.2",167837952]}',
      'gone: element of tunnel4-pods6-64 {"concat":["192.0.2.2","0xfd010000000000010000000000000000"]}',
      'gone: route {"dst":"10.1.1.0/24"',
      'gone: route {"dst":"fd01:0:0:1::/64"',
      'left behind: element of service-ips6 [{"concat":["fd96::80","tcp",80]},"0:6001"]',
      'left behind: element of service-ips6 [{"concat":["fd96::80","udp",80]},"0:8001"]',
    ],
  );
});

test(
  'an agent that starts while the API is down keeps all there is, and becomes ready when the API is back',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    const { api, setUp } = switchable(node.api);
    await node.startReady(api);
    const { addresses } = await node.addPod('a');
    await node.settled();
    const right = node.kernel();
    await node.stop();

    setUp(false);
    await node.start(api);
    await sleep(700);
    const away = node.status();
    assert.equal(away.ready, false);
    assert.match(away.why!, /^the API server has not told of nodes and Services yet: connect ECONNREFUSED/);
    assert.equal(away.reconciler.syncs, 0);
    assert.deepEqual(changes({ kernel: right }, { kernel: node.kernel() }), []);
    for (const address of addresses) run(node.ns.path, 'ping', '-c1', '-W5', address);
    const status = await node.cni({ command: 'STATUS' });
    assert.deepEqual([status.code, status.json.code], [1, 50]);

    await node.api.delete(Services, 'web', 'default');
    setUp(true);
    await node.settled();
    await eventually(() =>
      assert.ok(!node.ruleset().some((line) => line.includes('10.96.0.80')), 'a Service that went meanwhile'),
    );
    assert.equal(node.status().attachments, 1);
    assert.equal((await node.cni({ command: 'STATUS' })).code, 0);
  },
);

test('an agent whose API goes down while it runs goes on with what it knows', needsRoot, async () => {
  await using node = await TestNode.make();
  const { api, setUp } = switchable(node.api);
  await node.startReady(api);
  setUp(false);
  const { addresses } = await node.addPod('a');
  for (const address of addresses) run(node.ns.path, 'ping', '-c1', '-W5', address);
  run(node.ns.path, 'ip', 'route', 'del', '10.1.1.0/24');
  await eventually(() => assert.equal(ip(node.ns.path, 'route', 'show', '10.1.1.0/24').length, 1));
  await eventually(() =>
    assert.deepEqual(
      node.status().sources.map(({ kind, synced, error }) => [kind, synced, /ECONNREFUSED/.test(error ?? '')]),
      [
        ...['nodes', 'services', 'endpointslices', 'servicecidrs', 'networkpolicies'],
        ...['clusternetworkpolicies', 'adminnetworkpolicies', 'baselineadminnetworkpolicies'],
      ].map((kind) => [kind, true, true]),
    ),
  );
  assert.ok(node.status().ready);
});

test('a node that is not in the API, or has no pod CIDR yet, is not ready and says why', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.api.delete(Nodes, 'me');
  await node.start();
  const why = (text: RegExp): Promise<void> => eventually(() => assert.match(node.status().why ?? 'ready', text));
  await why(/^there is no Node me in the API/);
  await node.setNode('me', ['203.0.113.9'], []);
  await why(/^node me has no InternalIP that is on a link here \(the Node object has 203\.0\.113\.9\)/);
  await node.api.delete(Nodes, 'me');
  await node.setNode('me', ['192.0.2.1', '2001:db8::1'], []);
  await why(/^the node has no pod CIDR yet \(node\.spec\.podCIDRs is empty\)$/);
  const { code, json } = await node.cni({ command: 'STATUS' });
  assert.deepEqual([code, json.code, json.msg], [1, 50, 'the node has no pod CIDR yet (node.spec.podCIDRs is empty)']);
  await node.api.delete(Nodes, 'me');
  await node.setNode('me', ['192.0.2.1', '2001:db8::1'], ['10.1.0.0/24', 'fd01::/64']);
  await node.settled();
});

test(
  'an agent that is stopped does not wait for an ADD that waits for the node: it is to be tried again',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await node.api.delete(Nodes, 'me');
    await node.start();
    const { path } = node.world.namespace('a');
    const add = node.cni({ command: 'ADD', containerId: 'a', netns: path });
    // What comes after it is answered, so it has come.
    await eventually(async () => assert.equal((await node.cni({ command: 'STATUS' })).code, 1));
    const begin = performance.now();
    await node.stop();
    assert.ok(performance.now() - begin < 15_000, 'ADD would have waited for 20 s');
    const { code, json } = await add;
    assert.deepEqual([code, json.code], [1, 11]);
    assert.match(String(json.msg), /agent is being stopped|agent is not running/);
  },
);
