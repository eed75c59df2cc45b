import assert from 'node:assert/strict';
import { test } from 'node:test';
import { layoutVersion } from '../services/names.ts';
import { run } from '../testing/judge.ts';
import { needsRoot } from '../testing/root.ts';
import { TestNode } from './testkit/node.ts';

/** What another version may have left: values of another meaning under the same name, and types that this version does not know. */
const layouts = {
  'an older one': [
    'add table inet podnet { comment "podnet layout 0"; }',
    'add map inet podnet service-ips4 { type ipv4_addr . inet_proto . inet_service : verdict; }',
    'add element inet podnet service-ips4 { 10.96.0.80 . tcp . 80 : accept }',
  ],
  'a newer one': [
    'add table inet podnet { comment "podnet layout 99"; }',
    'add set inet podnet stations { type ether_addr . mark; }',
    'add element inet podnet stations { 02:00:00:00:00:01 . 0x7 }',
  ],
};

for (const [which, commands] of Object.entries(layouts))
  test(`a table of another layout (${which}) is replaced as a whole when an agent of this one starts`, needsRoot, async () => {
    await using node = await TestNode.make();
    for (const command of commands) run(node.ns.path, 'nft', command);
    await node.startReady();
    await node.addPod('a');
    const text = run(node.ns.path, 'nft', 'list', 'table', 'inet', 'podnet');
    assert.ok(text.includes(`comment "${layoutVersion}"`));
    assert.match(text, /10\.96\.0\.80 \. tcp \. 80 : /);
    assert.doesNotMatch(text, /stations|: accept/);
  });

for (const attach of ['routed', 'bridge'] as const)
  test(
    `F39: tables that nft has saved and restored, as its service does when a node boots, are taken over as if podnet had written them (${attach})`,
    needsRoot,
    async () => {
      await using node = await TestNode.make({ attach, backend: 'vxlan' });
      await node.startReady();
      const pod = await node.addPod('a');
      await node.settled();
      const ruleset = (): string[] => node.ruleset().sort();
      const before = ruleset();
      await node.stop();
      const { path } = node.ns;
      const saved = run(path, 'nft', 'list', 'ruleset').replaceAll(/^\tflags.*$/gm, '');
      run(path, 'sh', '-c', `nft -f - <<'E'\nflush ruleset\n${saved}\nE`);
      await node.startReady();
      await node.settled();
      assert.deepEqual(ruleset(), before);
      for (const address of pod.addresses) run(path, 'ping', '-c1', '-W5', address);
      await node.stop();
      await node.startReady();
      assert.equal(node.status().reconciler.operations, 0, 'a right kernel is left alone');
    },
  );
