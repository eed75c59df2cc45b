import assert from 'node:assert/strict';
import { test } from 'node:test';
import { match, type RulesetTable } from '../kernel/nftables/index.ts';
import type { Rule } from '../kernel/nftables/types.ts';
import { Prefix } from '../net/prefix.ts';
import { dockerUser, planOpenings, withoutOpenings } from './opening.ts';
import { chain, judge, shape, table } from './testkit/shape.ts';

const { rule, accept, drop, jump, returns, isWithin } = match;

/** iptables' table filter with policy DROP in FORWARD, which calls DOCKER-USER, as Docker leaves it. */
function docker(user: readonly Rule[], more: Partial<RulesetTable> = {}): RulesetTable {
  const forward = chain('FORWARD', [rule(jump(dockerUser))], { policy: 'drop' });
  return { ...table([forward, chain(dockerUser, user)]), family: 'ip', name: 'filter', ...more };
}

/** What is planned with consent. */
const plan = (tables: readonly RulesetTable[], clusterCidrs = shape.clusterCidrs) => {
  const openings = judge(withoutOpenings(tables)).flatMap(({ severity, opening }) =>
    severity === 'problem' ? (opening ?? []) : [],
  );
  return planOpenings(tables, openings, clusterCidrs);
};

/** As the kernel has it when a plan was written. */
function written(before: RulesetTable): RulesetTable {
  const [change] = plan([before]);
  const own = change!.add.map(({ expressions }, i) => ({ handle: 100 + i, expressions: [...expressions], comment: 'podnet' }));
  const chains = new Map(before.chains);
  const user = chains.get(dockerUser)!;
  chains.set(dockerUser, { ...user, rules: [...own, ...user.rules] });
  return { ...before, chains };
}

test('F42: podnet writes before the rule that ends DOCKER-USER, or at its end, and nothing when it is there', () => {
  const [withReturn] = plan([docker([rule(returns)])]);
  assert.deepEqual(
    [withReturn!.add.map(({ text }) => text), withReturn!.before],
    [['ip saddr 10.1.0.0/16 counter accept', 'ip daddr 10.1.0.0/16 counter accept'], 1],
  );
  const [empty] = plan([docker([])]);
  assert.deepEqual([empty!.add.length, empty!.before], [2, undefined]);
  assert.deepEqual(plan([written(docker([rule(returns)]))]), []);
});

test("F42: without consent only what is podnet's by its comment is deleted, and when the cluster has other pod CIDRs that is replaced", () => {
  const there = written(docker([rule(isWithin('saddr', Prefix.parse('203.0.113.0/24')), accept), rule(returns)]));
  assert.deepEqual(
    planOpenings([there], [], shape.clusterCidrs).map((change) => [change.add, change.delete]),
    [[[], [100, 101]]],
  );
  const [change] = plan([there], [Prefix.parse('10.2.0.0/16')]);
  assert.deepEqual(
    [change!.add.map(({ text }) => text), change!.delete],
    [
      ['ip saddr 10.2.0.0/16 counter accept', 'ip daddr 10.2.0.0/16 counter accept'],
      [100, 101],
    ],
  );
});

test("F42: what is needed is judged as if podnet's own rules were not there, so that they do not come and go", () => {
  const there = written(docker([rule(returns)]));
  assert.deepEqual(judge([there]), []);
  assert.equal(judge(withoutOpenings([there])).length, 1);
  const other = docker([rule(returns)]);
  assert.equal(withoutOpenings([other])[0], other, "nothing is copied where nothing is podnet's");
});

test('F42: nothing is written to iptables-legacy, to a chain that FORWARD does not call, or against what an administrator drops in DOCKER-USER', () => {
  assert.deepEqual(plan([docker([], { legacy: true })]), []);
  const uncalled = {
    ...table([chain('FORWARD', [], { policy: 'drop' }), chain(dockerUser, [])]),
    family: 'ip',
    name: 'filter',
  } as const;
  assert.deepEqual(plan([uncalled]), []);
  const forward = chain('FORWARD', [rule(jump(dockerUser))], {});
  const meant = { ...table([forward, chain(dockerUser, [rule(drop)])]), family: 'ip', name: 'filter' } as const;
  assert.equal(judge([meant]).filter(({ severity }) => severity === 'problem').length, 1);
  assert.deepEqual(plan([meant]), []);
});
