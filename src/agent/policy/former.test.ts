import assert from 'node:assert/strict';
import { readdirSync, rmSync } from 'node:fs';
import { test } from 'node:test';
import { Ipam, type Lease } from '../../ipam/index.ts';
import { Namespaces, Pods } from '../../kube/resources.ts';
import type { NetworkPolicySpec } from '../../kube/types.ts';
import { ip } from '../../testing/judge.ts';
import { needsRoot } from '../../testing/root.ts';
import { eventually } from '../testkit/node.ts';
import { echoPort, everyWay, noWay, PolicyNode } from '../testkit/policy-node.ts';
import { Echo } from '../testkit/traffic.ts';

/** Nobody reaches them, and they reach nobody. */
const shut: NetworkPolicySpec = { podSelector: { matchLabels: { app: 'shut' } }, policyTypes: ['Ingress', 'Egress'] };

/** Deleted by force: its containers run on, and nobody has called DEL. */
const force = (it: PolicyNode, name: string, namespace = 'default'): Promise<void> =>
  it.node.api.delete(Pods, name, namespace, { gracePeriodSeconds: 0 });

/** Leases, while no agent runs. */
function inLeases<T>(it: PolicyNode, work: (ipam: Ipam) => T): T {
  using ipam = new Ipam(it.node.config.stateDir);
  return work(ipam);
}

const traits = ({ notes }: Lease): unknown => JSON.parse(notes.traits || 'null');

for (const attach of ['routed', 'bridge'] as const)
  test(
    `P4, NP15: over a restart a pod that was deleted by force stays as isolated, and as open, as its labels have it (${attach})`,
    needsRoot,
    async () => {
      await using it = await PolicyNode.start({ attach });
      const { node } = it;
      const open = await it.pod('open', { labels: { app: 'open' } });
      await it.policy('shut', shut);
      const closed = await it.pod('closed', { labels: { app: 'shut' } });
      using _open = await Echo.start(open.ns.ns, echoPort);
      using _closed = await Echo.start(closed.ns.ns, echoPort);
      using _neighbour = await Echo.start(node.peer.ns, echoPort);
      await node.settled();
      // As a StatefulSet makes it anew elsewhere.
      for (const name of ['open', 'closed']) await force(it, name);
      await it.remotePod('closed', 9, { labels: { app: 'open' } });
      await eventually(() => assert.ok(node.status().sources.some(({ kind, objects }) => kind === 'pods' && objects === 1)));
      await node.settled();
      await node.stop();
      await node.startReady();
      await eventually(() => assert.ok(node.status().policy.enforced));
      const { reconciler, problems } = node.status();
      assert.deepEqual([reconciler.operations, problems], [0, []], 'a right kernel is left alone');
      assert.equal(await it.hears(it.neighbour, closed), noWay);
      assert.equal(await it.hears(closed, it.neighbour), noWay);
      assert.equal(await it.hears(it.neighbour, open), everyWay);
      assert.equal(await it.hears(open, it.neighbour), everyWay);
      assert.equal(await it.hears(it.me, closed, { timeoutMs: 5000 }), everyWay, 'NP12');
    },
  );

test('P4: labels that change after ADD are in the lease soon, and so are those of pods that were there before the first policy', needsRoot, async () => {
  await using it = await PolicyNode.start();
  const { node } = it;
  const pod = await it.pod('a', { labels: { app: 'open' } });
  using _pod = await Echo.start(pod.ns.ns, echoPort);
  await it.policy('shut', shut);
  const shutLabel = { metadata: { labels: { app: 'shut' } } };
  await node.api.patch(Pods, 'a', 'default', shutLabel, 'merge');
  await eventually(async () => assert.equal(await it.hears(it.neighbour, pod), noWay));
  const second = await it.pod('b', { labels: { app: 'b' } });
  assert.ok(second);
  await node.stop();
  const noted = inLeases(it, (ipam) => Object.fromEntries(ipam.leases().map((lease) => [lease.notes.pod, traits(lease)])));
  assert.deepEqual(noted, {
    'default/a': { labels: { app: 'shut' }, ports: [] },
    'default/b': { labels: { app: 'b' }, ports: [] },
  });
  await force(it, 'a');
  await node.startReady();
  await eventually(() => assert.ok(node.status().policy.enforced));
  assert.equal(await it.hears(it.neighbour, pod), noWay);
  // Without policies nobody follows labels, and none are kept.
  await it.deletePolicy('shut');
  await eventually(async () => assert.equal(await it.hears(it.neighbour, pod), everyWay));
  await node.stop();
  assert.deepEqual(inLeases(it, (ipam) => ipam.leases().map(traits)), [null, null]);
});

