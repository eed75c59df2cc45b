import assert from 'node:assert/strict';
import { test } from 'node:test';
import { closeBeyond as close, PolicyLimits, withinLimits as within } from './limits.ts';
import { maxOverlap } from './networks.ts';
import type { Policy } from '../model.ts';
import { type AnyObject, readPolicy } from '../policies.ts';
import { missText } from '../reason-text.ts';
import { problemsText } from '../status.ts';
import { ask, clusterPolicy, networkPolicy, pod } from '../testkit/objects.ts';
import { withMost } from '../testkit/with-most.ts';

/** All of IPv4 but an address: rules of this kind overlap with the square of their number. */
const allBut = (i: number) => ({ ipBlock: { cidr: '0.0.0.0/0', except: [`10.9.${i >> 8}.${i & 255}/32`] } });
const many = (name: string, namespace: string, from: number, count: number) =>
  networkPolicy(`${namespace}/${name}`, {
    podSelector: {},
    ingress: Array.from({ length: count }, (_, i) => ({ from: [allBut(2 * (from + i))] })),
  });
const read = (object: AnyObject): Policy => readPolicy(object)!;
const closedOf = ({ rules }: Policy): number => (rules.ingress ?? []).filter(({ closed }) => closed !== undefined).length;
const limits = { namespace: 190, cluster: 100 };
const withinLimits = (policies: readonly Policy[], overlap = { ...maxOverlap }) => withMost({ overlap }, () => within(policies));
const closeBeyond = (policies: readonly Policy[], overlap = { ...maxOverlap }) => withMost({ overlap }, () => close(policies));

test('rules beyond the limit of their namespace fail closed in the order of names, the policy says so, and no other namespace is touched', () => {
  const all = [many('b', 'shop', 5, 5), many('c', 'shop', 10, 5), many('a', 'shop', 0, 5), many('a', 'bank', 0, 5)].map(read);
  const now = withinLimits(all, limits);
  assert.deepEqual(now.map(closedOf), [1, 5, 0, 0]);
  assert.equal(now[2], all[2]);
  assert.equal(now[3], all[3]);
  assert.deepEqual(now, withinLimits(all.toReversed(), limits).toReversed(), 'whatever the order of events');
  const [problem] = now[1]!.problems;
  assert.equal(problem!.at, 'spec.ingress[0]');
  // 15 rules, each in all of 31 pieces but one.
  assert.match(problem!.what, /NetworkPolicies in namespace shop name overlap 450 times, more than the 190 that nodes take .* put networks with the same ports into one rule/);
  assert.equal(problem!.effect, 'the rule allows nothing, nor do 4 more of the policy what they say');
  assert.match(problemsText(now[0]!)!, /^spec\.ingress\[4\]: the networks .*; the rule allows nothing$/);
});

test('the networks of one rule count once, and the same ones of several rules too', () => {
  const peers = Array.from({ length: 4000 }, (_, i) => ({ ipBlock: { cidr: `11.${i >> 8}.${i & 255}.0/32` } }));
  const one = networkPolicy('shop/one', { podSelector: {}, ingress: [{ from: peers }] });
  const rules = Array.from({ length: 4000 }, () => ({ from: [allBut(1)] }));
  const two = networkPolicy('shop/two', { podSelector: {}, ingress: rules });
  assert.equal(closeBeyond([read(one), read(two)], { ...limits, namespace: 2 * 4000 + 4002 }).size, 0);
});

test('the most that a namespace may have is what 220 rules take that each allow all but an address', () => {
  const counts = [220, 230].map((count) => closedOf(withinLimits([read(many('a', 'shop', 0, count))])[0]!));
  assert.ok(counts[0] === 0 && counts[1]! > 0 && counts[1]! < 10, `${counts} of the limit ${maxOverlap.namespace}`);
});

test('cluster-wide rules beyond their limit deny everything where they deny, and accept nothing', () => {
  const rule = (action: string) => (i: number) => ({ action, to: [{ networks: [`10.${i}.0.0/16`, '192.168.0.0/16'] }] });
  const rules = [...Array.from({ length: 12 }, (_, i) => rule('Accept')(i)), rule('Deny')(12)];
  const policy = read(clusterPolicy('guard', { tier: 'Admin', priority: 1, subject: { namespaces: {} }, egress: rules }));
  assert.deepEqual(policy.problems, []);
  const [closed] = withinLimits([policy], { ...limits, cluster: 20 });
  const egress = closed!.rules.egress!;
  assert.deepEqual([egress[11]!.peers, egress[12]!.peers, egress[12]!.action], [[], undefined, 'Deny']);
  assert.match(closed!.problems[0]!.what, /all cluster-wide policies/);
});

test('policies that come and go one by one are closed as all at once would be, and opened when there is room again', () => {
  const one = new PolicyLimits();
  const settle = () => withMost({ overlap: limits }, () => one.settle());
  const all = [many('a', 'shop', 0, 8), many('b', 'shop', 8, 8), many('a', 'bank', 0, 8)].map(read);
  one.add(all[1]!);
  assert.deepEqual(settle(), []);
  one.add(all[0]!);
  one.add(all[2]!);
  assert.deepEqual(settle(), [all[1]]);
  assert.deepEqual(all.map((policy) => one.of(policy)), withinLimits(all, limits));
  assert.deepEqual(settle(), []);
  one.delete(all[0]!);
  assert.deepEqual(settle(), [all[1]]);
  assert.equal(one.of(all[1]!), all[1]);
});

test('what is asked of policies knows of rules that are closed for their size, and says so', () => {
  const last = networkPolicy('shop/z-last', { podSelector: {}, egress: [{ to: [{ ipBlock: { cidr: '11.0.0.0/8' } }] }] });
  const asked = (count: number) => ask(pod('shop/web', '10.0.0.1'), many('a', 'shop', 0, count), last);
  assert.equal(asked(1).allowed('shop/web', '11.0.0.1'), true);
  const over = asked(400);
  const { egress } = over.verdict('shop/web', '11.0.0.1');
  assert.equal(egress.allowed, false);
  assert.ok(egress.reason.code === 'default-deny');
  assert.match(missText(egress.reason.misses[0]!, 'egress'), /^NetworkPolicy shop\/z-last, spec\.egress\[0\]: over the limit \(.*\), so it allows nothing$/);
  assert.equal(over.allowed('10.9.0.0', 'shop/web'), true, 'a rule before it still counts');
});

test('far beyond the limit the same rules are closed, and networks are told by how many they are', () => {
  const flat = (name: string, from: number) =>
    read(
      networkPolicy(`shop/${name}`, {
        podSelector: {},
        ingress: Array.from({ length: 100 }, (_, rule) => ({
          from: Array.from({ length: 5 }, (_, i) => ({ ipBlock: { cidr: `11.${from}.${rule}.${2 * i}/32` } })),
        })),
      }),
    );
  const all = [flat('c', 3), flat('b', 2), flat('a', 1)];
  const closed = closeBeyond(all, { ...limits, namespace: 190 });
  assert.deepEqual(all.map((policy) => closedOf(closed.get(policy) ?? policy)), [100, 100, 100 - 190 / 5]);
  assert.match(closed.get(all[0]!)!.problems[0]!.what, /overlap at least 1500 times, more than the 190/);
  // Twice the limit is counted to its end.
  assert.match(closeBeyond(all.slice(2), { ...limits, namespace: 190 }).get(all[2]!)!.problems[0]!.what, /overlap 500 times, more than the 190/);
});
