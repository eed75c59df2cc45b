import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ip, run } from '../testing/judge.ts';
import { changes } from '../testing/machine.ts';
import { needsRoot } from '../testing/root.ts';
import { eventually, TestNode } from './testkit/node.ts';

/** Far less than the 30 s after which everything is compared without a sign. */
const soonMs = 12_000;

interface Damage {
  what: string;
  /** Commands of others; $pod is the pod's link, $pod4 and $pod6 its addresses. */
  by: string[];
}

const routed: Damage[] = [
  { what: "a pod's route", by: ['ip route del $pod4'] },
  { what: "a pod's IPv6 route", by: ['ip -6 route del $pod6'] },
  { what: 'the way to the pods of another node', by: ['ip route del 10.1.1.0/24'] },
  { what: "a pod's permanent neighbour entry", by: ['ip neigh del $pod4 dev $pod'] },
  { what: "a pod's link, set down", by: ['ip link set $pod down'] },
  { what: "a pod's link, its MTU", by: ['ip link set $pod mtu 1300'] },
  { what: "IPv6 of a pod's link, switched off", by: ['sysctl -qw net.ipv6.conf.$pod.disable_ipv6=1'] },
  { what: "IPv6 of podnet's own link, switched off", by: ['sysctl -qw net.ipv6.conf.podnet-svc.disable_ipv6=1'] },
  { what: "podnet's own link", by: ['ip link del podnet-svc'] },
  { what: 'every route that podnet wrote', by: ['ip route flush proto 112', 'ip -6 route flush proto 112'] },
];
const tunnel: Damage[] = [
  { what: 'IPv6 of the tunnel, switched off', by: ['sysctl -qw net.ipv6.conf.podnet-vxlan.disable_ipv6=1'] },
  { what: 'the tunnel', by: ['ip link del podnet-vxlan'] },
  { what: "a tunnel's forwarding entry", by: ['bridge fdb flush dev podnet-vxlan'] },
  { what: "a tunnel's neighbour entry", by: ['ip neigh flush nud permanent dev podnet-vxlan'] },
];
const bridged: Damage[] = [
  { what: 'IPv6 of the bridge, switched off', by: ['sysctl -qw net.ipv6.conf.cbr0.disable_ipv6=1'] },
  { what: 'the bridge', by: ['ip link del cbr0'] },
  { what: "the bridge's address", by: ['ip address flush dev cbr0 scope global'] },
  { what: "a pod's port, taken off the bridge", by: ['ip link set $pod nomaster'] },
];

for (const attach of ['routed', 'bridge'] as const)
  test(`F45: where IPv6 is off for new links the node becomes ready, and pods have IPv6 (${attach})`, needsRoot, async () => {
    await using node = await TestNode.make({ attach, backend: 'vxlan' });
    run(node.ns.path, 'sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1');
    await node.startReady();
    const { ns, addresses, result } = await node.addPod('a');
    for (const address of addresses) run(node.ns.path, 'ping', '-c1', '-W5', address);
    const check = { command: 'CHECK', containerId: 'a', netns: ns.path, config: { prevResult: result } };
    assert.deepEqual(await node.cni(check), { code: 0, json: {} });
    assert.deepEqual(node.status().problems, []);
  });

for (const [shape, overrides, damages] of [
  ['routed', {}, routed],
  ['routed, through VXLAN', { backend: 'vxlan' }, tunnel],
  ['on a bridge', { attach: 'bridge' }, bridged],
] as const)
  test(`what others do to a node's network is put right at once (${shape})`, needsRoot, async () => {
    await using node = await TestNode.make(overrides);
    await node.startReady();
    const checks = node.status().reconciler.fullChecks;
    const { addresses } = await node.addPod('a');
    const [pod4 = '', pod6 = ''] = addresses;
    const link = ip<{ ifname: string }>(node.ns.path, 'link').find(({ ifname }) => /^pod[0-9a-f]{8}$/.test(ifname))!.ifname;
    await node.settled();
    await sleep(200);
    assert.equal(node.status().reconciler.fullChecks, checks, "podnet's own changes are no drift");
    // An agent that found all of it there knows it as well as the one that made it.
    await node.stop();
    await node.startReady();
    const right = node.kernel();
    const own: Record<string, string> = { $pod: link, $pod4: pod4, $pod6: pod6 };
    for (const { what, by } of damages) {
      for (const command of by)
        run(node.ns.path, ...command.split(' ').map((word) => word.replace(/\$pod[46]?/, (name) => own[name] ?? name)));
      await eventually(() => assert.deepEqual(changes({ kernel: right }, { kernel: node.kernel() }), [], what), soonMs);
      assert.notEqual(node.status().reconciler.lastDrift, undefined);
    }
    run(node.ns.path, 'ping', '-c1', '-W5', pod4);
    run(node.ns.path, 'ping', '-c1', '-W5', pod6);
  });

test("podnet's table outlives a flush of the whole ruleset and a deletion", needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  const right = node.kernel();
  for (const command of [
    'flush ruleset',
    'delete table inet podnet',
    'flush table inet podnet',
    'flush set inet podnet cluster-ips4',
  ]) {
    // From Linux 6.9 on the table belongs to the agent and nft is refused; before that it is put right.
    try {
      run(node.ns.path, 'nft', ...command.split(' '));
    } catch (error) {
      assert.match((error as Error).message, /not permitted|No such file/);
    }
    await eventually(() => assert.deepEqual(changes({ kernel: right }, { kernel: node.kernel() }), [], command), soonMs);
  }
});

test(
  "a route of somebody else in the way of podnet's is left alone and told, and podnet's comes back when it goes",
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await node.startReady();
    const right = node.kernel();
    run(node.ns.path, 'ip', 'route', 'replace', '10.1.1.0/24', 'via', '192.0.2.77');
    await eventually(() => {
      const { errors } = node.status().reconciler;
      assert.deepEqual(
        errors.map(({ owner }) => owner),
        ['node peer'],
      );
      assert.match(errors[0]!.why, /10\.1\.1\.0\/24/);
    }, soonMs);
    assert.match(run(node.ns.path, 'ip', 'route', 'show', '10.1.1.0/24'), /via 192\.0\.2\.77/);
    assert.ok(node.status().ready, 'pods of this node are still attached');
    run(node.ns.path, 'ip', 'route', 'del', '10.1.1.0/24', 'via', '192.0.2.77');
    await eventually(() => assert.deepEqual(changes({ kernel: right }, { kernel: node.kernel() }), []), soonMs);
    await node.settled();
  },
);
