import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Pods } from '../../kube/resources.ts';
import { needsRoot } from '../../testing/root.ts';
import { eventually } from '../testkit/node.ts';
import { echoPort, everyWay, noWay, PolicyNode, type TestPod } from '../testkit/policy-node.ts';
import { PolicyProber } from '../testkit/policy-prober.ts';
import { Traffic } from '../testkit/traffic.ts';

const app = (name: string) => ({ matchLabels: { app: name } });
const admit = (...clients: string[]) => ({
  podSelector: app('server'),
  ingress: [{ from: clients.map((name) => ({ podSelector: app(name) })) }],
});

test('F53, NP14: policies that change all the time take no packet of flows that they do not speak of; a denial cuts, and labels that flip end in the right state', needsRoot, async () => {
  await using it = await PolicyNode.start();
  const { node } = it;
  const pods = { server: await it.pod('server', { labels: { app: 'server' } }), client: await it.pod('client', { labels: { app: 'client' } }) };
  const other = await it.pod('other', { labels: { app: 'other' } });
  await it.policy('servers', admit('client'));
  await node.settled();
  const relabel = async (name: string, label: string): Promise<void> =>
    void (await node.api.patch(Pods, name, 'default', { metadata: { labels: { app: label } } }, 'merge'));
  const side = ({ ns, addresses }: TestPod) => ({ ns: ns.ns, addresses });
  const forbidden = [{ from: other.ns.ns, to: side(await it.pod('shut', { labels: { app: 'shut' } })) }];
  await it.policy('nobody', { podSelector: app('shut'), policyTypes: ['Ingress'] });
  await node.settled();
  {
    using prober = await PolicyProber.start({ allowed: [{ name: 'client', from: pods.client.ns.ns, to: side(pods.server) }], forbidden });
    for (let i = 0; i < 50; i++) {
      const cidr = `203.0.113.${i}/32`;
      await it.policy(`more-${i % 7}`, { podSelector: app('other'), ingress: [{ from: [{ ipBlock: { cidr } }], ports: [{ port: 1000 + i }] }] });
      if (i % 3 === 0) await relabel('other', i % 2 === 0 ? 'another' : 'other');
      if (i % 10 === 9) await it.deletePolicy(`more-${i % 7}`);
      await sleep(5);
    }
    assert.deepEqual(await prober.end(), { lost: [], through: 0 });
    // The same ends, and a connection that is open: what is denied by now comes no more.
    const [address] = pods.server.addresses;
    using cut = new Traffic(pods.client.ns.ns);
    await cut.udpFlow('UDP', address!, echoPort);
    await eventually(() => assert.ok(cut.flows[0]!.answered > 3));
    await it.policy('servers', admit('nobody'));
    await node.settled();
    await eventually(async () => {
      const { answered } = cut.flows[0]!;
      await sleep(150);
      assert.equal(cut.flows[0]!.answered, answered, 'it is cut');
    });
    await it.policy('servers', admit('client'));
    for (const [last, expected] of [['client', everyWay], ['stranger', noWay], ['client', everyWay]] as const) {
      // Each change is heard of while those before are on their way.
      for (let i = 0; i < 16; i++) await relabel('client', i % 2 === 0 ? 'stranger' : 'client');
      await relabel('client', last);
      await eventually(async () => assert.equal(await it.hears(pods.client, pods.server, expected === noWay ? {} : { timeoutMs: 3000 }), expected));
      await node.settled();
      assert.equal(await it.hears(pods.client, pods.server, expected === noWay ? {} : { timeoutMs: 3000 }), expected, 'and it stays');
    }
  }
});
