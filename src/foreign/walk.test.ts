import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Expression, RulesetSet } from '../kernel/nftables/index.ts';
import { match } from '../kernel/nftables/index.ts';
import type { Rule } from '../kernel/nftables/types.ts';
import { IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { sentence } from './findings.ts';
import { chain, judge, shape, table } from './testkit/shape.ts';

const { rule, drop, accept, jump, goto, returns, isWithin, protocol, iifIs, isIn, daddr, ctStateNew, reject } = match;

/** What cannot be told beforehand. */
const sometimes = { text: 'limit rate 1/second', expressions: [{ name: 'limit', rate: 1, unit: 1, burst: 5 }] as Expression[] };
const fromPods = isWithin('saddr', Prefix.parse('10.1.0.0/16'));
const severities = (...rules: Rule[]): string[] => judge([table([chain('forward', rules, {})])]).map(({ severity }) => severity);

test('a rule that drops packets between pods for certain is a problem, named with its handle and words', () => {
  const [finding, ...more] = judge([table([chain('forward', [rule(protocol('udp'), fromPods, drop)], {})])]);
  assert.deepEqual(more, []);
  assert.equal(
    sentence(finding!),
    'table inet theirs chain forward rule handle 1: "meta l4proto udp meta nfproto ipv4 ip saddr 10.1.0.0/16 drop" drops IPv4 UDP packets of pods of this node ' +
      'to each other, of pods to pods of other nodes, of pods of other nodes to pods of this one, of pods to Services; mend it with: ' +
      'nft insert rule inet theirs forward ip saddr 10.1.0.0/16 accept && nft insert rule inet theirs forward ip daddr 10.1.0.0/16 accept',
  );
});

test('a policy of drop is a problem unless a rule before accepts; replies are looked at as well', () => {
  const policy = (...rules: Rule[]): string[] =>
    judge([table([chain('forward', rules, { policy: 'drop' })])]).map((finding) => `${finding.severity} ${finding.rule}`);
  const named = 'table inet theirs chain forward policy drop';
  assert.deepEqual(policy(), [`problem ${named}`]);
  assert.deepEqual(policy(rule(accept)), []);
  assert.deepEqual(policy(rule(ctStateNew, accept)), [`problem ${named}`], 'answers are dropped');
});

test('what cannot be told beforehand is a warning that names the rule it depends on, never a problem', () => {
  assert.deepEqual(severities(rule(sometimes, drop)), ['warning']);
  assert.deepEqual(severities(rule(sometimes, accept), rule(fromPods, drop)), ['warning']);
  const [finding] = judge([table([chain('forward', [rule(sometimes, accept)], { policy: 'drop' })])]);
  assert.match(sentence(finding!), /perhaps drops .* \(it depends on table inet theirs chain forward rule handle 1: "limit rate/);
});

test('a drop that follows a drop of which nobody knows is certain: the packet is lost either way', () => {
  assert.deepEqual(severities(rule(sometimes, drop), rule(drop)), ['warning', 'problem']);
});

test('jump comes back, goto does not, return leaves the chain', () => {
  const run = (entry: Rule[], ...others: Rule[][]): string[] => {
    const chains = [chain('forward', entry, {}), ...others.map((rules, i) => chain(`c${i}`, rules))];
    return judge([table(chains)]).map(
      (finding) => `${finding.severity} ${finding.rule.slice('table inet theirs chain '.length)}`,
    );
  };
  assert.deepEqual(run([rule(jump('c0')), rule(drop)], [rule(returns), rule(reject)]), ['problem forward rule handle 2: "drop"']);
  assert.deepEqual(run([rule(goto('c0')), rule(drop)], [rule(returns), rule(reject)]), []);
  assert.deepEqual(run([rule(jump('c0'))], [rule(jump('c1'))], [rule(drop)]), [
    'problem c1 rule handle 1 (called from forward): "drop"',
  ]);
  assert.deepEqual(run([rule(jump('c0')), rule(drop)], [rule(sometimes, returns), rule(accept)]), [
    'warning forward rule handle 2: "drop"',
  ]);
  assert.deepEqual(run([rule(sometimes, jump('c0')), rule(drop)], [rule(accept)]), ['warning forward rule handle 2: "drop"']);
});

test('an accept in one table does not keep another from dropping', () => {
  const theirs = table([chain('forward', [rule(drop)], { priority: 10 })]);
  const others = { ...table([chain('first', [rule(accept)], { priority: -10 })]), name: 'others' };
  assert.deepEqual(
    judge([others, theirs]).map(({ rule: name }) => name),
    ['table inet theirs chain forward rule handle 1: "drop"'],
  );
  assert.deepEqual(judge([{ ...theirs, dormant: true }]), []);
});

test('rules about other links, addresses and protocols are passed by', () => {
  assert.deepEqual(
    severities(
      rule(iifIs('docker0'), drop),
      rule(isWithin('saddr', Prefix.parse('172.17.0.0/16')), drop),
      rule(protocol('sctp'), drop),
    ),
    [],
  );
});

test('what only the outside of the cluster notices is a warning: it may be meant so', () => {
  const outwards = rule(isWithin('daddr', Prefix.parse('1.0.0.0/8')), drop);
  assert.deepEqual(severities(outwards), ['warning']);
});

test('sets are looked up: whole keys, intervals, and what has more elements than were read is unknown', () => {
  const address = (text: string): Buffer => Buffer.from(Prefix.parse(text).address.bytes);
  const set = (more: Partial<RulesetSet>): RulesetSet => ({
    ...{ name: 'blocked', keyLength: 4, interval: false, isMap: false, dynamic: false, elements: [] },
    ...more,
  });
  const element = { end: false, catchAll: false };
  const ask = (more: Partial<RulesetSet>): string[] =>
    judge([table([chain('forward', [rule(isIn(daddr('ipv4'), 'blocked'), drop)], {})], [set(more)])]).map(
      ({ severity }) => severity,
    );
  assert.deepEqual(ask({ elements: [{ ...element, key: address('10.1.0.9/32') }] }), []);
  assert.deepEqual(ask({ elements: [{ ...element, key: address('10.1.0.3/32') }] }), ['problem']);
  const interval = [
    { ...element, key: address('10.1.0.0/16') },
    { ...element, key: address('10.2.0.0/16'), end: true },
  ];
  assert.deepEqual(ask({ interval: true, elements: interval }), ['problem']);
  assert.deepEqual(ask({ interval: true, elements: [interval[1]!] }), []);
  assert.deepEqual(ask({ elements: undefined }), ['warning']);
});

test('a foreign masquerade of packets between pods is a warning: they arrive, with a wrong source', () => {
  const nat = { type: 'nat', hook: 'postrouting', priority: 100 } as const;
  const [finding, ...more] = judge([table([chain('out', [rule(fromPods, match.masquerade)], nat)])]);
  assert.deepEqual(more, []);
  assert.equal(finding!.severity, 'warning');
  assert.match(finding!.what, /^gives another source address to IPv4 packets of pods of this node to each other, /);
  assert.equal(finding!.fix, 'nft insert rule inet theirs out ip saddr 10.1.0.0/16 ip daddr 10.1.0.0/16 accept');
  // What leaves the cluster may well get another address.
  const outwards = rule(fromPods, isWithin('daddr', Prefix.parse('1.0.0.0/8')), match.masquerade);
  assert.deepEqual(judge([table([chain('out', [outwards], nat)])]), []);
});

test('each link that leads to other nodes is looked at', () => {
  const tunnel = { name: 'podnet-vxlan', index: 9, group: 0 };
  const node = { ...shape, peers: [...shape.peers, { podCidr: Prefix.parse('10.1.2.0/24'), link: tunnel }] };
  const rules = [rule(iifIs('podnet-vxlan'), drop)];
  assert.deepEqual(
    judge([table([chain('forward', rules, {})])], node).map(({ what }) => what),
    ['drops IPv4 packets of pods to pods of other nodes, of pods of other nodes to pods of this one, of pods to Services'],
  );
});

test('tunnels between nodes: a firewall that lets pods through but not VXLAN is told with what opens its port', () => {
  const [local, remote] = [IpAddr.parse('192.0.2.1'), IpAddr.parse('192.0.2.2')];
  const node = { ...shape, tunnel: { port: 4789, local, remote } };
  const input = [rule(fromPods, accept), rule(isWithin('saddr', Prefix.parse('fd01::/48')), accept)];
  const stateful = { text: 'ct state established', expressions: [...match.ctStateNew.expressions.slice(0, 2), isZero] };
  const found = judge([table([chain('input', [rule(stateful, accept), ...input], { hook: 'input', policy: 'drop' })])], node);
  assert.deepEqual(found.map(sentence), [
    'table inet theirs chain input policy drop drops IPv4 UDP packets of tunnels between nodes (VXLAN); mend it with: ' +
      'nft insert rule inet theirs input udp dport 4789 accept',
  ]);
});

/** `ct state != new`, behind the mask of ctStateNew. */
const isZero: Expression = { name: 'cmp', sreg: 0, op: 'eq', data: '0x00000000' };

test('extensions of iptables with a struct that is too short are unknown, never a fault', () => {
  for (const name of [
    'conntrack',
    'addrtype',
    'tcp',
    'udp',
    'multiport',
    'mark',
    'iprange',
    'physdev',
    'devgroup',
    'state',
    'strange',
  ])
    for (const info of ['0x', '0x01', `0x${'ff'.repeat(12)}`]) {
      const extension: Expression = { name: 'match', match: name, revision: 1, info };
      const [finding] = judge([table([chain('forward', [{ text: '', expressions: [extension, ...drop.expressions] }], {})])]);
      if (finding) assert.ok(sentence(finding).length > 0);
    }
});
