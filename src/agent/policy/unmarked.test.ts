import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NetworkPolicies } from '../../kube/resources.ts';
import type { NetworkPolicySpec } from '../../kube/types.ts';
import { NftWriter } from '../../reconcile/index.ts';
import { type Item, keyOf } from '../../reconcile/model.ts';
import type { Operation } from '../../reconcile/operations.ts';
import { needsRoot } from '../../testing/root.ts';
import { eventually } from '../testkit/node.ts';
import { echoPort, everyWay, identity, noWay, PolicyNode } from '../testkit/policy-node.ts';
import { Echo, Traffic } from '../testkit/traffic.ts';

const servers = (app: string): NetworkPolicySpec => ({
  podSelector: { matchLabels: { app: 'server' } },
  policyTypes: ['Ingress', 'Egress'],
  ingress: [{ from: [{ podSelector: { matchLabels: { app } } }] }],
});

const usesMarks = (item: Item): boolean =>
  item.kind === 'nft-chain' && item.rules.some(({ expressions }) => expressions.some((one) => one.name === 'ct' && 'key' in one && one.key === 'mark'));

/** A kernel without CONFIG_NF_CONNTRACK_MARK, until that is disposed of. @param more what it refuses besides */
function withoutMarks(more: (key: string) => boolean = () => false): Disposable {
  const { apply } = NftWriter.prototype;
  const isRefused = (item: Item): boolean => usesMarks(item) || more(keyOf(item));
  const refused = (operation: Operation): boolean => 'item' in operation && isRefused(operation.item as Item);
  NftWriter.prototype.apply = function (operations, wanted) {
    const failures = operations.filter(refused).map(({ key }) => ({ key, error: new Error(`add rule of ${key}: EOPNOTSUPP`) }));
    const some = function* () {
      for (const item of wanted()) if (!isRefused(item)) yield item;
    };
    return [...failures, ...apply.call(this, operations.filter((operation) => !refused(operation)), some)];
  };
  return { [Symbol.dispose]: () => void (NftWriter.prototype.apply = apply) };
}

const problem = /^this kernel keeps no marks of connections \(it was built without CONFIG_NF_CONNTRACK_MARK\)/;

test('NP14, NP15: on a kernel without CONFIG_NF_CONNTRACK_MARK policies are in force packet by packet, over restarts too, and status and log say so', needsRoot, async () => {
  using _kernel = withoutMarks();
  await using it = await PolicyNode.start();
  const { node } = it;
  const before = await it.pod('before', { labels: { app: 'server' } });
  using _before = await Echo.start(before.ns.ns, echoPort);
  using _neighbour = await Echo.start(node.peer.ns, echoPort);
  assert.deepEqual(node.status().problems, [], 'without policies there is nothing to refuse');
  await it.policy('servers', servers('client'));
  const server = await it.pod('server', { labels: { app: 'server' } });
  using _server = await Echo.start(server.ns.ns, echoPort);
  const client = await it.pod('client', { labels: { app: 'client' } });
  const stranger = await it.pod('stranger');
  for (const one of [before, server]) {
    assert.equal(await it.hears(client, one, { timeoutMs: 5000 }), everyWay);
    assert.equal(await it.hears(stranger, one), noWay);
    assert.equal(await it.hears(it.neighbour, one), noWay);
    assert.equal(await it.hears(one, it.neighbour), noWay);
  }
  await eventually(() => assert.equal(node.status().policy.enforced, true));
  assert.equal(node.status().problems.length, 1);
  assert.match(node.status().problems[0]!, problem);
  assert.deepEqual((await node.cni({ command: 'STATUS' })).json, {});
  assert.equal(node.log.filter((line) => line.startsWith('policies: this kernel keeps no marks')).length, 1);
  using flows = new Traffic(client.ns.ns);
  await flows.tcpFlow('client', server.addresses[0]!, echoPort);
  await node.stop();
  await node.startReady();
  await eventually(() => assert.equal(node.status().policy.enforced, true));
  assert.match(node.status().problems[0]!, problem);
  assert.equal(await it.hears(stranger, server), noWay);
  const [flow] = flows.flows;
  const { answered } = flow!;
  await eventually(() => assert.ok(flow!.answered > answered + 2, 'it lives on'));
  await node.api.patch(NetworkPolicies, 'servers', 'default', { spec: servers('other') }, 'merge');
  await eventually(() => assert.ok(flow!.faults.length > 0, 'NP14: reset'));
  assert.equal(await it.hears(client, server), noWay);
  await it.deletePolicy('servers');
  await eventually(async () => assert.equal(await it.hears(stranger, server), everyWay));
  assert.deepEqual(node.status().problems, []);
});

test('where the kernel refuses that too, no pod that policies select is attached, and STATUS says why', needsRoot, async () => {
  await using it = await PolicyNode.start();
  const { node } = it;
  await it.schedule('a', { labels: { app: 'server' } });
  const a = node.world.namespace('a');
  const add = () => node.cni({ command: 'ADD', containerId: 'a', netns: a.path, ...identity('default', 'a') });
  {
    using _kernel = withoutMarks((key) => key === 'nft-chain policy-known');
    await it.policy('servers', servers('client'));
    const { json } = await add();
    assert.deepEqual([json.code, /policy epoch: .*EOPNOTSUPP/.test(String(json.msg))], [11, true], JSON.stringify(json));
    assert.equal((await node.cni({ command: 'STATUS' })).json.code, 50);
    assert.equal(node.status().policy.enforced, false);
  }
  await eventually(async () => assert.equal((await add()).code, 0));
  await eventually(() => assert.deepEqual([node.status().problems, node.status().policy.enforced], [[], true]));
});
