import assert from 'node:assert/strict';
import { readdirSync, rmSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ip, run, tc } from '../../testing/judge.ts';
import { changes } from '../../testing/machine.ts';
import { needsRoot } from '../../testing/root.ts';
import { eventually, TestNode } from '../testkit/node.ts';
import { tcpRate, udpRate } from '../testkit/rate.ts';

const mega = 1e6;
/** Bits a second; far below what any machine forwards, and two that cannot be mistaken for each other. */
const limits = { ingressRate: 20 * mega, egressRate: 30 * mega };
const peerAddresses = ['192.0.2.2', '2001:db8::2'];

interface Qdisc {
  kind: string;
  dev: string;
  parent?: string;
  options: { rate?: number; burst?: number };
}
const qdiscs = (node: TestNode): Qdisc[] => tc<Qdisc>(node.ns.path, 'qdisc').filter(({ kind }) => kind !== 'noqueue');
const shapes = (node: TestNode): unknown[] =>
  qdiscs(node).map(({ kind, dev, options }) => [dev.replace(/[0-9a-f]{8}$/, ''), kind, (options.rate ?? 0) * 8]);
const ifbs = (node: TestNode): number => ip(node.ns.path, 'link', 'show', 'type', 'ifb').length;

/** @returns the addresses of the pod */
async function addLimited(
  node: TestNode,
  runtimeConfig: unknown,
): Promise<{ ns: Awaited<ReturnType<TestNode['addPod']>>['ns']; addresses: string[]; result: Record<string, unknown> }> {
  const ns = node.world.namespace('limited');
  const { code, json } = await node.cni({ command: 'ADD', containerId: 'limited', netns: ns.path, config: { runtimeConfig } });
  assert.equal(code, 0, JSON.stringify(json));
  const addresses = (json.ips as { address: string }[]).map(({ address }) => address.split('/')[0]!);
  return { ns, addresses, result: json };
}

/**
 * TCP and its headers take a part, and a busy machine more; a receiver that did not get its turn finds what waited meanwhile at once, and takes it for more: then it is
 * measured again, and for longer, since a limit that is not in force is not met another time either. What is sent is three times the limit at least.
 */
async function isAbout(measure: (ms: number) => Promise<number>, limit: number, what: string): Promise<void> {
  const seen: number[] = [];
  while (seen.length < 6) {
    const rate = await measure(600 * (seen.length + 1));
    if (rate > 0.3 * limit && rate < 1.6 * limit) return;
    seen.push(rate);
  }
  assert.fail(`${what}: ${seen.map((rate) => (rate / mega).toFixed(1)).join(', ')} of ${limit / mega} Mbit/s`);
}

for (const attach of ['routed', 'bridge'] as const) {
  test(
    `CRI11, CNI13: a pod gets the bandwidth that it was given, both ways, TCP and UDP, both families, and others all there is (${attach})`,
    needsRoot,
    async () => {
      await using node = await TestNode.make({ attach });
      await node.startReady();
      const free = await node.addPod('free');
      assert.deepEqual(qdiscs(node), [], 'a pod without limits has no qdisc');
      const { ns: limited, addresses } = await addLimited(node, { bandwidth: limits });
      assert.deepEqual(shapes(node), [
        ['pod', 'tbf', limits.ingressRate],
        ['pod', 'ingress', 0],
        ['ifb', 'tbf', limits.egressRate],
      ]);
      for (const [i, own] of addresses.entries()) {
        const peer = peerAddresses[i]!;
        await isAbout((ms) => tcpRate(node.peer.ns, limited.ns, own, 5001, ms), limits.ingressRate, `TCP to ${own}`);
        await isAbout((ms) => tcpRate(limited.ns, node.peer.ns, peer, 5002, ms), limits.egressRate, `TCP from ${own}`);
        await isAbout((ms) => udpRate(node.peer.ns, limited.ns, own, 5003, 60 * mega, ms), limits.ingressRate, `UDP to ${own}`);
        await isAbout((ms) => udpRate(limited.ns, node.peer.ns, peer, 5004, 60 * mega, ms), limits.egressRate, `UDP from ${own}`);
        let without = 0;
        for (let tries = 0; without <= 3 * limits.egressRate && tries < 5; tries++)
          without = await tcpRate(free.ns.ns, node.peer.ns, peer, 5005, 300);
        assert.ok(without > 3 * limits.egressRate, `without limits: ${without / mega} Mbit/s`);
      }
    },
  );

  test(
    `CNI6, CNI8, F43: limits outlive the agent and its leases; what is missing is told by CHECK and mended; DEL leaves nothing (${attach})`,
    needsRoot,
    async () => {
      await using node = await TestNode.make({ attach });
      await node.startReady();
      const before = node.kernel();
      const { ns, result } = await addLimited(node, { bandwidth: { ...limits, egressBurst: 4 * mega } });
      await node.settled();
      const right = node.kernel();
      const check = { command: 'CHECK', containerId: 'limited', netns: ns.path, config: { prevResult: result } } as const;
      assert.equal((await node.cni(check)).code, 0);

      await node.stop();
      await node.startReady();
      assert.equal(node.status().reconciler.operations, 0, 'an agent that starts again writes nothing that is right');

      const [pod = '', ifb = ''] = ['veth', 'ifb'].map((type) => {
        const links = ip<{ ifname: string }>(node.ns.path, 'link', 'show', 'type', type);
        return links.find(({ ifname }) => /^(pod|ifb)[0-9a-f]{8}$/.test(ifname))?.ifname ?? '';
      });
      for (const [command, told] of [
        [`tc qdisc del dev ${pod} root`, `does not hold qdisc ${pod}`],
        [`tc qdisc replace dev ${ifb} root tbf rate 1gbit burst 1mb limit 2mb`, `does not hold qdisc ${ifb}`],
        [`tc filter del dev ${pod} ingress`, `does not hold redirect ${pod}`],
        [`tc qdisc del dev ${pod} ingress`, `does not hold redirect ${pod}`],
        [`ip link del ${ifb}`, `does not hold link ${ifb}`],
      ] as const) {
        // CHECK does not read the kernel more often (readAgainMs).
        await sleep(550);
        run(node.ns.path, ...command.split(' '));
        const { json } = await node.cniAtOnce(check);
        assert.ok(String(json.msg).includes(told), `${command}: ${JSON.stringify(json)}`);
        await eventually(() => assert.deepEqual(changes({ kernel: right }, { kernel: node.kernel() }), [], command));
        // Told by the kernel, without any CHECK.
        run(node.ns.path, ...command.split(' '));
        await eventually(() => assert.deepEqual(changes({ kernel: right }, { kernel: node.kernel() }), [], command), 12_000);
      }

      // F23: the leases are lost, the pods run on.
      await node.stop();
      for (const name of readdirSync(node.config.stateDir).filter((file) => file.endsWith('.json')))
        rmSync(`${node.config.stateDir}/${name}`);
      await node.startReady();
      await node.settled();
      assert.deepEqual(changes({ kernel: right }, { kernel: node.kernel() }), []);

      assert.equal((await node.cni({ command: 'DEL', containerId: 'limited', netns: ns.path })).code, 0);
      await eventually(() => assert.deepEqual(changes({ kernel: before }, { kernel: node.kernel() }), []));
    },
  );
}

