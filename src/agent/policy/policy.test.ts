import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Api } from '../../kube/api.ts';
import { Namespaces, Pods } from '../../kube/resources.ts';
import type { NetworkPolicySpec } from '../../kube/types.ts';
import { run } from '../../testing/judge.ts';
import { needsRoot } from '../../testing/root.ts';
import { eventually } from '../testkit/node.ts';
import { echoPort, everyWay, identity, noWay, PolicyNode } from '../testkit/policy-node.ts';
import { Echo } from '../testkit/traffic.ts';

const denyAll: NetworkPolicySpec = { podSelector: {}, policyTypes: ['Ingress', 'Egress'] };
/** Of the namespace's pods with `app: client`. */
const fromClients: NetworkPolicySpec = {
  podSelector: { matchLabels: { app: 'server' } },
  policyTypes: ['Ingress'],
  ingress: [{ from: [{ podSelector: { matchLabels: { app: 'client' } } }] }],
};

for (const attach of ['routed', 'bridge'] as const)
  test(
    `NP15, NP12: a pod is isolated when ADD answers, in both directions and families; its node and it reach each other (${attach})`,
    needsRoot,
    async () => {
      await using it = await PolicyNode.start({ attach });
      const { node } = it;
      using _neighbours = await Echo.start(node.peer.ns, echoPort);
      using _nodes = await Echo.start(node.ns.ns, echoPort);
      await it.policy('deny', denyAll, 'shop');
      const open = await it.pod('open');
      await it.schedule('shut', { namespace: 'shop' });
      const shut = await it.attach('shut', { namespace: 'shop' });
      using _opens = await Echo.start(open.ns.ns, echoPort);
      using _shuts = await Echo.start(shut.ns.ns, echoPort);
      const reach: Record<string, string> = {};
      for (const [name, from, to] of [
        ['shut to neighbour', shut, it.neighbour],
        ['neighbour to shut', it.neighbour, shut],
        ['shut to pod', shut, open],
        ['pod to shut', open, shut],
        ['pod to neighbour', open, it.neighbour],
        ['neighbour to pod', it.neighbour, open],
        ['shut to its node', shut, it.me],
        ['its node to shut', it.me, shut],
        ['shut to itself', shut, shut],
      ] as const)
        reach[name] = await it.hears(from, to, { timeoutMs: 1000 });
      const [none, all] = [noWay, everyWay];
      assert.deepEqual(reach, {
        ...{ 'shut to neighbour': none, 'neighbour to shut': none, 'shut to pod': none, 'pod to shut': none },
        ...{
          'pod to neighbour': all,
          'neighbour to pod': all,
          'shut to its node': all,
          'its node to shut': all,
          'shut to itself': all,
        },
      });
    },
  );

test(
  'NP5, NP15: a client that a policy admits reaches the server with its first packet after ADD, from here and elsewhere',
  needsRoot,
  async () => {
    await using it = await PolicyNode.start();
    await it.policy('clients', fromClients);
    const server = await it.pod('server', { labels: { app: 'server' } });
    using _server = await Echo.start(server.ns.ns, echoPort);
    const client = await it.pod('client', { labels: { app: 'client' } });
    assert.equal(await it.hears(client, server, { timeoutMs: 5000 }), everyWay);
    const other = await it.pod('other');
    assert.equal(await it.hears(other, server), noWay);
    const remote = await it.remotePod('remote', 5, { labels: { app: 'client' } });
    const stranger = await it.remotePod('stranger', 6, { labels: { app: 'other' } });
    await eventually(async () => assert.equal(await it.hears(remote, server), everyWay));
    assert.equal(await it.hears(stranger, server), noWay);
  },
);

test(
  'NP14, NP20: labels of pods and namespaces that change are followed, and established connections with them',
  needsRoot,
  async () => {
    await using it = await PolicyNode.start();
    const { node } = it;
    await it.policy('friends', {
      podSelector: {},
      ingress: [
        { from: [{ namespaceSelector: { matchLabels: { team: 'shop' } }, podSelector: { matchLabels: { app: 'client' } } }] },
      ],
    });
    const server = await it.pod('server');
    using echo = await Echo.start(server.ns.ns, echoPort);
    const client = await it.pod('client', { namespace: 'shop', labels: { app: 'other' } });
    assert.equal(await it.hears(client, server), noWay);
    const relabel = (app: string) => node.api.patch(Pods, 'client', 'shop', { metadata: { labels: { app } } }, 'merge');
    const team = (name: string) =>
      node.api.patch(Namespaces, 'shop', undefined, { metadata: { labels: { team: name } } }, 'merge');
    await relabel('client');
    await eventually(async () => assert.equal(await it.hears(client, server), everyWay));
    await relabel('other');
    await eventually(async () => assert.equal(await it.hears(client, server), noWay));
    await relabel('client');
    await eventually(async () => assert.equal(await it.hears(client, server), everyWay));
    await team('another');
    await eventually(async () => assert.equal(await it.hears(client, server), noWay));
    await team('shop');
    await eventually(async () => assert.equal(await it.hears(client, server), everyWay));
    assert.ok(echo.heard > 0);
  },
);

