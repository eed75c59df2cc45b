import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NetworkPolicySpec } from '../../kube/types.ts';
import { needsRoot } from '../../testing/root.ts';
import { eventually } from '../testkit/node.ts';
import { echoPort, everyWay, identity, noWay, PolicyNode, type TestPod } from '../testkit/policy-node.ts';
import { Echo, Traffic } from '../testkit/traffic.ts';

const hostPort = 8080;
const ports = (port: number) => ['TCP', 'UDP'].map((protocol) => ({ protocol, port }));

/** What `app: web` takes. */
const ingress = (...rules: NonNullable<NetworkPolicySpec['ingress']>): NetworkPolicySpec => ({
  podSelector: { matchLabels: { app: 'web' } },
  policyTypes: ['Ingress'],
  ingress: rules,
});
const friends = [{ podSelector: { matchLabels: { app: 'friend' } } }];
const neighbours = ['192.0.2.2/32', '2001:db8::2/128'].map((cidr) => ({ ipBlock: { cidr } }));

async function webPod(it: PolicyNode): Promise<TestPod> {
  await it.schedule('web', { labels: { app: 'web' } });
  const portMappings = ['tcp', 'udp'].map((protocol) => ({ hostPort, containerPort: echoPort, protocol }));
  const { ns, addresses } = await it.node.addPod('web', { ...identity('default', 'web'), config: { runtimeConfig: { portMappings } } });
  await it.tell('web', addresses);
  return { ns, addresses, namespace: 'default', name: 'web' };
}

for (const attach of ['routed', 'bridge'] as const)
  test(
    `CRI10, NP17 (${attach}): who comes by a host port is judged by their own address and by the pod's port, from outside, from pods and from the node, over a restart too`,
    needsRoot,
    async () => {
      await using it = await PolicyNode.start({ attach });
      const { node } = it;
      const web = await webPod(it);
      using _web = await Echo.start(web.ns.ns, echoPort);
      const friend = await it.pod('friend', { labels: { app: 'friend' } });
      const stranger = await it.pod('stranger');
      const remote = await it.remotePod('remote', 5, { labels: { app: 'friend' } });
      const clients = { neighbour: it.neighbour, remote, friend, stranger, node: it.me, itself: web };
      const reach = async (): Promise<Record<string, string>> =>
        Object.fromEntries(
          await Promise.all(
            Object.entries(clients).map(async ([name, client]) => [name, await it.hears(client, it.me, { port: hostPort })] as const),
          ),
        );
      const all = { neighbour: everyWay, remote: everyWay, friend: everyWay, stranger: everyWay, node: everyWay, itself: everyWay };
      const none = { ...all, neighbour: noWay, remote: noWay, friend: noWay, stranger: noWay };
      const becomes = (expected: Record<string, string>, why: string): Promise<void> =>
        eventually(async () => assert.deepEqual(await reach(), expected, why));
      await becomes(all, 'no policy');
      await it.policy('web', ingress());
      await becomes(none, 'NP12, NP11: only its node, and the pod itself');
      await it.policy('web', ingress({ from: friends, ports: ports(echoPort) }));
      await becomes({ ...none, friend: everyWay, remote: everyWay }, 'friends');
      await it.policy('web', ingress({ from: neighbours, ports: ports(echoPort) }));
      await becomes({ ...none, neighbour: everyWay }, 'ipBlock: the client as it is, not the node');
      await node.stop();
      assert.deepEqual(await reach(), { ...none, neighbour: everyWay }, 'while no agent runs');
      await node.startReady();
      assert.equal(node.status().reconciler.operations, 0, 'all of it was right');
      assert.deepEqual(await reach(), { ...none, neighbour: everyWay }, 'after a restart');
      await it.policy('web', ingress({ ports: ports(hostPort) }));
      await becomes(none, 'the port of the node means nothing to policies');
      await it.deletePolicy('web');
      await becomes(all, 'no policy any more');
    },
  );

test('NP14, CRI10: a connection by a host port is cut at once by a policy that denies it, TCP with a reset, and another one goes on', needsRoot, async () => {
  await using it = await PolicyNode.start();
  const web = await webPod(it);
  using _web = await Echo.start(web.ns.ns, echoPort);
  const friend = await it.pod('friend', { labels: { app: 'friend' } });
  await it.policy('web', ingress({ from: [...friends, ...neighbours] }));
  await eventually(async () => assert.equal(await it.hears(it.neighbour, it.me, { port: hostPort }), everyWay));
  using outside = new Traffic(it.neighbour.ns.ns);
  using inside = new Traffic(friend.ns.ns);
  for (const address of it.me.addresses) {
    await outside.tcpFlow(`neighbour to ${address}`, address, hostPort);
    await inside.tcpFlow(`friend to ${address}`, address, hostPort);
  }
  await it.policy('web', ingress({ from: friends }));
  await eventually(() => assert.ok(outside.flows.every(({ faults }) => faults.length > 0), 'reset'));
  assert.equal(await it.hears(it.neighbour, it.me, { port: hostPort }), noWay);
  const answered = inside.flows.map((flow) => flow.answered);
  await eventually(() => assert.ok(inside.flows.every((flow, i) => flow.answered > answered[i]! + 2), 'it lives on'));
  assert.deepEqual(inside.flows.flatMap(({ faults }) => faults), []);
});

test("NP17, CRI10: a pod's egress to a host port is judged as to the pod behind it, not as to the node", needsRoot, async () => {
  await using it = await PolicyNode.start();
  const web = await webPod(it);
  using _web = await Echo.start(web.ns.ns, echoPort);
  const client = await it.pod('client', { labels: { app: 'client' } });
  const egress = (app: string): NetworkPolicySpec => ({
    podSelector: { matchLabels: { app: 'client' } },
    policyTypes: ['Egress'],
    egress: [{ to: [{ podSelector: { matchLabels: { app } } }], ports: ports(echoPort) }],
  });
  await it.policy('client', egress('web'));
  await eventually(async () => assert.equal(await it.hears(client, it.me, { port: hostPort }), everyWay));
  await it.policy('client', egress('other'));
  await eventually(async () => assert.equal(await it.hears(client, it.me, { port: hostPort }), noWay));
  await it.policy('client', {
    ...egress('web'),
    egress: [{ to: ['192.0.2.1/32', '2001:db8::1/128'].map((cidr) => ({ ipBlock: { cidr } })) }],
  });
  await it.node.settled();
  assert.equal(await it.hears(client, it.me, { port: hostPort }), noWay, "the node's address is where nothing of it arrives");
});
