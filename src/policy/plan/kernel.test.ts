import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Nft } from '../../kernel/nftables/index.ts';
import { Prefix } from '../../net/prefix.ts';
import { type Item, NftWriter, Reconciler } from '../../reconcile/index.ts';
import { TestWorld } from '../../testing/netns.ts';
import { needsRoot } from '../../testing/root.ts';
import { readParts } from '../read-world.ts';
import { randomCase } from '../testkit/random.ts';
import type { WorldParts } from '../world.ts';
import { PolicyPlanner, policySets } from './index.ts';

const podCidrs = ['10.0.0.0/24', 'fd00::/64'].map((text) => Prefix.parse(text));
const layout: Item[] = [
  { kind: 'nft-table', name: 'podnet', comment: 'policies alone' },
  ...policySets.map((spec): Item => ({ kind: 'nft-set', ...spec })),
];

type Parts = ReturnType<typeof readParts>;

function feed(planner: PolicyPlanner, { pods, namespaces, nodes, policies }: Required<Omit<WorldParts, 'resolved'>>): void {
  for (const [name, labels] of namespaces) planner.setNamespace(name, labels);
  for (const node of nodes) planner.setNode(node);
  for (const pod of pods) planner.setPod(pod);
  for (const policy of policies) planner.setPolicy(policy);
}

test('what is planned is in the kernel as it is written, through changes, and after a restart nothing is written', needsRoot, () => {
  using world = new TestWorld('policy-plan');
  const { ns } = world.namespace('node');
  const start = (reconciler: Reconciler): PolicyPlanner =>
    new PolicyPlanner({ node: { name: 'n1', podLinks: { group: 1 }, podCidrs }, held: reconciler.observe() });
  const sync = (reconciler: Reconciler, planner: PolicyPlanner): ReturnType<Reconciler['sync']> => {
    reconciler.contribute('policy layout', layout);
    for (const [owner, items] of planner.changes()) reconciler.contribute(owner, items);
    return reconciler.sync();
  };
  const seen = new Set<string>();
  for (let seed = 1; seed <= 25; seed++) {
    using nft = Nft.open(ns);
    const reconciler = new Reconciler([new NftWriter(nft)]);
    const planner = start(reconciler);
    const [first, second] = [seed, seed + 1000].map((one): Parts => readParts(randomCase(one).objects)) as [Parts, Parts];
    feed(planner, first);
    assert.deepEqual(sync(reconciler, planner).failures, [], `seed ${seed}`);
    // The same pods by other policies, and others' labels.
    for (const policy of first.policies) planner.deletePolicy(policy);
    const now = { ...first, policies: second.policies, namespaces: new Map([...first.namespaces, ...second.namespaces]) };
    feed(planner, now);
    assert.deepEqual(sync(reconciler, planner).failures, [], `seed ${seed}, after changes`);
    const again = new Reconciler([new NftWriter(nft)]);
    const restarted = start(again);
    feed(restarted, now);
    assert.deepEqual(sync(again, restarted).operations, [], `seed ${seed}: a restart writes what is right`);
    for (const item of reconciler.actual().values()) if (item.kind === 'nft-element') seen.add(item.set.replace(/[46]$/, ''));
  }
  const wanted = ['nets', 'ids', 'egress', 'ingress', 'ports', 'ranges', 'selves'].map((name) => `policy-${name}`);
  assert.deepEqual(wanted.filter((name) => !seen.has(name)), [], 'sets that nothing was written to');
});
