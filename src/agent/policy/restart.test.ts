import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Api, ApiError, type KubeObject } from '../../kube/api.ts';
import { Pods as PodResource } from '../../kube/resources.ts';
import type { NetworkPolicySpec } from '../../kube/types.ts';
import { clusterPolicyResources } from '../../policy/resources.ts';
import { layoutVersion } from '../../services/names.ts';
import { run } from '../../testing/judge.ts';
import { needsRoot } from '../../testing/root.ts';
import { eventually } from '../testkit/node.ts';
import { echoPort, everyWay, noWay, PolicyNode, type TestPod } from '../testkit/policy-node.ts';
import { PolicyProber } from '../testkit/policy-prober.ts';
import { switchable } from '../testkit/switch.ts';
import { Echo, Traffic } from '../testkit/traffic.ts';
import { tablesTakenOver, Witness } from '../testkit/witness.ts';

/** Clients by label, others by CIDR: a set of intervals is part of it. */
const servers = (cidrs: readonly string[] = ['192.0.2.0/24', '2001:db8::/64']): NetworkPolicySpec => ({
  podSelector: { matchLabels: { app: 'server' } },
  policyTypes: ['Ingress'],
  ingress: [
    {
      from: [{ podSelector: { matchLabels: { app: 'client' } } }],
      ports: [
        { protocol: 'TCP', port: 7000, endPort: 7100 },
        { protocol: 'UDP', port: echoPort },
      ],
    },
    { from: cidrs.map((cidr) => ({ ipBlock: { cidr } })) },
  ],
});

/** A server that a client and a neighbour are allowed to ask, and a pod that nobody is. */
const probe = (it: PolicyNode, { server, client, shut, stranger }: Pods): Promise<PolicyProber> => {
  const side = ({ ns, addresses }: TestPod) => ({ ns: ns.ns, addresses });
  return PolicyProber.start({
    allowed: [
      { name: 'client', from: client.ns.ns, to: side(server) },
      { name: 'neighbour', from: it.node.peer.ns, to: side(server) },
    ],
    forbidden: [stranger.ns, client.ns, it.node.peer].map(({ ns }) => ({ from: ns, to: side(shut) })),
  });
};

type Pods = Record<'server' | 'client' | 'shut' | 'stranger', TestPod>;

async function worldOf(it: PolicyNode): Promise<Pods> {
  await it.policy('servers', servers());
  await it.policy('nobody', { podSelector: { matchLabels: { app: 'shut' } }, policyTypes: ['Ingress'] });
  return {
    server: await it.pod('server', { labels: { app: 'server' } }),
    client: await it.pod('client', { labels: { app: 'client' } }),
    shut: await it.pod('shut', { labels: { app: 'shut' } }),
    stranger: await it.pod('stranger'),
  };
}

for (const attach of ['routed', 'bridge'] as const)
  test(
    `P1, P4, NP14: over restarts allowed flows live on, denied ones stay denied, and a right kernel is written nothing but the epoch (${attach})`,
    needsRoot,
    async () => {
      await using it = await PolicyNode.start({ attach });
      const { node } = it;
      const pods = await worldOf(it);
      await node.settled();
      using prober = await probe(it, pods);
      const epochs: (number | undefined)[] = [];
      for (let i = 0; i < 3; i++) {
        await sleep(200);
        const right = node.ruleset().filter((line) => !/"policy-(known|settle)"/.test(line));
        await node.stop();
        using witness = new Witness(node.ns.path);
        await witness.quiet();
        await node.startReady();
        await eventually(() => assert.ok(node.status().policy.enforced));
        const { reconciler, policy } = node.status();
        epochs.push(policy.epoch);
        assert.equal(reconciler.operations, 0);
        await sleep(100);
        const written = witness.seen.slice(tablesTakenOver(attach).length).sort();
        // Two chains, each with one rule, in one transaction.
        assert.deepEqual(written, [
          'nftables: deleted rule',
          'nftables: deleted rule',
          'nftables: new generation',
          'nftables: new rule',
          'nftables: new rule',
        ]);
        assert.deepEqual(
          node.ruleset().filter((line) => !/"policy-(known|settle)"/.test(line)),
          right,
        );
      }
      assert.deepEqual(epochs, [epochs[0], epochs[0]! + 1, epochs[0]! + 2]);
      assert.deepEqual(await prober.end(), { lost: [], through: 0 });
    },
  );

test('P2, P4: an agent that starts while the API is down neither opens nor closes anything', needsRoot, async () => {
  await using it = await PolicyNode.make();
  const { node } = it;
  const { api, setUp } = switchable(node.api);
  await node.startReady(api);
  const pods = await worldOf(it);
  await node.settled();
  using prober = await probe(it, pods);
  await node.stop();
  setUp(false);
  await node.start(api);
  await sleep(500);
  assert.equal(node.status().reconciler.syncs, 0);
  setUp(true);
  await node.settled();
  // What it knows is enough for pods that it has heard of; no other is let out without its isolation.
  await it.schedule('late', { labels: { app: 'shut' } });
  await eventually(() => assert.ok(node.status().sources.some(({ kind, objects }) => kind === 'pods' && objects === 5)));
  setUp(false);
  const late = await it.attach('late');
  using heard = await Echo.start(late.ns.ns, echoPort);
  assert.equal(await it.hears(pods.stranger, late), noWay);
  assert.equal(await it.hears(it.me, late, { timeoutMs: 5000 }), everyWay);
  assert.ok(heard.heard > 0);
  assert.match(
    String(await it.attach('later').catch((error: Error) => error.message)),
    /which of them isolate the pod cannot be told: the API does not tell of the Pod default\/later: connect ECONNREFUSED/,
  );
  assert.deepEqual(await prober.end(), { lost: [], through: 0 });
});

