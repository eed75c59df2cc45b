import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IpAddr } from '../../net/ip.ts';
import { maxPeers } from '../limits/peers.ts';
import { maxPortElements } from '../limits/ports.ts';
import type { Policy } from '../model.ts';
import { readPolicy } from '../policies.ts';
import { networkPolicy } from '../testkit/objects.ts';
import { PlannedElements } from '../testkit/planned-elements.ts';
import type { PolicyPod } from '../world.ts';
import { compileRules } from './local/rules.ts';
import { TrafficSets } from './local/traffic-sets.ts';
import { PolicyPlanner } from './planner.ts';
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
  assert.equal(index.find({ namespace: 'shop', namespaceLabels: {}, labels }).length, 1);
  assert.ok(looks < 10, `${looks} looks`);
});

/** What it takes a node with one pod of the namespace: looks at labels of 300 other pods of it, and elements. */
function costOf(policies: readonly Policy[], labelsOf: (i: number) => Record<string, string>): { looks: number; elements: number; planner: PolicyPlanner } {
  const planner = new PolicyPlanner({ node: { name: 'n1', podLinks: { group: 1 }, podCidrs: [] }, held: new Map() });
  let looks = 0;
  const podOf = (i: number): PolicyPod => ({
    ...{ namespace: 'shop', name: `p${i}`, addresses: [IpAddr.parse(`10.0.${i >> 8}.${i & 255}`)], node: i === 0 ? 'n1' : 'n2' },
    labels: new Proxy(labelsOf(i), { get: (target, key) => (looks++, target[key as string]!) }),
    ...{ hostNetwork: false, ended: false, ports: [] },
  });
  for (let i = 0; i <= 300; i++) planner.setPod(podOf(i));
  const elements = new PlannedElements();
  elements.take(planner);
  looks = 0;
  for (const policy of policies) planner.setPolicy(policy);
  elements.take(planner);
  return { looks, elements: elements.items.length, planner };
}

const policyOf = (name: string, rules: object[]): Policy => readPolicy(networkPolicy(`shop/${name}`, { podSelector: {}, ingress: rules }))!;

test('policies that each name pods by what they have not cost each pod no more looks than the limit allows', () => {
  const policies = Array.from({ length: 2000 }, (_, i) => policyOf(`p${i}`, [{ from: [notApp(i)] }]));
  const { looks, planner } = costOf(policies, (i) => ({ app: `a${i}` }));
  assert.ok(looks > 300 * maxPeers.namespace * 0.9 && looks < 301 * (maxPeers.namespace + 10), `${looks} looks`);
  assert.equal(policies.filter((policy) => planner.limitProblemsOf(policy).length > 0).length, 2000 - maxPeers.namespace);
});

test('rules that each let in other pods by a port of their own take no more elements than the limit allows', () => {
  const rules = Array.from({ length: 300 }, (_, i) => ({ from: [notApp(i)], ports: [{ port: 1 + 2 * i }] }));
  const { elements, planner } = costOf([policyOf('p', rules)], (i) => ({ app: `a${i}` }));
  assert.ok(elements > 2500 && elements < 3500, `${elements} elements of ${maxPortElements.namespace}`);
  assert.equal(planner.limitProblemsOf(policyOf('p', [])).length, 1);
});
