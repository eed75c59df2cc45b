import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NetNs } from '../kernel/netns.ts';
import { Nodes } from '../kube/resources.ts';
import { run } from '../testing/judge.ts';
import { changes } from '../testing/machine.ts';
import { needsRoot } from '../testing/root.ts';
import { NodeAgent } from './agent.ts';
import { parseSettings } from './settings.ts';
import { leases, nothingIsLeft, ok, podLinks } from './testkit/cni-spec.ts';
import { eventually, TestNode } from './testkit/node.ts';
import { Standstill } from './testkit/standstill.ts';
import { Witness } from './testkit/witness.ts';

/** An agent that ends anywhere, that was away, or that is not the only one: F2, F4 to F6. More: attach/kill-storm.test.ts, policy/kill.test.ts. */

/** Kills the agent before each step of `work`, one after the other, until it comes to its end. @returns how many there are */
async function killedAtEach(node: TestNode, work: () => Promise<unknown>, then: (what: string) => Promise<void>): Promise<number> {
  for (let steps = 0; ; steps++) {
    let wanted: number;
    {
      using still = new Standstill(steps);
      await work().catch(() => {});
      wanted = still.steps;
      // What it would still do when it is closed it cannot do.
      if (wanted > steps) {
        still.isClosing = true;
        await node.stop();
      }
    }
    if (wanted <= steps) return steps;
    await node.startReady();
    await then(`killed before step ${steps + 1}`);
    assert.ok(steps < 60, 'it comes to an end');
  }
}

test('F5, P3: an agent killed between any two steps of ADD leaves nothing that DEL does not take, and the next ADD works', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  const { path } = node.world.namespace('a');
  const pod = { containerId: 'a', netns: path };
  const clean = node.kernel();
  const steps = await killedAtEach(
    node,
    () => node.cniAtOnce({ command: 'ADD', ...pod }),
    async (what) => {
      assert.deepEqual(await node.cniAtOnce({ command: 'DEL', ...pod }), ok, what);
      assert.deepEqual(leases(node), [], what);
      const again = await node.cniAtOnce({ command: 'ADD', ...pod, containerId: 'b' });
      assert.equal(again.code, 0, `${what}: ${JSON.stringify(again.json)}`);
      assert.deepEqual(await node.cniAtOnce({ command: 'DEL', ...pod, containerId: 'b' }), ok, what);
    },
  );
  run(path, 'ping', '-c1', '-W5', '192.0.2.1');
  assert.deepEqual(await node.cniAtOnce({ command: 'DEL', ...pod }), ok);
  await nothingIsLeft(node);
  await eventually(() => assert.deepEqual(changes({ kernel: clean }, { kernel: node.kernel() }), [], 'of all of them'));
  assert.ok(steps >= 4, `only ${steps} steps were seen`);
});

test('F6, P3: an agent killed between any two steps of DEL leaves nothing behind the next DEL, and nobody else is touched', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  const { addresses } = await node.addPod('stays');
  const { path } = node.world.namespace('a');
  const pod = { containerId: 'a', netns: path };
  const add = async (): Promise<void> => assert.equal((await node.cniAtOnce({ command: 'ADD', ...pod })).code, 0);
  await add();
  const steps = await killedAtEach(
    node,
    () => node.cniAtOnce({ command: 'DEL', ...pod }),
    async (what) => {
      assert.deepEqual(await node.cniAtOnce({ command: 'DEL', ...pod }), ok, what);
      await eventually(() => assert.equal(podLinks(node).length, 1, what));
      assert.equal(leases(node).length, 1, what);
      for (const address of addresses) run(node.ns.path, 'ping', '-c1', '-W5', address);
      await add();
    },
  );
  assert.ok(steps >= 3, `only ${steps} steps were seen`);
});

test('F6, P3: an agent killed between any two writes of a change of Services and nodes ends in the same kernel state', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  let ends = 0;
  const change = async (): Promise<void> => {
    ends++;
    const end = 10 + (ends % 2);
    await node.setEndpoints(['10.1.0.2', `10.1.1.${end}`], ['fd01::2', `fd01:0:0:1::${end}`]);
    await node.api.delete(Nodes, 'third').catch(() => {});
    if (ends % 2 === 1) await node.setNode('third', ['192.0.2.3', '2001:db8::3'], ['10.1.3.0/24', 'fd01:0:0:3::/64']);
    const { syncs } = node.status().reconciler;
    await eventually(() => assert.ok(node.status().reconciler.syncs > syncs && node.status().reconciler.pending === 0), 1000);
  };
  const steps = await killedAtEach(node, change, async (what) => {
    const after = node.kernel();
    await node.stop();
    run(node.ns.path, 'nft', 'flush', 'ruleset');
    await node.startReady();
    // Numbers of slots and endpoints are each life's own.
    const told = (lines: readonly string[]): string[] => lines.filter((line) => !/element of (slots|endpoints|service-ips)/.test(line));
    assert.deepEqual(changes({ kernel: told(after) }, { kernel: told(node.kernel()) }), [], what);
  });
  assert.ok(steps >= 2, `only ${steps} steps were seen`);
});

test('F2: what an agent that was away was not told of goes with GC: a hundred pods, their addresses, links and rules', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  const clean = node.kernel();
  const names = Array.from({ length: 100 }, (_, i) => `p${i}`);
  const namespaces = names.map((name) => NetNs.create(`${node.world.directory}/${name}`));
  try {
    for (const [i, containerId] of names.entries()) {
      const { code, json } = await node.cniAtOnce({ command: 'ADD', containerId, netns: namespaces[i]!.name });
      assert.equal(code, 0, JSON.stringify(json));
    }
    await node.stop();
    const unheard = await node.cni({ command: 'DEL', containerId: 'p0', netns: namespaces[0]!.name });
    assert.deepEqual([unheard.code, unheard.json.code], [1, 11], 'to be tried again');
  } finally {
    for (const ns of namespaces) {
      ns[Symbol.dispose]();
      NetNs.remove(ns.name);
    }
  }
  await node.startReady();
  assert.equal(leases(node).length, 100, 'until somebody says that they are gone');
  const gc = { command: 'GC', config: { 'cni.dev/valid-attachments': [] } };
  assert.deepEqual(await node.cni(gc), ok);
  await nothingIsLeft(node);
  await eventually(() => assert.deepEqual(changes({ kernel: clean }, { kernel: node.kernel() }), []));
  assert.deepEqual(
    node.status().leases.map(({ used }) => used),
    [0, 0],
  );
});

test('F4: a second agent on a node is refused, writes nothing, and takes nothing from the first', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  await node.addPod('a');
  await node.settled();
  using witness = new Witness(node.ns.path);
  await witness.quiet();
  const before = leases(node);
  const settings = parseSettings(JSON.parse(JSON.stringify(node.config)));
  for (let i = 0; i < 2; i++)
    assert.throws(
      () => new NodeAgent(settings, { ns: node.ns.ns, api: node.api, log: () => {} }),
      /another|already|locked/,
    );
  // With other leases, but the same socket.
  const elsewhere = new NodeAgent({ ...settings, stateDir: `${node.world.directory}/elsewhere` }, { ns: node.ns.ns, api: node.api, log: () => {} });
  await assert.rejects(elsewhere.start(), /another|in use|answers/);
  await elsewhere.close();
  assert.deepEqual([...witness.seen], []);
  assert.deepEqual(leases(node), before);
  assert.deepEqual(await node.cni({ command: 'STATUS' }), ok);
  await node.addPod('b');
});
