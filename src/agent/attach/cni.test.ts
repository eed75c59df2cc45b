import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { Nodes } from '../../kube/resources.ts';
import { ip, run } from '../../testing/judge.ts';
import { needsRoot } from '../../testing/root.ts';
import { nothingIsLeft } from '../testkit/cni-spec.ts';
import { eventually, TestNode } from '../testkit/node.ts';

const podLinks = (node: TestNode): string[] =>
  ip<{ ifname: string; group?: string }>(node.ns.path, 'link')
    .filter(({ ifname }) => ifname.startsWith('pod') && !ifname.startsWith('podnet'))
    .map(({ ifname }) => ifname);
const leases = (node: TestNode): string[] => readdirSync(node.config.stateDir).filter((name) => name.includes('10.1.0.'));

for (const attach of ['routed', 'bridge'] as const)
  test(`CNI4, CNI6, CNI8: ADD, CHECK and DEL by the executable (${attach})`, needsRoot, async () => {
    await using node = await TestNode.make({ attach });
    await node.startReady();
    assert.doesNotMatch(node.log.join('\n'), /ENOENT/, 'what belongs to a link is written when it is there');
    const { ns, addresses, result } = await node.addPod('one');
    assert.deepEqual(addresses, ['10.1.0.2', 'fd01::2']);
    assert.equal(result.cniVersion, '1.1.0');
    for (const address of ['192.0.2.1', '2001:db8::1', '192.0.2.2', '2001:db8::2']) run(ns.path, 'ping', '-c1', '-W5', address);
    for (const address of addresses) run(node.ns.path, 'ping', '-c1', '-W5', address);

    const check = { command: 'CHECK', containerId: 'one', netns: ns.path, config: { prevResult: result } };
    assert.deepEqual(await node.cni(check), { code: 0, json: {} });
    run(ns.path, 'ip', 'route', 'del', 'default');
    const damaged = await node.cni(check);
    assert.deepEqual([damaged.code, damaged.json.code], [1, 102]);
    assert.match(String(damaged.json.msg), /the default route via \S+ is gone/);

    const again = await node.cni({ command: 'ADD', containerId: 'one', netns: ns.path });
    assert.deepEqual([again.code, again.json.code], [1, 100], 'a second ADD of the same attachment');
    run(ns.path, 'ping', '-c1', '-W5', '2001:db8::1');

    const del = { command: 'DEL', containerId: 'one', netns: ns.path };
    assert.deepEqual(await node.cni(del), { code: 0, json: {} });
    assert.deepEqual(await node.cni(del), { code: 0, json: {} }, 'DEL of what is gone');
    assert.deepEqual(await node.cni({ ...del, netns: '/run/netns/podnet-test-gone' }), { code: 0, json: {} });
    await eventually(() => assert.deepEqual(podLinks(node), []));
    assert.equal(ip(node.ns.path, 'route', 'show', 'to', '10.1.0.2/32').length, 0);
    assert.deepEqual(leases(node), []);
    assert.deepEqual(node.status().attachments, 0);
  });

test('CNI10: GC deletes every attachment but those that are valid, whoever made them', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  for (const name of ['keep', 'stale', 'lost']) await node.addPod(name);
  await node.stop();
  await node.startReady();
  const config = { 'cni.dev/valid-attachments': [{ containerID: 'keep', ifname: 'eth0' }] };
  assert.deepEqual(await node.cni({ command: 'GC', config }), { code: 0, json: {} });
  await eventually(() => assert.equal(podLinks(node).length, 1));
  assert.equal(leases(node).length, 1);
  run(node.ns.path, 'ping', '-c1', '-W5', '10.1.0.2');
  // As Go writes an empty list: libcni on a node without pods.
  assert.deepEqual(await node.cni({ command: 'GC', config: { 'cni.dev/valid-attachments': null } }), { code: 0, json: {} });
  await nothingIsLeft(node);
});

test(
  "CNI5: an ADD into a namespace that is gone, is the node's own, or has the interface leaves nothing behind",
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await node.startReady();
    const gone = await node.cni({ command: 'ADD', containerId: 'x', netns: '/run/netns/podnet-test-gone' });
    assert.deepEqual([gone.code, gone.json.code], [1, 4]);
    const own = await node.cni({ command: 'ADD', containerId: 'x', netns: node.ns.path });
    assert.deepEqual([own.code, own.json.code], [1, 4]);
    assert.match(String(own.json.msg), /is the node's own network namespace/);
    const taken = node.world.namespace('taken');
    run(taken.path, 'ip', 'link', 'add', 'eth0', 'type', 'bridge');
    const exists = await node.cni({ command: 'ADD', containerId: 'x', netns: taken.path });
    assert.deepEqual([exists.code, exists.json.code], [1, 100]);
    assert.equal(ip(taken.path, '-d', 'link', 'show', 'eth0').length, 1, 'it is still theirs');
    await eventually(() => assert.deepEqual(podLinks(node), []));
    assert.deepEqual(leases(node), []);
  },
);

