import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run } from '../../testing/judge.ts';
import { needsRoot } from '../../testing/root.ts';
import { TestNode } from '../testkit/node.ts';

test("routed: nothing that a pod sends with another pod's or a node's address arrives; its own does", needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  const sender = await node.addPod('a');
  const target = await node.addPod('b');
  const other = await node.addPod('c');
  run(target.ns.path, 'nft', 'add table inet seen; add chain inet seen in { type filter hook input priority 0; }');
  for (const [family, i] of [
    ['ip', 0],
    ['ip6', 1],
  ] as const) {
    const own = sender.addresses[i]!;
    const strange = [other.addresses[i]!, ['192.0.2.2', '2001:db8::2'][i]!, ['10.1.1.9', 'fd01:0:0:1::9'][i]!];
    const counted = (address: string): number =>
      Number(new RegExp(`saddr ${address} counter packets (\\d+)`).exec(run(target.ns.path, 'nft', 'list', 'ruleset'))?.[1]);
    for (const address of [own, ...strange]) {
      run(target.ns.path, 'nft', `add rule inet seen in ${family} saddr ${address} counter`);
      if (address !== own) run(sender.ns.path, 'ip', 'address', 'add', address, 'dev', 'lo', 'nodad');
      const ping = ['ping', '-c2', '-i0.1', `-W${address === own ? 5 : 0.2}`, '-I', address, target.addresses[i]!];
      if (address === own) run(sender.ns.path, ...ping);
      else assert.throws(() => run(sender.ns.path, ...ping), address);
    }
    assert.equal(counted(own), 2);
    for (const address of strange) assert.equal(counted(address), 0, address);
  }
});
