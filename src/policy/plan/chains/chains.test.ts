import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Nft } from '../../../kernel/nftables/index.ts';
import { NftWriter, Reconciler } from '../../../reconcile/index.ts';
import { type Item, keyOf, type NftElement } from '../../../reconcile/model.ts';
import { run } from '../../../testing/judge.ts';
import { type TestNs, TestWorld } from '../../../testing/netns.ts';
import { needsRoot } from '../../../testing/root.ts';
import { needsTool, nftBinaries, requireTool } from '../../../testing/tools.ts';
import { planPolicyChains } from './chains.ts';
import { defaultConnmarkMask, planEpoch } from './epoch.ts';
import { policySets } from '../elements/names.ts';

const podLinks: { group: number; bridge?: string } = { group: 28782 };
const element = (set: string, key: string, data?: string): NftElement => ({
  kind: 'nft-element',
  set,
  key,
  ...(data ? { data } : {}),
});

/** One of each kind. */
const elements: readonly NftElement[] = [
  element('policy-ids4', '10.1.0.2', '0:1'),
  element('policy-ids6', 'fd00::2', '0:1'),
  element('policy-nets4', '10.0.0.0/8', '0:2'),
  element('policy-nets4', '11.0.0.1', '0:3'),
  element('policy-nets6', 'fd00::/16', '0:2'),
  element('policy-egress4', '0:1 . 10.1.0.3', '0:8'),
  element('policy-ingress6', '0:1 . fd00::3', '0:c'),
  element('policy-egress-default4', '10.1.0.3', 'none'),
  element('policy-ingress-default6', 'fd00::3', '0:3'),
  element('policy-selves4', '10.1.0.3 . 10.1.0.3', '0:3'),
  element('policy-dns4', '10.96.0.10 . udp . 53'),
  element('policy-ports', '0:8 . tcp . 80', '0:3'),
  element('policy-ranges', '0:c . tcp . 80-90', '0:3'),
  element('policy-ranges', '0:c . udp . 1000-65535', 'none'),
];

const plan = (links = podLinks): Item[] => [
  { kind: 'nft-table', name: 'podnet', comment: 'policy' },
  ...planPolicyChains({ podLinks: links }),
  ...planEpoch(0xabcdef, defaultConnmarkMask),
  ...elements,
];

function write(where: TestNs, items: readonly Item[]): void {
  using kernel = Nft.open(where.ns);
  const reconciler = new Reconciler([new NftWriter(kernel)]);
  reconciler.contribute('policy', items);
  assert.deepEqual(reconciler.sync().failures, []);
}

/** Turns one byte around: Debian 12's nft writes that for protocols in sets of intervals. */
const hasEffect = (one: Expressions[number]): boolean => !(one.name === 'byteorder' && one.length! < one.size!);

/** What the kernel holds, by key; rules as their expressions. */
function held({ ns }: TestNs): Map<string, unknown> {
  using kernel = Nft.open(ns);
  return new Map<string, unknown>(
    Array.from(new NftWriter(kernel).observe(), (item): [string, unknown] => {
      if (item.kind === 'nft-chain')
        return [keyOf(item), { ...item, rules: item.rules.map(({ expressions }) => expressions.filter(hasEffect)) }];
      return [keyOf(item), item];
    }),
  );
}

for (const links of [podLinks, { group: 28782, bridge: 'cbr0' }]) {
  const how = links.bridge === undefined ? 'routed' : 'bridge';
  test(`SD23 (${how}): the chains and sets of policies are written as planned, and each chain is reached`, needsRoot, () => {
    using world = new TestWorld('policy');
    const node = world.namespace('node');
    const items = plan(links);
    write(node, items);
    const found = held(node);
    assert.deepEqual([...found.keys()].sort(), items.map(keyOf).sort());
    using kernel = Nft.open(node.ns);
    const again = new Reconciler([new NftWriter(kernel)]);
    again.contribute('policy', items);
    assert.deepEqual(again.sync().operations, [], 'what is right is left alone');
    const chains = items.filter((item) => item.kind === 'nft-chain');
    const reached = new Set(chains.flatMap(({ rules }) => rules.flatMap(({ expressions }) => targets(expressions))));
    assert.deepEqual(
      chains.filter(({ name, hook }) => !hook && !reached.has(name)).map(({ name }) => name),
      [],
    );
    assert.deepEqual(
      [...reached].filter((name) => !chains.some((chain) => chain.name === name)),
      [],
    );
    const looked = new Set(chains.flatMap(({ rules }) => rules.flatMap(({ expressions }) => sets(expressions))));
    // Packets write the others of those of denials.
    assert.deepEqual([...looked].sort(), [...policySets.map(({ name }) => name), 'logged4', 'logged6'].sort());
  });
}

type Expressions = Extract<Item, { kind: 'nft-chain' }>['rules'][number]['expressions'];
const targets = (expressions: Expressions): string[] =>
  expressions.flatMap((one) => (one.name === 'immediate' ? (/^(?:goto|jump) (.*)$/.exec(one.data ?? '')?.[1] ?? []) : []));
const sets = (expressions: Expressions): string[] => expressions.flatMap((one) => (one.name === 'lookup' ? (one.set ?? []) : []));

for (const tool of [{ name: 'nft', path: 'nft', package: 'nftables', present: true }, ...nftBinaries()]) {
  test(`the table of policies as ${tool.name} lists it, fed back, is the same to the kernel`, {
    ...needsRoot,
    ...skipped(tool),
  }, () => {
    using world = new TestWorld('policy');
    for (const links of [podLinks, { group: 28782, bridge: 'cbr0' }]) {
      const [node, copy] = [world.namespace(`node-${links.bridge}`), world.namespace(`copy-${links.bridge}`)];
      write(node, plan(links));
      const binary = tool.path === 'nft' ? 'nft' : requireTool(tool);
      // Flags of its owner, which the older nft does not know by name.
      const listed = run(node.path, binary, 'list', 'table', 'inet', 'podnet').replace(/^\tflags.*\n/m, '');
      const file = join(world.directory, 'listed.nft');
      writeFileSync(file, listed);
      run(copy.path, binary, '-f', file);
      assert.deepEqual(held(copy), held(node));
    }
  });
}

function skipped(tool: typeof nftBinaries extends () => (infer T)[] ? T : never): { skip?: string } {
  const { skip } = needsTool(tool);
  return typeof skip === 'string' ? { skip } : {};
}