test('P4: a table of another layout is replaced without a moment in which more or less is allowed', needsRoot, async () => {
  // The tunnel's sets, too: nft that has read its own text has keys of type integer and of any size there.
  await using it = await PolicyNode.start({ backend: 'vxlan' });
  const { node } = it;
  const pods = await worldOf(it);
  await node.settled();
  using prober = await probe(it, pods);
  await node.stop();
  const { path } = node.ns;
  const text = run(path, 'nft', 'list', 'table', 'inet', 'podnet')
    .replace(/^\tflags .*$/m, '')
    .replace(layoutVersion, 'podnet layout 0');
  run(path, 'sh', '-c', `nft -f - <<'E'\ndelete table inet podnet\n${text}\nE`);
  await sleep(200);
  await node.startReady();
  await eventually(() => assert.ok(node.status().policy.enforced));
  assert.match(run(path, 'nft', 'list', 'table', 'inet', 'podnet'), new RegExp(`comment "${layoutVersion}"`));
  assert.deepEqual(await prober.end(), { lost: [], through: 0 });
});

test(
  'NP14: what changed while no agent ran holds after its start: what was opened works, what was closed is cut, though it is established',
  needsRoot,
  async () => {
    await using it = await PolicyNode.start();
    const { node } = it;
    const pods = await worldOf(it);
    const { server, client, shut, stranger } = pods;
    using _server = await Echo.start(server.ns.ns, echoPort);
    using _shut = await Echo.start(shut.ns.ns, echoPort);
    await node.settled();
    using before = new Traffic(client.ns.ns);
    await before.tcpFlow('client', server.addresses[0]!, echoPort);
    await before.udpFlow('client', server.addresses[1]!, echoPort);
    assert.equal(await it.hears(stranger, shut), noWay);
    await node.stop();
    await it.policy('servers', servers(['203.0.113.0/24', '2001:db8:9::/64']));
    await node.api.patch(PodResource, 'client', 'default', { metadata: { labels: { app: 'former' } } }, 'merge');
    await it.deletePolicy('nobody');
    assert.equal(await it.hears(client, server), everyWay, 'nobody judges anew');
    await node.startReady();
    await eventually(async () => assert.equal(await it.hears(stranger, shut), everyWay));
    await eventually(async () => assert.equal(await it.hears(client, server), noWay));
    const [tcp, udp] = before.flows;
    await eventually(() => assert.ok(tcp!.faults.length > 0, 'reset'));
    const answered = udp!.answered;
    await sleep(200);
    assert.equal(udp!.answered, answered);
    await eventually(async () => assert.equal(await it.hears(it.neighbour, server), noWay));
  },
);

test('the last policy goes while no agent runs: nothing of policies is left, and all is open', needsRoot, async () => {
  await using it = await PolicyNode.start();
  const { node } = it;
  const { shut, stranger } = await worldOf(it);
  using _shut = await Echo.start(shut.ns.ns, echoPort);
  await node.settled();
  assert.equal(await it.hears(stranger, shut), noWay);
  await node.stop();
  await it.deletePolicy('nobody');
  await it.deletePolicy('servers');
  assert.equal(await it.hears(stranger, shut), noWay);
  await node.startReady();
  await eventually(() =>
    assert.deepEqual(
      node.ruleset().filter((line) => line.includes('policy-')),
      [],
    ),
  );
  assert.equal(await it.hears(stranger, shut, { timeoutMs: 5000 }), everyWay);
});

test('F13, P2: a start that does not find cluster-wide policies any more, as from an API that has begun anew itself, opens nothing until it is told so again', needsRoot, async () => {
  await using it = await PolicyNode.start();
  const { node } = it;
  using _echo = await Echo.start(node.peer.ns, echoPort);
  const everywhere = [{ networks: ['0.0.0.0/0', '::/0'] }];
  await node.api.create(clusterPolicyResources[0]!, {
    metadata: { name: 'guard' },
    spec: { tier: 'Admin', priority: 1, subject: { namespaces: {} }, egress: [{ action: 'Deny', to: everywhere }] },
  } as KubeObject);
  await it.policy('other', { podSelector: { matchLabels: { app: 'nobody' } } });
  const pod = await it.pod('a');
  assert.equal(await it.hears(pod, it.neighbour), noWay);
  await node.settled();
  await node.stop();
  let isLost = true;
  const absent = new ApiError(404, 'NotFound', 'the server could not find the requested resource');
  const shown = Object.create(node.api, {
    watch: {
      value: (...[resource, onEvent, options]: Parameters<Api['watch']>) => {
        if (!isLost || resource !== clusterPolicyResources[0]) return node.api.watch(resource, onEvent, options);
        const soon = setImmediate(() => options.onEnd(absent));
        return { close: () => clearImmediate(soon) };
      },
    },
  }) as Api;
  await node.start(shown);
  await eventually(() => assert.ok(node.log.some((line) => line.startsWith('clusternetworkpolicies: the API server tells of none'))));
  assert.equal(await it.hears(pod, it.neighbour), noWay);
  isLost = false;
  await node.settled();
  assert.equal(await it.hears(pod, it.neighbour), noWay);
  assert.equal(node.status().policy.policies.ClusterNetworkPolicy, 1);
});
