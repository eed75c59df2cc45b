import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readPolicy } from '../policies.ts';
import { networkPolicy } from '../testkit/objects.ts';
import { compileRules } from './local/rules.ts';
import { TrafficSets } from './local/traffic-sets.ts';
import { Atoms } from './remote/peers.ts';
import { SelectionIndex } from './remote/selection-index.ts';

const notApp = (i: number) => ({ podSelector: { matchExpressions: [{ key: 'app', operator: 'NotIn', values: [`a${i}`] }] } });

function compiled(rules: object[]): { atoms: Atoms; uses: number } {
  const [atoms, policy] = [new Atoms(), readPolicy(networkPolicy('shop/p', { podSelector: {}, ingress: rules }))!];
  const { ingress } = compileRules({ serial: 0, policy, selections: [policy.subject], rules: undefined }, atoms, new TrafficSets());
  return { atoms, uses: ingress.length };
}

test('rules of a NetworkPolicy that differ by their peers only are one peer, whatever the order of their ports', () => {
  const rules = Array.from({ length: 10_000 }, (_, i) => ({ from: [notApp(i)], ports: i % 2 ? [{ port: 80 }, { port: 'web' }] : [{ port: 'web' }, { port: 80 }, { port: 80 }] }));
  const some = compiled([...rules, { ports: [{ port: 80 }] }, { from: [notApp(1)], ports: [{ port: 81 }] }]);
  assert.deepEqual([[...some.atoms].length, some.uses], [2, 3]);
});

test('a pod is held against peers that may mean it until each does: one of 10,000 selections takes a look or two', () => {
  const index = new SelectionIndex();
  for (const { peer } of compiled(Array.from({ length: 10_000 }, (_, i) => ({ from: [notApp(i)] }))).atoms)
    if (peer.kind === 'pods') index.add(peer);
  let looks = 0;
  const labels = new Proxy<Record<string, string>>({ app: 'a0' }, { get: (target, key) => (looks++, target[key as string]) });
  assert.equal(index.find({ namespace: 'shop', namespaceLabels: {}, labels }).size, 1);
  assert.ok(looks < 10, `${looks} looks`);
});