test(
  'NP20, F54: what an address was allowed goes with DEL; whoever has it next is judged by its own labels',
  needsRoot,
  async () => {
    await using it = await PolicyNode.start();
    const { node } = it;
    await it.policy('clients', fromClients);
    const server = await it.pod('server', { labels: { app: 'server' } });
    using _server = await Echo.start(server.ns.ns, echoPort);
    const client = await it.pod('client', { labels: { app: 'client' } });
    assert.equal(await it.hears(client, server, { timeoutMs: 5000 }), everyWay);
    const elements = (): string[] =>
      node
        .ruleset()
        .filter(
          (line) => line.startsWith('element of policy-') && client.addresses.some((address) => line.includes(`"${address}"`)),
        );
    assert.equal(elements().length, 4, 'its identity and that it is here, in each family');
    // As kubelet has it: the sandbox goes first, and the Pod lists its addresses for a while.
    const { code } = await node.cni({ command: 'DEL', containerId: 'client', netns: client.ns.path });
    assert.deepEqual([code, elements()], [0, []]);
    await it.tell('client', client.addresses);
    const next = await it.pod('next', { ips: client.addresses });
    assert.deepEqual(next.addresses, client.addresses);
    assert.equal(await it.hears(next, server), noWay);
    await node.api.delete(Pods, 'client', 'default', { gracePeriodSeconds: 0 });
    const again = await it.pod('again', { labels: { app: 'client' } });
    assert.equal(await it.hears(again, server, { timeoutMs: 5000 }), everyWay);
  },
);

test('NP20: of two pods that say they have one address it is the newer one, until it has ended', needsRoot, async () => {
  await using it = await PolicyNode.start();
  await it.policy('clients', fromClients);
  const server = await it.pod('server', { labels: { app: 'server' } });
  using _server = await Echo.start(server.ns.ns, echoPort);
  const older = await it.remotePod('a-former-one', 7, { labels: { app: 'client' } });
  await eventually(async () => assert.equal(await it.hears(older, server), everyWay));
  it.node.api.now = () => Date.now() + 5000;
  await it.schedule('its-successor', { labels: { app: 'other' } }, 'peer');
  await it.tell('its-successor', older.addresses);
  await eventually(async () => assert.equal(await it.hears(older, server), noWay));
  await it.tell('its-successor', older.addresses, 'default', 'Failed');
  await eventually(async () => assert.equal(await it.hears(older, server), everyWay));
});

test('NP15: a pod that was deleted by force is isolated as long as it has its network', needsRoot, async () => {
  await using it = await PolicyNode.start();
  const { node } = it;
  await it.policy('shut', { podSelector: { matchLabels: { app: 'shut' } }, policyTypes: ['Ingress'] });
  const shut = await it.pod('shut', { labels: { app: 'shut' } });
  using _shut = await Echo.start(shut.ns.ns, echoPort);
  assert.equal(await it.hears(it.neighbour, shut), noWay);
  await node.api.delete(Pods, 'shut', 'default', { gracePeriodSeconds: 0 });
  await eventually(() => assert.ok(node.status().sources.some(({ kind, objects }) => kind === 'pods' && objects === 0)));
  await node.settled();
  assert.equal(await it.hears(it.neighbour, shut), noWay);
  // As a StatefulSet makes it anew elsewhere.
  await it.remotePod('shut', 9, { labels: { app: 'open' } });
  await eventually(() => assert.ok(node.status().sources.some(({ kind, objects }) => kind === 'pods' && objects === 1)));
  await node.settled();
  assert.equal(await it.hears(it.neighbour, shut), noWay);
  assert.equal((await node.cni({ command: 'DEL', containerId: 'shut', netns: shut.ns.path })).code, 0);
  assert.deepEqual(
    node.ruleset().filter((line) => line.startsWith('element of policy-') && line.includes(shut.addresses[0]!)),
    [],
  );
});

test('NP22: a pod that has ended is nobody, whatever its Pod says of addresses', needsRoot, async () => {
  await using it = await PolicyNode.start();
  await it.policy('clients', fromClients);
  const server = await it.pod('server', { labels: { app: 'server' } });
  using _server = await Echo.start(server.ns.ns, echoPort);
  const job = await it.remotePod('job', 7, { labels: { app: 'client' } });
  await eventually(async () => assert.equal(await it.hears(job, server), everyWay));
  await it.tell('job', job.addresses, 'default', 'Succeeded');
  await eventually(async () => assert.equal(await it.hears(job, server), noWay));
});

