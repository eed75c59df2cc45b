import assert from 'node:assert/strict';
import { endianness } from 'node:os';
import { test } from 'node:test';
import type { IpSet, IpSetElement } from '../kernel/ipset.ts';
import { readIpSets } from '../kernel/ipset.ts';
import { type RulesetTable, readRuleset } from '../kernel/nftables/index.ts';
import type { Rule } from '../kernel/nftables/types.ts';
import { Prefix } from '../net/prefix.ts';
import { run } from '../testing/judge.ts';
import { TestWorld } from '../testing/netns.ts';
import { needsRoot } from '../testing/root.ts';
import { changeIpSet, makeIpSet, whyNoIpSets } from './testkit/ipsets.ts';
import { chain, judge, table } from './testkit/shape.ts';
import { ipsetsNamed } from '../walk/xt-set.ts';

/** `-m set --match-set` of revision 4, struct xt_set_info_match_v4. */
function rule({ flags = 0, packets = 0, revision = 4 } = {}): Rule {
  const info = Buffer.alloc(48);
  if (endianness() === 'LE') info.writeUInt16LE(7, 0);
  else info.writeUInt16BE(7, 0);
  info.writeUInt8(1, 2);
  info.writeUInt8(flags, 3);
  info.writeUInt8(packets, 16);
  return {
    text: '',
    expressions: [
      { name: 'match', match: 'set', revision, info: `0x${info.toString('hex')}` },
      { name: 'immediate', dreg: 'verdict', data: 'drop' },
    ],
  };
}

const element = (prefix: string, more: Partial<IpSetElement> = {}): IpSetElement => ({
  ...{ prefix: Prefix.parse(prefix), isException: false, expires: false },
  ...more,
});

/** What is found with a set of IPv4 as number 7, when a rule drops what is in it. */
function found(elements: IpSet['elements'], how: Parameters<typeof rule>[0] = {}, known = true): string[] {
  const set: IpSet = { name: 'theirs', type: 'hash:net', family: 'ipv4', elements };
  const tables: RulesetTable[] = [
    { ...table([chain('forward', [rule(how)], {})]), ...(known ? { ipsets: new Map([[7, set]]) } : {}) },
  ];
  assert.deepEqual([...ipsetsNamed(tables)], [7]);
  return judge(tables).map(({ severity, what }) => `${severity}: ${/(IPv4 and IPv6|IPv4|IPv6)/.exec(what)?.[0]}`);
}

const source = 2;
const inverse = 1;

test('F42: what a set of ip_set holds decides, by the longest prefix, as the kernel looks it up', () => {
  assert.deepEqual(found([]), []);
  assert.deepEqual(found([element('10.1.0.0/16')]), ['problem: IPv4']);
  assert.deepEqual(found([element('10.1.0.0/16')], { flags: source }), ['problem: IPv4']);
  assert.deepEqual(found([element('10.9.0.0/16')]), []);
  assert.deepEqual(found([element('10.1.0.0/16'), element('10.1.0.0/23', { isException: true })]), []);
  assert.deepEqual(found([element('10.1.0.0/23', { isException: true }), element('10.1.0.2/31')]), ['problem: IPv4']);
  // Packets of IPv6 are in no set of IPv4: the kernel turns that answer round as well.
  assert.deepEqual(found([element('0.0.0.0/1'), element('128.0.0.0/1')], { flags: inverse }), ['problem: IPv6']);
});

test('F42: what a set or a question of another kind would answer is not guessed at', () => {
  assert.deepEqual(found(undefined), ['warning: IPv4'], 'another type, or too many elements');
  assert.deepEqual(found([], {}, false), ['warning: IPv4 and IPv6'], 'a set that went meanwhile');
  assert.deepEqual(found([element('10.1.0.0/16', { expires: true })]), ['warning: IPv4']);
  assert.deepEqual(found([element('10.1.0.0/16')], { packets: 1 }), ['warning: IPv4'], 'it asks what was counted');
  assert.deepEqual(found([element('10.1.0.0/16')], { flags: 0x80 }), ['warning: IPv4'], '--return-nomatch');
});

test('F42: the sets that rules name are read from the kernel by their numbers, in both families', needsRoot, (t) => {
  using world = new TestWorld('ipset');
  const { ns, path } = world.namespace('node');
  const why = whyNoIpSets(ns);
  if (why !== undefined) return t.skip(why);
  makeIpSet(ns, 'nets-v4', 'ipv4', ['10.1.0.0/16', '!10.1.2.0/24', '192.0.2.7/32']);
  makeIpSet(ns, 'nets-v6', 'ipv6', ['fd01::/48']);
  makeIpSet(ns, 'ports', 'ipv4', [], 'hash:ip,port');
  makeIpSet(ns, 'unused', 'ipv4', ['10.5.0.0/16']);
  const many = Array.from({ length: 3000 }, (_, i) => `10.${i >> 8}.${i & 255}.0/24`);
  makeIpSet(ns, 'many', 'ipv4', many);
  for (const [tool, set, side] of [
    ['iptables-nft', 'nets-v4', 'dst'],
    ['iptables-nft', 'ports', 'dst,src'],
    ['iptables-nft', 'many', 'src'],
    ['ip6tables-nft', 'nets-v6', 'src'],
  ] as const)
    run(path, tool, '-A', 'FORWARD', '-m', 'set', '!', '--match-set', set, side, '-j', 'DROP');
  const read = (maxElements?: number): Record<string, string[] | undefined> =>
    Object.fromEntries(
      [...readIpSets(ns, ipsetsNamed(readRuleset(ns).tables), maxElements).values()].map(({ name, elements }) => [
        name,
        elements?.map(({ prefix, isException }) => `${isException ? '!' : ''}${prefix}`).sort(),
      ]),
    );
  const sets = read();
  assert.deepEqual(Object.keys(sets).sort(), ['many', 'nets-v4', 'nets-v6', 'ports']);
  assert.deepEqual(sets['nets-v4'], ['!10.1.2.0/24', '10.1.0.0/16', '192.0.2.7/32']);
  assert.deepEqual([sets['nets-v6'], sets.ports], [['fd01::/48'], undefined]);
  assert.deepEqual(sets.many, many.toSorted(), 'in several messages');
  assert.equal(read(100).many, undefined);
  changeIpSet(ns, 'nets-v6', 'del', ['fd01::/48']);
  assert.deepEqual(read()['nets-v6'], []);
});
