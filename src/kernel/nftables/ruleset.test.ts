import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nft, run } from '../../testing/judge.ts';
import { TestWorld } from '../../testing/netns.ts';
import { needsRoot } from '../../testing/root.ts';
import { readRuleset } from './index.ts';

const foreign = `
table ip filter {
  chain FORWARD { type filter hook forward priority filter; policy drop; counter jump LATER; }
  chain LATER { ip saddr 10.0.0.0/8 tcp dport 80-90 limit rate 5/second log prefix "seen " reject with icmp host-unreachable comment "not here"; }
}
table inet other {
  set blocked { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 192.0.2.7 } }
  set pairs { type ipv4_addr . inet_service; flags interval; elements = { 10.0.0.0/24 . 80-90 } }
  map ways { type ifname : verdict; elements = { "eth0" : accept, "eth1" : jump away } }
  chain away { }
  chain in { type filter hook input priority -5; policy accept; iifname vmap @ways; ct state vmap { established : accept, invalid : drop }; }
}
table netdev early { }
table ip6 asleep { flags dormant; chain out { type route hook output priority 3; meta mark set 0x7; }; }
table inet podnet { chain ours { }; }
`;

test(
  'SD30: what others wrote is read as the tables, chains, rules and elements that nft lists, and stays as it is',
  needsRoot,
  () => {
    using world = new TestWorld('ruleset');
    const node = world.namespace('node');
    run(node.path, 'sh', '-c', `nft -f - <<'END'\n${foreign}\nEND`);
    const before = run(node.path, 'nft', 'list', 'ruleset');
    const { tables, generation } = readRuleset(node.ns, { skip: (_, name) => name === 'podnet' });
    assert.equal(run(node.path, 'nft', 'list', 'ruleset'), before);
    assert.equal(readRuleset(node.ns).generation, generation, 'reading is no change');

    type Listed = Record<
      string,
      { family: string; name?: string; table?: string; chain?: string; handle: number; hook?: string; prio?: number }
    >;
    const listed = nft<Listed>(node.path, 'list', 'ruleset').filter(
      (item) => !item.metainfo && Object.values(item)[0]?.table !== 'podnet',
    );
    const told = {
      tables: listed.flatMap(({ table }) => (table && table.name !== 'podnet' ? [`${table.family} ${table.name}`] : [])),
      chains: listed.flatMap(({ chain }) =>
        chain ? [`${chain.family} ${chain.table} ${chain.name} ${chain.hook} ${chain.prio}`] : [],
      ),
      rules: listed.flatMap(({ rule }) => (rule ? [`${rule.family} ${rule.table} ${rule.chain} ${rule.handle}`] : [])),
    };
    const chains = tables.flatMap((table) => [...table.chains.values()].map((chain) => ({ table, chain })));
    assert.deepEqual(
      {
        tables: tables.map(({ family, name }) => `${family} ${name}`),
        chains: chains.map(
          ({ table, chain }) => `${table.family} ${table.name} ${chain.name} ${chain.hook?.hook} ${chain.hook?.priority}`,
        ),
        rules: chains.flatMap(({ table, chain }) =>
          chain.rules.map(({ handle }) => `${table.family} ${table.name} ${chain.name} ${handle}`),
        ),
      },
      told,
    );
    const [filter, other, , asleep] = tables;
    assert.equal(filter!.chains.get('FORWARD')!.hook!.policy, 'drop');
    assert.equal(filter!.chains.get('LATER')!.rules[0]!.comment, 'not here');
    assert.deepEqual(
      filter!.chains.get('LATER')!.rules[0]!.expressions.map(({ name }) => name),
      // 80-90: two comparisons.
      ['payload', 'cmp', 'meta', 'cmp', 'payload', 'cmp', 'cmp', 'limit', 'log', 'reject'],
    );
    assert.equal(asleep!.dormant, true);
    const { blocked, pairs, ways } = Object.fromEntries(other!.sets);
    assert.deepEqual(
      blocked!
        .elements!.filter(({ end }) => !end)
        .map(({ key }) => key.toString('hex'))
        .sort(),
      ['0a000000', 'c0000207'],
    );
    assert.deepEqual([pairs!.parts, pairs!.elements![0]!.keyEnd!.toString('hex')], [[4, 2], '0a0000ff005a0000']);
    assert.deepEqual(ways!.elements!.map(({ key, data }) => `${key.toString('utf8', 0, 4)} ${data}`).sort(), [
      'eth0 accept',
      'eth1 jump away',
    ]);
  },
);

test('sets with more elements than wanted are told without them', needsRoot, () => {
  using world = new TestWorld('ruleset');
  const node = world.namespace('node');
  run(node.path, 'nft', 'add table ip t; add set ip t s { type ipv4_addr; elements = { 10.0.0.1, 10.0.0.2, 10.0.0.3 }; }');
  const elements = (maxElements: number): number | undefined =>
    readRuleset(node.ns, { maxElements }).tables[0]!.sets.get('s')!.elements?.length;
  assert.deepEqual([elements(3), elements(2)], [3, undefined]);
});
