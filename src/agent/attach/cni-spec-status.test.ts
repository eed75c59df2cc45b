import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { Ipam } from '../../ipam/index.ts';
import { Nodes } from '../../kube/resources.ts';
import { needsRoot } from '../../testing/root.ts';
import { failed, leases, nothingIsLeft, ok } from '../testkit/cni-spec.ts';
import { eventually, TestNode } from '../testkit/node.ts';

test(
  'CNI9: STATUS tells 50 before the node could serve, 51 when it could before; every other verb is served as far as can be',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await node.api.delete(Nodes, 'me');
    await node.start();
    await eventually(async () =>
      assert.match(failed(await node.cni({ command: 'STATUS' }), 50, 'no Node'), /there is no Node me in the API/),
    );
    await node.setNode('me', ['192.0.2.1', '2001:db8::1'], ['10.1.0.0/24', 'fd01::/64']);
    await node.settled();
    assert.deepEqual(await node.cni({ command: 'STATUS' }), ok);
    const { ns, result } = await node.addPod('a');
    // Other nodes forget the way to a node that is deleted: pods may have lost connections.
    await node.api.delete(Nodes, 'me');
    await eventually(async () =>
      assert.match(failed(await node.cni({ command: 'STATUS' }), 51, 'deleted'), /there is no Node me in the API/),
    );
    assert.equal((await node.cni({ command: 'VERSION' })).code, 0);
    assert.deepEqual(await node.cni({ command: 'CHECK', containerId: 'a', netns: ns.path, config: { prevResult: result } }), ok);
    assert.deepEqual(
      await node.cni({ command: 'GC', config: { 'cni.dev/valid-attachments': [{ containerID: 'a', ifname: 'eth0' }] } }),
      ok,
    );
    assert.deepEqual(await node.cni({ command: 'DEL', containerId: 'a', netns: ns.path }), ok);
    await nothingIsLeft(node);
  },
);

test('CNI9, F23: STATUS tells that leases cannot be written, and that they can again', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  const { path } = node.world.namespace('a');
  // As a disk that fails: the place of the next lease is taken.
  mkdirSync(`${node.config.stateDir}/.tmp-10.1.0.2_fd01::2.json`);
  mkdirSync(`${node.config.stateDir}/.tmp-cursor`);
  assert.match(failed(await node.cni({ command: 'ADD', containerId: 'a', netns: path }), 5, 'ADD'), /a lease cannot be written/);
  assert.match(failed(await node.cni({ command: 'STATUS' }), 50, 'STATUS'), /leases cannot be written/);
  assert.match(
    node.status().problems.join('\n'),
    /no pod can be attached, leases cannot be written to \S+\/leases: EISDIR: [^'.]+; free room/,
  );
  rmSync(`${node.config.stateDir}/.tmp-cursor`, { recursive: true });
  assert.deepEqual(await node.cni({ command: 'STATUS' }), ok);
  assert.deepEqual(node.status().problems, []);
  assert.equal((await node.addPod('b')).addresses[0], '10.1.0.3');
});

test('CNI9, F23: leases that somebody deleted with their folder while the agent runs are written again', needsRoot, async () => {
  await using node = await TestNode.make();
  const { stateDir } = node.config;
  await node.startReady();
  await node.addPod('a');
  const before = leases(node);
  rmSync(stateDir, { recursive: true });
  const { path } = node.world.namespace('b');
  const add = { command: 'ADD', containerId: 'b', netns: path };
  assert.match(failed(await node.cni(add), 5, 'ADD'), /a lease cannot be written/);
  assert.deepEqual(leases(node), before, 'the agent knows them still');
  assert.equal((await node.cni(add)).code, 0, "the runtime's next attempt");
  rmSync(stateDir, { recursive: true });
  assert.deepEqual(await node.cni({ command: 'STATUS' }), ok);
  assert.equal(leases(node).length, 2);
  assert.throws(() => new Ipam(stateDir), /another agent has the leases/);
  await node.stop();
  await node.startReady();
  for (const containerId of ['a', 'b']) assert.deepEqual(await node.cni({ command: 'DEL', containerId }), ok);
  await nothingIsLeft(node);
});

test("CNI14: foreign configurations are left alone, and nobody ever reads half of podnet's", needsRoot, async () => {
  await using node = await TestNode.make();
  const { confDir } = node.config.cni;
  mkdirSync(confDir, { recursive: true });
  writeFileSync(`${confDir}/05-other.conflist`, 'not even JSON');
  await node.startReady();
  assert.deepEqual(readdirSync(confDir).sort(), ['05-other.conflist', '10-podnet.conflist']);
  assert.equal(readFileSync(`${confDir}/05-other.conflist`, 'utf8'), 'not even JSON');
  assert.equal((JSON.parse(readFileSync(`${confDir}/10-podnet.conflist`, 'utf8')) as { name: string }).name, 'podnet');
});