test(
  'a pod whose namespace went without DEL is told, holds its address until GC, and nobody makes its link again',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await node.startReady();
    const { ns } = await node.addPod('a');
    await node.settled();
    run(ns.path, 'ip', 'link', 'del', 'eth0');
    await eventually(() => assert.deepEqual(node.status().problems, ['a holds 10.1.0.2 and fd01::2, but its link is gone']));
    await node.settled();
    assert.deepEqual(podLinks(node), []);
    assert.equal((await node.addPod('b')).addresses[0], '10.1.0.3');
    assert.deepEqual(
      await node.cni({ command: 'GC', config: { 'cni.dev/valid-attachments': [{ containerID: 'b', ifname: 'eth0' }] } }),
      {
        ...{ code: 0, json: {} },
      },
    );
    assert.deepEqual(node.status().problems, []);
  },
);

test('CNI9: addresses run out with a clear error, and STATUS tells before', needsRoot, async () => {
  await using node = await TestNode.make({ families: ['ipv4'], clusterDns: ['10.96.0.10'], serviceCidrs: ['10.96.0.0/16'] });
  await node.api.delete(Nodes, 'me');
  await node.setNode('me', ['192.0.2.1'], ['10.1.0.0/30']);
  await node.startReady();
  await node.addPod('a');
  const full = await node.cni({ command: 'STATUS' });
  assert.deepEqual([full.code, full.json.code], [1, 50]);
  assert.match(String(full.json.msg), /^no address is left in 10\.1\.0\.0\/30/);
  const second = node.world.namespace('b');
  const refused = await node.cni({ command: 'ADD', containerId: 'b', netns: second.path });
  assert.deepEqual([refused.code, refused.json.code], [1, 101]);
  await node.cni({ command: 'DEL', containerId: 'a' });
});

test(
  'CNI2, CNI14: without an agent the executable answers VERSION itself, STATUS with 50 and the rest with 11',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await node.start();
    assert.ok(
      !existsSync(`${node.config.cni.confDir}/10-podnet.conflist`) || node.status().ready,
      'no network before ADD can be served',
    );
    await node.settled();
    assert.ok(existsSync(`${node.config.cni.confDir}/10-podnet.conflist`));
    const supported = await node.cni({ command: 'VERSION' });
    const { result } = await node.addPod('a');
    await node.stop();
    const alone = await node.cni({ command: 'VERSION' });
    assert.deepEqual([alone.code, alone.json.supportedVersions], [0, supported.json.supportedVersions]);
    assert.deepEqual(codeOf(await node.cni({ command: 'STATUS' })), [1, 50]);
    const pod = { containerId: 'a', netns: `${node.world.directory}/a` };
    for (const command of ['ADD', 'DEL', 'CHECK', 'GC'])
      assert.deepEqual(codeOf(await node.cni({ command, ...pod, config: { prevResult: result } })), [1, 11], command);
    assert.ok(existsSync(`${node.config.cni.confDir}/10-podnet.conflist`), 'a restart does not make the node NotReady');
  },
);

const codeOf = ({ code, json }: { code: number | null; json: Record<string, unknown> }): unknown[] => [code, json.code];

test('CNI15: calls for many pods at once are answered, each with addresses of its own', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  const names = Array.from({ length: 20 }, (_, i) => `p${i}`);
  const pods = await Promise.all(
    names.map(async (name) => {
      const pod = await node.addPod(name);
      // Of IPv6, an address takes packets from when its local route is there.
      assert.equal(
        ip(pod.ns.path, '-6', 'route', 'show', 'table', 'local', pod.addresses[1]!).length,
        1,
        `${name} is reached when ADD ends`,
      );
      return pod;
    }),
  );
  assert.equal(new Set(pods.flatMap(({ addresses }) => addresses)).size, 40);
  run(pods[0]!.ns.path, 'ping', '-c1', '-W5', pods[19]!.addresses[0]!);
  await node.settled();
  await Promise.all(names.map((containerId) => node.cni({ command: 'DEL', containerId })));
  await eventually(() => assert.deepEqual(podLinks(node), []));
  assert.deepEqual(leases(node), []);
});

test('CNI6: with waitForDeletion DEL is answered when the link is deleted', needsRoot, async () => {
  await using node = await TestNode.make();
  node.config.cni.waitForDeletion = true;
  await node.startReady();
  const names = ['a', 'b', 'c'];
  for (const name of names) await node.addPod(name);
  assert.equal(podLinks(node).length, 3);
  // The pods' namespaces stay: nothing but DEL takes their links away.
  await Promise.all(names.map((containerId) => node.cni({ command: 'DEL', containerId })));
  assert.deepEqual(podLinks(node), []);
});
