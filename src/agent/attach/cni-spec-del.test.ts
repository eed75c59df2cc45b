import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { decodeLease, encodeLease } from '../../ipam/lease.ts';
import { run } from '../../testing/judge.ts';
import { needsRoot } from '../../testing/root.ts';
import type { CniCall } from '../testkit/cni.ts';
import { failed, leases, nothingIsLeft, ok, podLinks } from '../testkit/cni-spec.ts';
import { eventually, TestNode } from '../testkit/node.ts';

test('CNI6: DEL succeeds with whatever is left, and with whatever it is given', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  writeFileSync(`${node.world.directory}/file`, '');
  const ways: Record<string, Partial<CniCall>> = {
    whole: {},
    'no-netns': { netns: undefined },
    'empty-netns': { netns: '' },
    'gone-netns': { netns: '/run/netns/podnet-test-gone' },
    'file-netns': { netns: `${node.world.directory}/file` },
    'relative-netns': { netns: 'x' },
    'no-path': { env: { CNI_PATH: undefined } },
    'bad-prevresult': { config: { prevResult: 'hello' } },
    'bad-wishes': { config: { runtimeConfig: { ips: 'x', infinibandGUID: 'c2' } } },
    'bad-args': { env: { CNI_ARGS: 'Unknown=1;x' } },
    'old-version': { config: { cniVersion: '0.3.0' } },
  };
  for (const [containerId, way] of Object.entries(ways)) {
    const { ns } = await node.addPod(containerId);
    const del = { command: 'DEL', containerId, netns: ns.path, ...way };
    assert.deepEqual(await node.cni(del), ok, containerId);
    assert.deepEqual(await node.cni(del), ok, `${containerId}, repeated`);
    assert.deepEqual(leases(node), [], containerId);
  }
  assert.deepEqual(await node.cni({ command: 'DEL', containerId: 'never-added', netns: '/run/none' }), ok);
  await nothingIsLeft(node);
});

test(
  'CNI6, CRI7, F26: after a reboot DEL succeeds, all addresses are free, and new containers are served at once',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await node.startReady();
    for (const name of ['a', 'b']) await node.addPod(name);
    await node.stop();
    // What a reboot leaves: the leases, of another boot; no links, no namespaces.
    for (const link of podLinks(node)) run(node.ns.path, 'ip', 'link', 'del', link);
    for (const name of leases(node)) {
      const file = `${node.config.stateDir}/${name}`;
      writeFileSync(file, encodeLease({ ...decodeLease(readFileSync(file, 'utf8')), boot: 'another' }));
    }
    await node.startReady();
    assert.deepEqual(leases(node), []);
    assert.deepEqual(node.status().problems, []);
    assert.deepEqual(await node.cni({ command: 'DEL', containerId: 'a', netns: '/run/netns/gone' }), ok);
    const { addresses } = await node.addPod('a2');
    assert.equal(addresses.length, 2);
    assert.deepEqual(
      await node.cni({ command: 'GC', config: { 'cni.dev/valid-attachments': [{ containerID: 'a2', ifname: 'eth0' }] } }),
      ok,
    );
    assert.equal(leases(node).length, 1);
  },
);

test("CNI7: DEL of a pod's former container never takes what its new one has", needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  const args = { CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0' };
  const { path } = node.world.namespace('old');
  assert.equal((await node.cni({ command: 'ADD', containerId: 'old', netns: path, env: args })).code, 0);
  const fresh = node.world.namespace('fresh').path;
  const { json } = await node.cni({ command: 'ADD', containerId: 'fresh', netns: fresh, env: args });
  // The runtime deletes the former one late, with a path that may be anybody's by now.
  for (let i = 0; i < 2; i++)
    assert.deepEqual(await node.cni({ command: 'DEL', containerId: 'old', netns: fresh, env: args }), ok);
  assert.deepEqual(
    await node.cni({ command: 'DEL', containerId: 'fresh', ifname: 'net1', netns: fresh }),
    ok,
    'another interface',
  );
  assert.deepEqual(
    await node.cni({ command: 'DEL', containerId: 'fresh', netns: fresh, config: { name: 'other' } }),
    ok,
    'another network',
  );
  assert.deepEqual(await node.cni({ command: 'CHECK', containerId: 'fresh', netns: fresh, config: { prevResult: json } }), ok);
  for (const address of ['10.1.0.3', 'fd01::3']) run(node.ns.path, 'ping', '-c1', '-W5', address);
  assert.deepEqual(leases(node), ['10.1.0.3_fd01::3.json']);
});

test(
  'CNI10: GC takes what is not valid, goes on after an error, reports it at the end, and leaves other networks alone',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await node.startReady();
    for (const name of ['keep', 'stuck', 'stale']) await node.addPod(name);
    const other = node.world.namespace('other').path;
    const inOther = { containerId: 'keep', ifname: 'net1', netns: other, config: { name: 'other' } };
    assert.equal((await node.cni({ command: 'ADD', ...inOther })).code, 0);
    // A lease that cannot be removed.
    const file = `${node.config.stateDir}/10.1.0.3_fd01::3.json`;
    const contents = readFileSync(file);
    rmSync(file);
    mkdirSync(file);
    const gc = { command: 'GC', config: { 'cni.dev/valid-attachments': [{ containerID: 'keep', ifname: 'eth0' }] } };
    const answer = await node.cni(gc);
    assert.match(failed(answer, 199, 'GC'), /1 attachments could not be deleted/);
    assert.match(String(answer.json.details), /stuck eth0: the lease of 10\.1\.0\.3 and fd01::3 cannot be removed/);
    assert.ok(!leases(node).includes('10.1.0.4_fd01::4.json'), 'stale went all the same');
    rmSync(file, { recursive: true });
    writeFileSync(file, contents);
    assert.deepEqual(await node.cni(gc), ok);
    assert.deepEqual(leases(node).sort(), ['10.1.0.2_fd01::2.json', '10.1.0.5_fd01::5.json']);
    for (const address of ['10.1.0.2', 'fd01::2', '10.1.0.5', 'fd01::5']) run(node.ns.path, 'ping', '-c1', '-W5', address);
  },
);

test(
  'CNI15: ADD and DEL of one container come one after the other, of many at the same time, and nothing is lost',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await node.startReady();
    const pods = Array.from({ length: 12 }, (_, i) => ({ containerId: `p${i}`, netns: node.world.namespace(`p${i}`).path }));
    await Promise.all(
      pods.map(async (pod, i) => {
        const added = node.cni({ command: 'ADD', ...pod });
        if (i % 3 === 0) await node.cni({ command: 'DEL', ...pod });
        await added;
        // An ADD that was killed or given up is always followed by DEL.
        if (i % 3 !== 1) assert.deepEqual(await node.cni({ command: 'DEL', ...pod }), ok);
      }),
    );
    await eventually(() => assert.equal(podLinks(node).length, 4));
    assert.equal(leases(node).length, 4);
    assert.equal(node.status().attachments, 4);
  },
);