test(
  'P4: who is not in the API and whose lease tells no labels, as those of former versions, is cut off both ways and told of, until DEL',
  needsRoot,
  async () => {
    await using it = await PolicyNode.start();
    const { node } = it;
    await it.policy('shut', shut);
    const former = await it.pod('former', { labels: { app: 'open' } });
    const known = await it.pod('known', { labels: { app: 'open' } });
    using _former = await Echo.start(former.ns.ns, echoPort);
    using _known = await Echo.start(known.ns.ns, echoPort);
    using _neighbour = await Echo.start(node.peer.ns, echoPort);
    assert.equal(await it.hears(it.neighbour, former, { timeoutMs: 5000 }), everyWay);
    await node.stop();
    inLeases(it, (ipam) => {
      for (const lease of ipam.leases()) {
        const { traits: _, ...notes } = lease.notes;
        ipam.replace(lease, lease.key, notes);
      }
    });
    await force(it, 'former');
    await node.startReady();
    await eventually(() => assert.ok(node.status().policy.enforced));
    for (const other of [it.neighbour, known]) {
      assert.equal(await it.hears(other, former), noWay);
      assert.equal(await it.hears(former, other), noWay);
    }
    assert.equal(await it.hears(it.me, former, { timeoutMs: 5000 }), everyWay, 'NP12');
    assert.equal(await it.hears(it.neighbour, known), everyWay, 'the API tells of it');
    const { problems } = node.status();
    assert.equal(problems.length, 1);
    assert.match(problems[0]!, /^pod default\/former .* cannot be told: .* it can neither send nor receive until it is deleted$/);
    assert.equal((await node.cni({ command: 'DEL', containerId: 'former', netns: former.ns.path })).code, 0);
    await node.settled();
    assert.deepEqual(node.status().problems, []);
    assert.deepEqual(
      node.ruleset().filter((line) => line.startsWith('element of policy-') && line.includes(former.addresses[0]!)),
      [],
    );
    // What cut it off is no policy that would keep the chains there.
    await it.deletePolicy('shut');
    await eventually(() =>
      assert.deepEqual(
        node.ruleset().filter((line) => line.includes('policy-')),
        [],
      ),
    );
  },
);

for (const attach of ['routed', 'bridge'] as const)
  test(
    `P4, F23: of a pod that was deleted by force and whose lease is lost, too, the link's alias tells who it was: it is cut off; a container that never was a pod is not (${attach})`,
    needsRoot,
    async () => {
      await using it = await PolicyNode.start({ attach });
      const { node } = it;
      const container = await node.addPod('container');
      await it.policy('shut', shut);
      const former = await it.pod('former', { labels: { app: 'shut' } });
      using _former = await Echo.start(former.ns.ns, echoPort);
      using _container = await Echo.start(container.ns.ns, echoPort);
      await node.settled();
      assert.deepEqual(
        ip(node.ns.path, 'link', 'show', 'type', 'veth').flatMap(({ ifalias }) => ifalias ?? []),
        ['default/former'],
      );
      await node.stop();
      for (const file of readdirSync(node.config.stateDir)) if (file.endsWith('.json')) rmSync(`${node.config.stateDir}/${file}`);
      await force(it, 'former');
      await node.startReady();
      await eventually(() => assert.ok(node.status().policy.enforced));
      assert.equal(await it.hears(it.neighbour, former), noWay);
      assert.equal(await it.hears(it.neighbour, container, { timeoutMs: 5000 }), everyWay);
      assert.match(node.status().problems.join(), /^pod default\/former .* cannot be told/);
      assert.equal((await node.cni({ command: 'DEL', containerId: 'former', netns: former.ns.path })).code, 0);
      await node.settled();
      assert.deepEqual(node.status().problems, []);
    },
  );

test('the last policy goes while a pod is cut off: it is open then, as all are', needsRoot, async () => {
  await using it = await PolicyNode.start();
  const { node } = it;
  const former = await it.pod('former');
  using _former = await Echo.start(former.ns.ns, echoPort);
  await force(it, 'former');
  await it.policy('shut', shut);
  await eventually(async () => assert.equal(await it.hears(it.neighbour, former), noWay));
  await it.deletePolicy('shut');
  await eventually(async () => assert.equal(await it.hears(it.neighbour, former), everyWay));
  assert.deepEqual(
    node.ruleset().filter((line) => line.includes('policy-')),
    [],
  );
});

test('a pod that was deleted by force is cut off when its namespace goes, with the policies that were in it', needsRoot, async () => {
  await using it = await PolicyNode.start();
  const { node } = it;
  await it.policy('shut', shut);
  const former = await it.pod('former', { namespace: 'shop' });
  using _former = await Echo.start(former.ns.ns, echoPort);
  await force(it, 'former', 'shop');
  await eventually(() => assert.ok(node.status().sources.some(({ kind, objects }) => kind === 'pods' && objects === 0)));
  assert.equal(await it.hears(it.neighbour, former, { timeoutMs: 5000 }), everyWay);
  const { metadata } = await node.api.get(Namespaces, 'shop');
  await node.api.update(Namespaces, { metadata, spec: { finalizers: [] } }, { subresource: 'finalize' });
  await node.api.delete(Namespaces, 'shop');
  await eventually(async () => assert.equal(await it.hears(it.neighbour, former), noWay));
  assert.match(node.status().problems.join(), /^pod shop\/former /);
  await node.api.create(Namespaces, { metadata: { name: 'shop' } });
  await eventually(async () => assert.equal(await it.hears(it.neighbour, former), everyWay));
});

test('NP20, NP22: a pod of this node in phase Failed is isolated as long as its sandbox has its address', needsRoot, async () => {
  await using it = await PolicyNode.start();
  const { node } = it;
  await it.policy('shut', shut);
  const pod = await it.pod('closed', { labels: { app: 'shut' } });
  using _pod = await Echo.start(pod.ns.ns, echoPort);
  using _neighbour = await Echo.start(node.peer.ns, echoPort);
  for (const phase of ['Failed', 'Succeeded']) {
    await it.tell('closed', pod.addresses, 'default', phase);
    // Heard of behind it.
    await it.schedule(`after-${phase.toLowerCase()}`, {}, 'peer');
    const all = phase === 'Failed' ? 2 : 3;
    await eventually(() => assert.ok(node.status().sources.some(({ kind, objects }) => kind === 'pods' && objects === all)));
    await node.settled();
    assert.equal(await it.hears(it.neighbour, pod), noWay);
    assert.equal(await it.hears(pod, it.neighbour), noWay);
  }
  await node.stop();
  await node.startReady();
  assert.equal(await it.hears(it.neighbour, pod), noWay);
});
