import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Expression, match, Nft, type Rule } from '../kernel/nftables/index.ts';
import { run } from '../testing/judge.ts';
import { TestWorld } from '../testing/netns.ts';
import { needsRoot } from '../testing/root.ts';
import { NftWriter, Reconciler } from './index.ts';
import type { Item } from './model.ts';

/** What no kernel has. */
const strange: Expression = { name: 'match', match: 'podnet-none', revision: 0, info: '0x00' };
const unknown: Rule = { text: 'strange', expressions: [strange, ...match.accept.expressions] };
const drops = match.rule(match.drop);

const items = (rules: readonly Rule[], otherwise?: readonly Rule[]): Item[] => [
  { kind: 'nft-table', name: 'podnet', comment: 'layout' },
  { kind: 'nft-chain', name: 'end', rules: [...rules], ...(otherwise ? { otherwise } : {}) },
  {
    ...{ kind: 'nft-chain', name: 'begin', rules: [match.rule(match.protocol('tcp'), match.goto('end'))] },
    hook: { type: 'filter', hook: 'input', priority: 0, policy: 'accept' },
  },
];

test('what a kernel does not have is written otherwise, in the same sync; a restart tries once more and writes nothing', needsRoot, () => {
  using world = new TestWorld('reconcile');
  const ns = world.namespace('node');
  let nft = Nft.open(ns.ns);
  const start = (): { reconciler: Reconciler; writer: NftWriter } => {
    nft[Symbol.dispose]();
    nft = Nft.open(ns.ns);
    const writer = new NftWriter(nft);
    return { reconciler: new Reconciler([writer]), writer };
  };
  const rules = (): string => run(ns.path, 'nft', 'list', 'chain', 'inet', 'podnet', 'end').replace(/\s+/g, ' ');
  const handles = (): string => run(ns.path, 'nft', '-a', 'list', 'ruleset').replace(/ flags .*/g, '');

  const { reconciler, writer } = start();
  reconciler.contribute('a', items([unknown], [drops]));
  assert.deepEqual(reconciler.sync().failures, []);
  assert.equal(reconciler.status('a')?.state, 'done');
  assert.match(rules(), /chain end \{ drop \}/);
  assert.deepEqual([...writer.reduced.keys()], ['nft-chain end']);
  assert.match(writer.reduced.get('nft-chain end')!, /ENOENT/);

  const before = handles();
  reconciler.markAll();
  assert.deepEqual(reconciler.sync().operations, [], 'it counts as what was wanted');
  const { reconciler: second, writer: again } = start();
  second.contribute('a', items([unknown], [drops]));
  assert.deepEqual(second.sync().failures, []);
  assert.deepEqual([...again.reduced.keys()], ['nft-chain end']);
  assert.equal(handles(), before);

  // Another version of the layout: the table is made anew.
  second.contribute('a', [{ kind: 'nft-table', name: 'podnet', comment: 'layout 2' }, ...items([unknown], [drops]).slice(1)]);
  assert.deepEqual(second.sync().failures, []);
  assert.match(rules(), /chain end \{ drop \}/);

  second.contribute('a', items([match.rule(match.accept)], [drops]));
  assert.deepEqual(second.sync().failures, []);
  assert.match(rules(), /chain end \{ drop \}/, 'while this writer lives');
  second.contribute('a', items([match.rule(match.protocol('udp'), match.accept)]));
  assert.deepEqual(second.sync().failures, []);
  assert.match(rules(), /chain end \{ meta l4proto udp accept \}/);
  nft[Symbol.dispose]();
});

test('a chain that cannot be written otherwise either is refused, and told as what it is', needsRoot, () => {
  using world = new TestWorld('reconcile');
  const ns = world.namespace('node');
  const writer = new NftWriter(Nft.open(ns.ns));
  const reconciler = new Reconciler([writer]);
  reconciler.contribute('a', items([unknown], [unknown]));
  reconciler.contribute('b', [{ kind: 'nft-chain', name: 'plain', rules: [unknown] }]);
  const failed = new Set(reconciler.sync().failures.map(({ key }) => key));
  assert.ok(failed.has('nft-chain end') && failed.has('nft-chain plain'), [...failed].join());
  assert.equal(reconciler.status('a')?.state, 'error');
  assert.deepEqual([...writer.reduced], []);
  reconciler.contribute('a', items([drops], [unknown]));
  assert.deepEqual(reconciler.sync().failures.map(({ key }) => key), ['nft-chain plain']);
});
