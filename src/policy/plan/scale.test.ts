import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyOf } from '../../reconcile/model.ts';
import type { AnyObject } from '../policies.ts';
import { readPolicy } from '../policies.ts';
import { readParts } from '../read-world.ts';
import { namespace, networkPolicy, pod } from '../testkit/objects.ts';
import { PlannedElements } from '../testkit/planned-elements.ts';
import { PolicyPlanner } from './index.ts';

const [pods, policies, apps, local] = [10_000, 1_000, 500, 110];
const labelsOf = (i: number): Record<string, string> => ({ app: `app-${i % apps}` });
const podOf = (i: number, labels = labelsOf(i)): AnyObject => {
  const [high, low] = [i >> 8, i & 255];
  return pod(`p${i}`, `10.1.${high}.${low} fd00::${high.toString(16)}:${low.toString(16)}`, labels, { node: i < local ? 'n0' : `n${i % 90}x` });
};
/** Half of them let in pods of an app, half a network; each isolates all pods of the namespace. */
const policyOf = (i: number): AnyObject => {
  const peer = i % 2 ? { podSelector: { matchLabels: { app: `app-${i % apps}` } } } : { ipBlock: { cidr: `198.${18 + (i >> 8)}.${i & 255}.0/24` } };
  return networkPolicy(`default/np${i}`, { podSelector: {}, ingress: [{ from: [peer], ports: [{ port: 8000 + (i % 20) }] }] });
};

/** What is written to the kernel for the difference: elements that come, go or are others. */
function written(before: ReadonlyMap<string, string>, now: ReadonlyMap<string, string>): number {
  const come = [...now].filter(([key, data]) => before.get(key) !== data).length;
  return come + [...before.keys()].filter((key) => !now.has(key)).length;
}

test('NP21: with 10,000 pods and 1,000 policies a local pod has as many elements as there are remote ends treated otherwise, and a change writes its difference', () => {
  const planner = new PolicyPlanner({ node: { name: 'n0', podLinks: { group: 1 }, podCidrs: [] }, held: new Map() });
  const elements = new PlannedElements();
  const objects = [namespace('default'), ...Array.from({ length: pods }, (_, i) => podOf(i)), ...Array.from({ length: policies }, (_, i) => policyOf(i))];
  const parts = readParts(objects);
  for (const [name, labels] of parts.namespaces) planner.setNamespace(name, labels);
  for (const one of parts.pods) planner.setPod(one);
  for (const one of parts.policies) planner.setPolicy(one);
  const contents = (): Map<string, string> => new Map(elements.items.map((item) => [keyOf(item), item.data ?? '']));
  elements.take(planner);
  let held = contents();
  const bySet = new Map<string, number>();
  for (const { set } of elements.items) bySet.set(set, (bySet.get(set) ?? 0) + 1);
  const count = (set: string): number => bySet.get(set) ?? 0;
  // Each set is a hash or a tree, asked once for a packet: what grows is never walked. An address is there once, and not once for each policy.
  assert.deepEqual([count('policy-ids4'), count('policy-ids6'), count('policy-nets4')], [pods / 2, pods / 2, policies / 2]);
  // Ten ports of networks, ten of apps: so many kinds of remote ends, whatever the number of policies.
  assert.deepEqual([count('policy-ingress4'), count('policy-ingress6')], [local * 20, local * 20]);
  assert.equal(count('policy-ports'), 20);
  const change = (what: () => void): number => {
    const before = held;
    what();
    elements.take(planner);
    held = contents();
    return written(before, held);
  };
  const [remote, isLocal] = [podOf(5000, labelsOf(5001)), podOf(5, labelsOf(6))].map((object) => readParts([object]).pods[0]!);
  assert.equal(change(() => planner.setPod(remote!)), 2, "a remote pod's label: its addresses");
  assert.equal(change(() => planner.setPod(isLocal!)), 2, "a local pod's label, which selects it no otherwise: its addresses");
  assert.equal(change(() => planner.deletePolicy(readPolicy(policyOf(4))!)), 1, 'a policy goes: its network');
  assert.ok(change(() => planner.deletePolicy(readPolicy(policyOf(5))!)) <= 2 * (pods / apps), 'a policy goes: the addresses of its app');
});