test(
  'without policies there are no chains of them, and the agent asks for no pods; both come with the first and go with the last',
  needsRoot,
  async () => {
    await using it = await PolicyNode.start();
    const { node } = it;
    const ofPolicies = (): number => node.ruleset().filter((line) => line.includes('policy-')).length;
    const pod = await it.pod('a');
    using _pod = await Echo.start(pod.ns.ns, echoPort);
    const kinds = (): string[] => node.status().sources.map(({ kind }) => kind);
    assert.deepEqual([ofPolicies(), kinds().includes('pods'), node.status().policy.policies], [0, false, {}]);
    await it.policy('deny', denyAll);
    await eventually(async () => assert.equal(await it.hears(it.neighbour, pod), noWay));
    const { policy } = await node.settled();
    assert.deepEqual([policy.policies, policy.enforced, policy.problems], [{ NetworkPolicy: 1 }, true, []]);
  assert.deepEqual([policy.pods, policy.identities, typeof policy.epoch], [1, 1, 'number']);
    assert.ok(ofPolicies() > 20 && kinds().includes('pods'));
    await it.deletePolicy('deny');
    await eventually(() => assert.equal(ofPolicies(), 0));
    assert.equal(await it.hears(it.neighbour, pod, { timeoutMs: 5000 }), everyWay);
  },
);

test(
  'NP15: a pod that the API does not tell of is not attached while there are policies, and the error says why and what to do',
  needsRoot,
  async () => {
    await using it = await PolicyNode.start();
    const { node } = it;
    const ns = node.world.namespace('a');
    const add = { command: 'ADD', containerId: 'a', netns: ns.path, ...identity('default', 'a') };
    assert.equal((await node.cni(add)).code, 0, 'without policies nobody asks');
    assert.equal((await node.cni({ ...add, command: 'DEL' })).code, 0);
    await it.policy('deny', denyAll);
    await eventually(() => assert.equal(node.status().policy.enforced, true));
    const { code, json } = await node.cni(add);
    assert.deepEqual([code, json.code], [1, 11]);
    assert.match(
      String(json.msg),
      /there are network policies, and which of them isolate the pod cannot be told: there is no Pod default\/a in the API/,
    );
    assert.match(String(json.details), /not let out without its isolation/);
    assert.deepEqual([node.status().attachments, node.status().leases.map(({ used }) => used)], [0, [0, 0]]);
    await it.schedule('a');
    assert.equal((await node.cni(add)).code, 0);
    // Who is no pod is nobody's subject.
    const container = node.world.namespace('container');
    assert.equal((await node.cni({ command: 'ADD', containerId: 'container', netns: container.path })).code, 0);
    run(container.path, 'ping', '-c1', '-W5', '192.0.2.2');
  },
);

test('NP19: parts of policies that are not understood are told of, with what it means', needsRoot, async () => {
  await using it = await PolicyNode.start();
  const ingress = [{ from: [{ ipBlock: { cidr: '10.0.0.0/40' } }] }];
  await it.policy('odd', { podSelector: {}, ingress });
  await eventually(() => assert.equal(it.node.status().policy.problems.length, 1));
  assert.match(it.node.status().policy.problems[0]!, /^NetworkPolicy default\/odd, spec\.ingress\[0\].*10\.0\.0\.0\/40/);
  assert.ok(it.node.log.some((line) => line.startsWith('policies: NetworkPolicy default/odd, spec.ingress[0]')));
});

test('NP15: labels that change while ADD waits for the namespace are those that the pod is isolated by', needsRoot, async () => {
  await using it = await PolicyNode.make();
  const { node } = it;
  let waiting: (() => void)[] | undefined = [];
  const late = Object.create(node.api, {
    watch: {
      value: (...[resource, onEvent, options]: Parameters<Api['watch']>) => {
        const heard: typeof onEvent = (event) => {
          if (waiting && resource === Namespaces && event.object.metadata.name === 'late') waiting.push(() => onEvent(event));
          else onEvent(event);
        };
        return node.api.watch(resource, heard, options);
      },
    },
  }) as Api;
  await node.startReady(late);
  using _echo = await Echo.start(node.peer.ns, echoPort);
  await it.policy('shut', { podSelector: { matchLabels: { app: 'shut' } }, policyTypes: ['Ingress', 'Egress'] }, 'late');
  await eventually(() => assert.ok(node.status().policy.enforced));
  await node.api.create(Namespaces, { metadata: { name: 'late' } });
  await it.schedule('a', { namespace: 'late', labels: { app: 'open' } });
  const adding = it.attach('a', { namespace: 'late' });
  // It is in the API's answer to ADD, or heard of by then.
  await sleep(300);
  await node.api.patch(Pods, 'a', 'late', { metadata: { labels: { app: 'shut' } } }, 'merge');
  await sleep(100);
  for (const go of waiting) go();
  waiting = undefined;
  assert.equal(await it.hears(await adding, it.neighbour), noWay);
});