test('CNI6: the ifb of a pod whose namespace went without DEL goes, too; an ADD that fails leaves none', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  const { ns } = await addLimited(node, { bandwidth: limits });
  // Its end in the pod is the veth: both go.
  ns.rt.deleteLink({ name: 'eth0' });
  await eventually(() => assert.equal(ifbs(node), 0));

  const taken = node.world.namespace('taken');
  taken.rt.addLink({ type: 'ifb', name: 'eth0' });
  const config = { runtimeConfig: { bandwidth: limits } };
  const { code, json } = await node.cni({ command: 'ADD', containerId: 'taken', netns: taken.path, config });
  assert.equal(code, 1);
  assert.match(String(json.msg), /eth0/);
  await eventually(() => assert.equal(ifbs(node), 0));
});

test('CNI8: a second ADD of an attachment that is in use leaves its limits in force', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  const { ns } = await addLimited(node, { bandwidth: limits });
  const right = node.kernel();
  const config = { runtimeConfig: { bandwidth: limits } };
  assert.equal((await node.cni({ command: 'ADD', containerId: 'limited', netns: ns.path, config })).code, 1);
  assert.deepEqual(changes({ kernel: right }, { kernel: node.kernel() }), []);
  // Deleted and added again at once, the former links are still on their way out.
  assert.equal((await node.cniAtOnce({ command: 'DEL', containerId: 'limited' })).code, 0);
  const { code, json } = await node.cniAtOnce({ command: 'ADD', containerId: 'limited', netns: ns.path, config });
  assert.equal(code, 0, JSON.stringify(json));
  await eventually(() => assert.deepEqual([shapes(node).length, ifbs(node)], [3, 1]));
});

test(
  'CRI11: annotations count where the runtime hands them over, and a burst that is smaller than a frame lets frames pass',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await node.startReady();
    const annotations = { 'kubernetes.io/egress-bandwidth': '10Mi', 'example.org/x': 'y' };
    const first = await addLimited(node, { 'io.kubernetes.cri.pod-annotations': annotations });
    assert.deepEqual(shapes(node).at(-1), ['ifb', 'tbf', 10 << 20]);
    assert.equal(shapes(node).length, 2, 'the other direction is free');
    await node.cni({ command: 'DEL', containerId: 'limited', netns: first.ns.path });
    await eventually(() => assert.deepEqual([qdiscs(node), ifbs(node)], [[], 0]));

    const ns = node.world.namespace('tiny');
    const rate = 8 * mega;
    const config = { runtimeConfig: { bandwidth: { ingressRate: rate, ingressBurst: 8, egressRate: rate, egressBurst: 8 } } };
    const { json } = await node.cni({ command: 'ADD', containerId: 'tiny', netns: ns.path, config });
    const [own = ''] = (json.ips as { address: string }[]).map(({ address }) => address.split('/')[0]!);
    // GSO packets are far larger than the burst.
    await isAbout((ms) => tcpRate(node.peer.ns, ns.ns, own, 5001, ms), rate, 'to the pod');
    await isAbout((ms) => tcpRate(ns.ns, node.peer.ns, peerAddresses[0]!, 5002, ms), rate, 'from the pod');
  },
);
