import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { match, Nft, setSpec } from '../kernel/nftables/index.ts';
import { families } from '../net/ip.ts';
import { type Item, NftWriter, Reconciler } from '../reconcile/index.ts';
import { nft, run } from '../testing/judge.ts';
import { type TestNs, TestWorld } from '../testing/netns.ts';
import { needsRoot } from '../testing/root.ts';
import { planLayout } from './layout.ts';
import { layoutVersion } from './names.ts';
import { setOfPriority } from './parts.ts';
import { ServicePlanner } from './planner.ts';
import { service, serviceNode, slice, Testbed } from './testkit/testbed.ts';

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

test('what kernels before 2026 walk over to find loops of chains is some hundred rules for each timeout: one rule alone of those that draw leads to session affinity', () => {
  const rulesOf = new Map(plan.flatMap((item) => (item.kind === 'nft-chain' ? [[item.name, item.rules.map(({ text }) => text)]] : [])));
  const leads = new Map<string, string[]>();
  for (const item of plan) {
    const to = item.kind === 'nft-element' ? /^(?:goto|jump) (\S+)$/.exec(item.data ?? '')?.[1] : undefined;
    if (item.kind === 'nft-element' && to !== undefined) leads.set(item.set, [...(leads.get(item.set) ?? []), to]);
  }
  /** Each rule, and all that it leads to, again for each way there (nft_chain_validate). */
  const walked = (chain: string): number =>
    rulesOf.get(chain)!.reduce((sum, text) => {
      const to = /(?:goto|jump) (\S+)$/.exec(text)?.[1];
      const map = /vmap @(\S+)$/.exec(text)?.[1];
      return sum + 1 + [...(to ? [to] : []), ...(map ? leads.get(map)! : [])].reduce((all, next) => all + walked(next), 0);
    }, 0);
  assert.ok(walked('affinity-10800') < 400, `${walked('affinity-10800')}`);
  assert.ok(walked('balance') < 1000, `${walked('balance')}`);
});

/** As layout 4 had it: no protocol in the key of a slot. */
function former(item: Item): Item {
  if (item.kind === 'nft-table') return { ...item, comment: 'podnet layout 4' };
  if (item.kind === 'nft-set' && /^slots[46]$/.test(item.name)) {
    const { name, comment, data } = item;
    return { kind: 'nft-set', ...setSpec(name, 'classid . integer', comment!, { data: data! }) };
  }
  if (item.kind === 'nft-element' && /^slots[46]$/.test(item.set)) return { ...item, key: item.key.replace(/ \. tcp$/, '') };
  const draws = item.kind === 'nft-chain' && /^lb-(?:to-)?(\d+)$/.exec(item.name)?.[1];
  if (!draws) return item;
  const slot = match.concat(setOfPriority, match.randomBelow(Number(draws)));
  return { ...item, rules: families.map((family) => match.rule(match.dnatByMap(family, slot, family === 'ipv4' ? 'slots4' : 'slots6'))) };
}

test('SD23, SD24: an agent that finds a table of the layout before replaces it in one transaction; open connections go on, new ones are led, and the numbers of sets stay', needsRoot, async () => {
  await using bed = new Testbed();
  const port = [{ name: '', port: 80, protocol: 'TCP' }];
  const vips = { ipv4: '10.96.0.1', ipv6: 'fd00:96::1' };
  const sticky = { ipv4: '10.96.0.2', ipv6: 'fd00:96::2' };
  for (const family of families) for (const pod of ['b', 'c']) await bed.serveTcp(pod, family, 8080);
  const objects = {
    node: serviceNode,
    services: families.flatMap((family) => [
      service(`one-${family}`, [vips[family]], port),
      service(`two-${family}`, [sticky[family]], port, { sessionAffinity: 'ClientIP' }),
    ]),
    slices: families.flatMap((family) => ['one', 'two'].map((name) => slice(`${name}-${family}`, family, ['b', 'c']))),
  };
  const start = (held: ReadonlyMap<string, Item>, as = (item: Item) => item): number => {
    const before = generation();
    for (const [owner, items] of new ServicePlanner({ ...objects, held }).take()) bed.reconciler.contribute(owner, [...items].map(as));
    assert.deepEqual(bed.reconciler.sync().failures, []);
    return generation() - before;
  };
  using kernel = Nft.open(bed.node.ns);
  const generation = (): number => kernel.generation();
  const table = (): string => run(bed.node.path, 'nft', 'list', 'table', 'inet', 'podnet');
  const leads = (text: string): string[] => [...text.matchAll(/(?:10\.96\.0\.\d|fd00:96::\d) \. tcp \. 80 : [0-9a-f]+:[0-9a-f]+/g)].map(([lead]) => lead).sort();
  const remembered = (text: string): number => text.split(' expires ').length - 1;

  start(new Map(), former);
  const old = table();
  assert.match(old, /layout 4/);
  const addresses = families.flatMap((family) => [vips[family], sticky[family]]);
  const open = await Promise.all(addresses.map(async (address) => {
    const socket = await bed.connect('a', address, 80);
    const [greeting] = (await once(socket, 'data')) as [Buffer];
    return { socket, who: greeting.toString().split(' ')[0]! };
  }));
  assert.equal(remembered(table()), 2);

  assert.equal(start(bed.reconciler.observe()), 1, 'one transaction');
  const now = table();
  assert.ok(now.includes(layoutVersion));
  assert.equal(leads(now).length, 4);
  assert.deepEqual(leads(now), leads(old));
  assert.equal(remembered(now), 0, 'the memory of clients was in the table');
  for (const { socket, who } of open) {
    socket.write('hello');
    assert.equal(String((await once(socket, 'data'))[0]), `${who} again hello`);
    socket.destroy();
  }
  for (const address of addresses) for (let i = 0; i < 10; i++) assert.match((await bed.ask('a', address, 80)).who, /^[bc]$/);
  assert.equal(remembered(table()), 2);
  assert.equal(start(bed.reconciler.observe()), 0, 'what is right is not written again');
});
