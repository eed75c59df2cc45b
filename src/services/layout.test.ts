import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Nft } from '../kernel/nftables/index.ts';
import { families } from '../net/ip.ts';
import { NftWriter, Reconciler } from '../reconcile/index.ts';
import { nft, run } from '../testing/judge.ts';
import { type TestNs, TestWorld } from '../testing/netns.ts';
import { needsRoot } from '../testing/root.ts';
import { planLayout } from './layout.ts';
import { layoutVersion } from './names.ts';
import { serviceNode } from './testkit/testbed.ts';

const plan = planLayout(serviceNode, [[10_800, 0]]);

test('SD23: the table says whose and which layout it is, every set what it is for, and what clients are remembered in ends by itself', () => {
  assert.deepEqual(plan.filter(({ kind }) => kind === 'nft-table'), [{ kind: 'nft-table', name: 'podnet', comment: layoutVersion }]);
  const sets = plan.filter((item) => item.kind === 'nft-set');
  assert.deepEqual(sets.filter(({ comment }) => !comment).map(({ name }) => name), []);
  for (const family of families) {
    const memory = sets.find(({ name }) => name === `affinity${family === 'ipv4' ? 4 : 6}`);
    assert.deepEqual([...memory!.flags].sort(), ['dynamic', 'timeout'], family);
  }
});

/** podnet's table in no order, without handles and the flag of its owner. */
const tableOf = ({ path }: TestNs): string[] =>
  nft(path, 'list', 'table', 'inet', 'podnet')
    .filter((item) => !('metainfo' in item))
    .map((item) => JSON.stringify(item, (key, value: unknown) => (key === 'handle' || key === 'flags' ? undefined : value)))
    .sort();

/** @returns how many transactions it took */
function write(where: TestNs): number {
  using kernel = Nft.open(where.ns);
  const reconciler = new Reconciler([new NftWriter(kernel)]);
  reconciler.contribute('layout', plan);
  const generation = kernel.generation();
  assert.deepEqual(reconciler.sync().failures, []);
  return kernel.generation() - generation;
}

test('SD23, SD30: chains of another priority or hook, and a whole table of another layout, become right in one transaction; tables of others stay', needsRoot, () => {
  using world = new TestWorld('services');
  const fresh = world.namespace('fresh');
  write(fresh);
  const right = tableOf(fresh);
  const formers = {
    'another layout': 'comment "podnet layout 0"; chain gone { }; chain nat-prerouting { type filter hook prerouting priority 7; }',
    'another priority': `comment "${layoutVersion}"; chain nat-prerouting { type nat hook prerouting priority -90; accept; }`,
    'another hook': `comment "${layoutVersion}"; chain filter-input { type filter hook output priority 0; drop; }`,
  };
  for (const [what, former] of Object.entries(formers)) {
    const node = world.namespace(what.replace(' ', '-'));
    run(node.path, 'nft', `table ip foreign { chain c { type filter hook input priority 1; counter; }; }`);
    const foreign = JSON.stringify(nft(node.path, 'list', 'table', 'ip', 'foreign'));
    run(node.path, 'nft', `table inet podnet { ${former}; }`);
    assert.equal(write(node), 1, `${what}: one transaction`);
    assert.deepEqual(tableOf(node), right, what);
    assert.equal(JSON.stringify(nft(node.path, 'list', 'table', 'ip', 'foreign')), foreign, what);
  }
});
