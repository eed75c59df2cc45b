import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '../../kube/api.ts';
import type { NetworkPolicySpec } from '../../kube/types.ts';
import { clusterPolicyResources } from '../../policy/resources.ts';
import { NftWriter } from '../../reconcile/index.ts';
import { keyOf } from '../../reconcile/model.ts';
import type { Operation } from '../../reconcile/operations.ts';
import { needsRoot } from '../../testing/root.ts';
import { eventually } from '../testkit/node.ts';
import { echoPort, everyWay, identity, noWay, PolicyNode } from '../testkit/policy-node.ts';
import { Echo } from '../testkit/traffic.ts';

const denyAll: NetworkPolicySpec = { podSelector: { matchLabels: { app: 'shut' } }, policyTypes: ['Ingress', 'Egress'] };
const shut = { labels: { app: 'shut' } };

/** The kernel takes what is added of these keys no more, until that is disposed of; whatever needs it the kernel refuses by itself. */
function refusing(isRefused: (key: string) => boolean): Disposable {
  const { apply } = NftWriter.prototype;
  const refused = (operation: Operation): boolean => operation.verb !== 'delete' && isRefused(operation.key);
  NftWriter.prototype.apply = function (operations, wanted) {
    const failures = operations
      .filter(refused)
      .map(({ key }) => ({ key, error: new Error(`${key}: Operation not supported (EOPNOTSUPP)`) }));
    const some = function* () {
      for (const item of wanted()) if (!isRefused(keyOf(item))) yield item;
    };
    return [...failures, ...apply.call(this, operations.filter((operation) => !refused(operation)), some)];
  };
  return { [Symbol.dispose]: () => void (NftWriter.prototype.apply = apply) };
}

for (const [chain, what] of [
  ['policy-deny', 'a chain that ends in a reject'],
  ['policy-forward', 'a base chain'],
  ['policy-settle', 'the epoch'],
] as const)
  test(`NP15: where the kernel refuses ${what}, no pod that policies select is attached, and STATUS and status say why; others are, and all are once it takes it`, needsRoot, async () => {
    await using it = await PolicyNode.start();
    const { node } = it;
    await it.schedule('a', shut);
    const a = node.world.namespace('a');
    const add = () => node.cni({ command: 'ADD', containerId: 'a', netns: a.path, ...identity('default', 'a') });
    {
      using _refusing = refusing((key) => key === `nft-chain ${chain}`);
      await it.pod('before');
      assert.deepEqual((await node.cni({ command: 'STATUS' })).json, {}, 'without policies there is nothing to refuse');
      await it.policy('deny', denyAll);
      const { json } = await add();
      assert.equal(json.code, 11, JSON.stringify(json));
      assert.match(String(json.msg), /network policies select the pod.* policy (layout|epoch): .*EOPNOTSUPP/);
      const why = /the kernel refuses what network policies need, no pod that they select can be attached: .*EOPNOTSUPP/;
      const { json: status } = await node.cni({ command: 'STATUS' });
      assert.deepEqual([status.code, why.test(String(status.msg))], [50, true], JSON.stringify(status));
      assert.match(node.status().problems.join('\n'), why);
      assert.equal(node.status().policy.enforced, false);
      assert.deepEqual(node.status().leases.map(({ used }) => used), [1, 1], 'nothing is left of it');
      await it.pod('other');
    }
    const added = await eventually(async () => {
      const answer = await add();
      assert.equal(answer.code, 0, JSON.stringify(answer.json));
      return answer.json.ips as { address: string }[];
    });
    using _echo = await Echo.start(node.peer.ns, echoPort);
    const addresses = added.map(({ address }) => address.split('/')[0]!);
    assert.equal(await it.hears({ ns: a, addresses }, it.neighbour), noWay);
    await eventually(async () => assert.deepEqual((await node.cni({ command: 'STATUS' })).json, {}));
    await eventually(() => assert.deepEqual([node.status().problems, node.status().policy.enforced], [[], true]));
  });

test('CNP3: where the kernel refuses the row of a Deny, the pod that runs is closed but for what other rows allow, new ones are not attached, and both end when it takes it', needsRoot, async () => {
  await using it = await PolicyNode.start();
  const { node } = it;
  using _echo = await Echo.start(node.peer.ns, echoPort);
  const a = await it.pod('a', shut);
  const remote = await it.remotePod('remote', 5, { labels: { app: 'bad' } });
  const nsB = node.world.namespace('b');
  const addB = () => node.cni({ command: 'ADD', containerId: 'b', netns: nsB.path, ...identity('default', 'b') });
  // Echoes of UDP come from the neighbour's own address.
  const tcp = 'tcp4 tcp6';
  const reach = async () => {
    const answers = await Promise.all([it.hears(a, remote), it.hears(a, it.neighbour)]);
    return answers.map((ways) => ways.replace(/ ?udp\d/g, ''));
  };
  assert.deepEqual(await reach(), [tcp, tcp]);
  {
    using _refusing = refusing((key) => key.startsWith('nft-element policy-egress4 ') || key.startsWith('nft-element policy-egress6 '));
    const bad = { pods: { namespaceSelector: {}, podSelector: { matchLabels: { app: 'bad' } } } };
    await node.api.create(clusterPolicyResources[0]!, {
      metadata: { name: 'guard' },
      spec: { tier: 'Admin', priority: 1, subject: { namespaces: {} }, egress: [{ action: 'Deny', to: [bad] }] },
    } as KubeObject);
    await eventually(async () => assert.deepEqual(await reach(), [noWay, noWay]));
    assert.match(node.status().problems.join('\n'), /pod default\/a: the kernel refuses a part of what isolates it/);
    await it.schedule('b', shut);
    const { json } = await addB();
    assert.equal(json.code, 11, JSON.stringify(json));
  }
  await eventually(async () => assert.deepEqual(await reach(), [noWay, tcp]));
  await eventually(() => assert.deepEqual(node.status().problems, []));
  const { json } = await addB();
  const addresses = (json.ips as { address: string }[]).map(({ address }) => address.split('/')[0]!);
  const b = { ns: nsB, addresses };
  assert.equal(await it.hears(b, remote), noWay);
  assert.equal(await it.hears(b, it.neighbour), everyWay);
});
