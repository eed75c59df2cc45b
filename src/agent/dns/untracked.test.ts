import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { framed } from '../../dns/testkit/client.ts';
import { question } from '../../dns/testkit/message.ts';
import { NewConnections } from '../../kernel/new-connections.ts';
import { connectTcp } from '../../kernel/sockets.ts';
import { IpAddr } from '../../net/ip.ts';
import { run } from '../../testing/judge.ts';
import { needsRoot } from '../../testing/root.ts';
import { Asker } from '../testkit/asker.ts';
import { DnsNode, name, others, own, vips } from '../testkit/dns-node.ts';

const counted = (asker: Asker): Record<string, number> => Object.fromEntries(asker.heard);

for (const attach of ['routed', 'bridge'] as const)
  test(
    `kubernetes#56903: both families asked from one port, thousands of times, by pods and the node itself: all are answered, and none is in conntrack (${attach})`,
    needsRoot,
    async () => {
      await using dns = await DnsNode.start(attach);
      const { node } = dns;
      const pod = await node.addPod('a');
      await node.settled();
      using connections = NewConnections.open(node.ns.ns);
      for (const from of [pod.ns, node.ns])
        for (const vip of vips) {
          await using asker = await Asker.open(from.ns, vip, name);
          for (let burst = 0; burst < 50; burst++) {
            for (let i = 0; i < 20; i++) asker.ask();
            assert.equal(await asker.lost(), 0, `${from.path} to ${vip}`);
          }
          assert.deepEqual(counted(asker), { [own[0]!]: 1000, [own[1]!]: 1000 });
        }
      const tracked = connections.take().filter(({ original }) => original.destinationPort === 53 || original.sourcePort === 53);
      assert.deepEqual(tracked, []);
      // TCP is tracked: the look would have seen the others.
      const socket = await connectTcp(pod.ns.ns, IpAddr.parse(vips[0]!), 53, { timeoutMs: 5000 });
      socket.write(framed(question(name)));
      await new Promise((resolve) => socket.once('data', resolve));
      socket.destroy();
      assert.deepEqual(
        connections
          .take()
          .filter(({ original }) => original.destinationPort === 53)
          .map(({ original }) => original.protocol),
        ['tcp'],
      );
    },
  );

test(
  "P8: while a node's own DNS is not ready, other nodes answer for it, and its own endpoint is none, though it is in the slices",
  needsRoot,
  async () => {
    await using dns = await DnsNode.start();
    const { node } = dns;
    const pod = await node.addPod('a');
    await dns.setReady(false);
    const untracked = ['answered4', 'answered6'].map((set) => run(node.ns.path, 'nft', 'list', 'set', 'inet', 'podnet', set));
    for (const text of untracked) assert.doesNotMatch(text, /elements/);
    for (const from of [pod.ns, node.ns])
      for (const vip of vips) {
        // Each a flow of its own: the endpoint is chosen for each.
        for (let i = 0; i < 20; i++) {
          await using asker = await Asker.open(from.ns, vip, name);
          asker.ask();
          assert.equal(await asker.lost(), 0, `${from.path} to ${vip}`);
          assert.deepEqual([...asker.heard.keys()].sort(), [...others].sort());
        }
      }
  },
);

test(
  'readiness that changes to and fro, while questions are asked from the same ports: each is answered, by the one or the other',
  needsRoot,
  async () => {
    await using dns = await DnsNode.start();
    const pod = await dns.node.addPod('a');
    await dns.node.settled();
    const all: Asker[] = [];
    for (const from of [pod.ns, dns.node.ns]) for (const vip of vips) all.push(await Asker.open(from.ns, vip, name));
    let ending = false;
    const asking = (async () => {
      while (!ending) {
        for (const asker of all) asker.ask();
        await sleep(1);
      }
    })();
    try {
      for (let i = 0; i < 10; i++) {
        await dns.setReady(i % 2 === 1);
        // Enough of each kind are asked, however slow the machine is.
        const enough = all.map((asker) => asker.asked + 20);
        while (all.some((asker, at) => asker.asked < enough[at]!)) await sleep(1);
      }
      ending = true;
      await asking;
      for (const asker of all) {
        assert.equal(await asker.lost(), 0, JSON.stringify(counted(asker)));
        const heard = counted(asker);
        for (const address of [...own, ...others]) assert.ok(heard[address]! > 20, JSON.stringify(heard));
      }
    } finally {
      ending = true;
      await asking;
      for (const asker of all) await asker[Symbol.asyncDispose]();
    }
  },
);
