import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EndpointSlices, NetworkPolicies } from '../../kube/resources.ts';
import type { NetworkPolicySpec } from '../../kube/types.ts';
import { type Expression, NftTransaction, type Rule } from '../../kernel/nftables/index.ts';
import { connectTcp } from '../../kernel/sockets.ts';
import { IpAddr } from '../../net/ip.ts';
import { run } from '../../testing/judge.ts';
import { needsRoot } from '../../testing/root.ts';
import { eventually } from '../testkit/node.ts';
import { echoPort, everyWay, noWay, PolicyNode } from '../testkit/policy-node.ts';
import { Echo, Traffic } from '../testkit/traffic.ts';

const servers = (app: string): NetworkPolicySpec => ({
  podSelector: { matchLabels: { app: 'server' } },
  policyTypes: ['Ingress', 'Egress'],
  ingress: [{ from: [{ podSelector: { matchLabels: { app } } }] }],
});

/** What no kernel has. */
const strange: Expression = { name: 'match', match: 'podnet-none', revision: 0, info: '0x00' };

/** A kernel without nft_reject, until that is disposed of: it refuses each rule with a `reject` by itself. */
function withoutReject(): Disposable {
  const { addRule } = NftTransaction.prototype;
  NftTransaction.prototype.addRule = function (chain: string, rule: Rule, about: unknown) {
    const expressions = rule.expressions.map((one) => (one.name === 'reject' ? strange : one));
    return addRule.call(this, chain, { ...rule, expressions }, about);
  };
  return { [Symbol.dispose]: () => void (NftTransaction.prototype.addRule = addRule) };
}

const problem =
  /^this kernel has no reject for nftables .*ENOENT.*: what nobody answers at a Service is dropped in place of refused.*; connections that policies cut are dropped without a reset/;

test('NP14, NP15, SD6: on a kernel without nft_reject policies are in force and cut without resets, Services drop what they would refuse, and status and log say so', needsRoot, async () => {
  using _kernel = withoutReject();
  await using it = await PolicyNode.start();
  const { node } = it;
  const before = await it.pod('before', { labels: { app: 'server' } });
  using _before = await Echo.start(before.ns.ns, echoPort);
  assert.match(node.status().problems.join(), /^this kernel has no reject [^;]*: what nobody answers at a Service is dropped in place of refused, [^;]*; load the module/);
  await it.policy('servers', servers('client'));
  const server = await it.pod('server', { labels: { app: 'server' } });
  using _server = await Echo.start(server.ns.ns, echoPort);
  const client = await it.pod('client', { labels: { app: 'client' } });
  const stranger = await it.pod('stranger');
  await eventually(() => assert.equal(node.status().policy.enforced, true));
  for (const one of [before, server]) {
    assert.equal(await it.hears(client, one, { timeoutMs: 5000 }), everyWay);
    assert.equal(await it.hears(stranger, one), noWay);
    assert.equal(await it.hears(it.neighbour, one), noWay);
  }
  assert.match(node.status().problems.join('\n'), problem);
  assert.deepEqual((await node.cni({ command: 'STATUS' })).json, {});

  // A Service that has no endpoints any more: who asks hears nothing.
  await node.api.delete(EndpointSlices, 'web-4', 'default');
  await eventually(() => assert.match(run(node.ns.path, 'nft', 'list', 'set', 'inet', 'podnet', 'cluster-ips4'), /10\.96\.0\.80/));
  await eventually(() => assert.doesNotMatch(run(node.ns.path, 'nft', 'list', 'map', 'inet', 'podnet', 'service-ips4'), /10\.96\.0\.80/));
  await assert.rejects(connectTcp(stranger.ns.ns, IpAddr.parse('10.96.0.80'), 80, { timeoutMs: 300 }), /ETIMEDOUT|timed out|no answer/i);

  using flows = new Traffic(client.ns.ns);
  await flows.tcpFlow('client', server.addresses[0]!, echoPort);
  await node.settled();
  const ruleset = node.ruleset();
  await node.stop();
  await node.startReady();
  await eventually(() => assert.equal(node.status().policy.enforced, true));
  const chains = (lines: string[]): string[] => lines.filter((line) => line.startsWith('rule') && !/policy-(known|settle)/.test(line));
  assert.deepEqual(chains(node.ruleset()), chains(ruleset));
  await eventually(() => assert.match(node.status().problems.join('\n'), problem));
  const [flow] = flows.flows;
  const answered = flow!.answered;
  await eventually(() => assert.ok(flow!.answered > answered + 2, 'it lives on'));
  await node.api.patch(NetworkPolicies, 'servers', 'default', { spec: servers('other') }, 'merge');
  await eventually(() => assert.ok(flow!.sent > flow!.answered + 10, 'NP14: cut'));
  assert.deepEqual(flow!.faults, [], 'no reset');
  assert.equal(await it.hears(client, server), noWay);
  assert.ok(node.log.some((line) => line.startsWith('problem: this kernel has no reject')), node.log.join('\n'));
  await it.deletePolicy('servers');
  await eventually(async () => assert.equal(await it.hears(stranger, server), everyWay));
});
