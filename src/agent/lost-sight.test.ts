import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { sys } from '../kernel/sys.ts';
import { Nodes } from '../kube/resources.ts';
import { run } from '../testing/judge.ts';
import { InterruptedDumps } from '../testing/interrupted-dumps.ts';
import { changes } from '../testing/machine.ts';
import { needsRoot } from '../testing/root.ts';
import { failed, ok } from './testkit/cni-spec.ts';
import { eventually, TestNode } from './testkit/node.ts';

/** What an agent does that cannot see, or has not seen, what its node's kernel holds: F36, F37. */

test('F36: while no list of the kernel is whole an agent changes nothing by it, lives, and mends what is wrong afterwards', needsRoot, async () => {
  await using node = await TestNode.make({ backend: 'vxlan' });
  await node.startReady();
  const { ns, addresses, result } = await node.addPod('a');
  await node.addPod('b');
  await node.settled();
  const right = node.kernel();
  const check = { command: 'CHECK', containerId: 'a', netns: ns.path, config: { prevResult: result } };
  {
    using dumps = new InterruptedDumps();
    // Both make it compare all; a link of others makes it look at its own.
    run(node.ns.path, 'ip', 'route', 'del', addresses[0]!);
    run(node.ns.path, 'ip', 'link', 'add', 'other', 'type', 'bridge');
    await node.setNode('third', ['192.0.2.3', '2001:db8::3'], ['10.1.3.0/24', 'fd01:0:0:3::/64']);
    await eventually(() => assert.ok(dumps.count > 50, `${dumps.count} datagrams`));
    await sleep(100);
    // What came is another node, and a link of others: of what was there nothing is gone but what was deleted here.
    const differ = changes({ kernel: right }, { kernel: node.kernel() }).filter((line) => line.startsWith('kernel gone'));
    assert.deepEqual(
      differ.map((line) => line.replace(/("dst":"[^"]*").*/, '$1')),
      [`kernel gone: route {"dst":"10.1.0.2"`],
    );
    assert.match(failed(await node.cni(check), 199, 'CHECK'), /EINTR/);
    run(ns.path, 'ping', '-c1', '-W5', 'fd01::3');
  }
  run(node.ns.path, 'ip', 'link', 'del', 'other');
  await node.settled();
  await eventually(async () => assert.deepEqual(await node.cni(check), ok));
  run(ns.path, 'ping', '-c1', '-W5', '10.1.0.3');
  await node.api.delete(Nodes, 'third');
  await eventually(() => assert.deepEqual(changes({ kernel: right }, { kernel: node.kernel() }), []));
});

test('F37: when events of the kernel are lost an agent compares all once, mends what it was not told of, and rests', needsRoot, async () => {
  await using node = await TestNode.make();
  {
    // Room for few events: SO_RCVBUF and SO_RCVBUFFORCE (include/uapi/asm-generic/socket.h).
    const { setsockopt } = sys;
    sys.setsockopt = (fd, level, option, value, length) => {
      if (level === 1 && (option === 8 || option === 33) && value instanceof Uint8Array) Buffer.from(value.buffer, value.byteOffset).writeInt32LE(4096);
      return setsockopt(fd, level, option, value, length);
    };
    try {
      await node.startReady();
    } finally {
      sys.setsockopt = setsockopt;
    }
  }
  const { addresses } = await node.addPod('a');
  await node.settled();
  const right = node.kernel();
  const before = node.status().reconciler;
  const storm = Array.from({ length: 400 }, (_, i) => `route add blackhole 203.0.113.${i % 250} metric ${i}`);
  // In the midst of it, where nobody listens any more.
  storm.push(`route del ${addresses[0]}`, 'route del 10.1.1.0/24', ...storm.map((line) => line.replace('add', 'del')));
  execFileSync('nsenter', [`--net=${node.ns.path}`, 'ip', '-batch', '-'], { input: storm.join('\n') });
  await eventually(() => assert.deepEqual(changes({ kernel: right }, { kernel: node.kernel() }), []));
  const after = await node.settled();
  assert.equal(after.reconciler.lastDrift, 'events were lost');
  assert.ok(after.reconciler.fullChecks > before.fullChecks);
  await eventually(async () => {
    const { fullChecks } = node.status().reconciler;
    await sleep(300);
    assert.equal(node.status().reconciler.fullChecks, fullChecks, 'one full check after the other');
  });
  for (const address of addresses) run(node.ns.path, 'ping', '-c1', '-W5', address);
});
