import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PolicyStatus } from '../agent/policy/report.ts';
import { policyLines } from './policy-lines.ts';

const status = (more: Partial<PolicyStatus> = {}): PolicyStatus => ({
  ...{ policies: { NetworkPolicy: 2 }, enforced: true, epoch: 7, pods: 3, identities: 2, classes: 1, problems: [] },
  ...more,
});

test('a lab without policies says nothing of them', () => {
  const policy = status({ policies: {}, enforced: false, pods: 0 });
  assert.deepEqual(policyLines([{ name: 'node-1', policy }, { name: 'node-2' }]), { summary: undefined, warnings: [] });
});

test('policies are counted once for all nodes, and nodes where they are not in force are named', () => {
  const both = [
    { name: 'node-1', policy: status() },
    { name: 'node-2', policy: status({ pods: 1 }) },
  ];
  assert.equal(policyLines(both).summary, 'policies: 2 NetworkPolicy; in force on all nodes, for 4 pods');
  const late = { name: 'node-3', policy: status({ policies: { NetworkPolicy: 1 }, enforced: false, pods: 0 }) };
  assert.match(policyLines([...both, late]).summary!, /^policies: 2 NetworkPolicy; not in force yet on node-3, for 4 pods$/);
});

test('NP19: what is not understood of a policy is told once, though each node says it', () => {
  const problem = 'NetworkPolicy default/odd, spec.ingress[0]: "x" is no CIDR; the rule allows nothing';
  const nodes = ['node-1', 'node-2'].map((name) => ({ name, policy: status({ problems: [problem] }) }));
  assert.deepEqual(policyLines(nodes).warnings, [problem]);
});
