import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Policy } from './model.ts';
import { readClusterNetworkPolicy } from './read-cluster-policy.ts';
import { problemsText, understood } from './status.ts';

const policy = (rules: number): Policy =>
  readClusterNetworkPolicy({
    metadata: { name: 'guard' },
    spec: {
      ...{ tier: 'Admin', priority: 1, subject: { namespaces: {} } },
      ingress: Array.from({ length: rules }, () => ({ action: 'Accept', from: [{ planets: {} }] })),
    },
  });

test('CNP10: a peer of a newer version is told with its path and its effect', () => {
  assert.equal(problemsText(policy(0)), undefined);
  assert.match(problemsText(policy(1))!, /^spec\.ingress\[0\]\.from\[0\]\S*: .*planets.*; the rule allows nothing$/);
  assert.equal(understood(policy(0), undefined).status, 'True');
  assert.deepEqual(understood(policy(1), 7), {
    ...{ type: 'PodnetUnderstood', status: 'False', reason: 'NotUnderstood', observedGeneration: 7 },
    message: problemsText(policy(1)),
  });
});

test('a message is never longer than an Event may be, whole sentences, and says how many more there are', () => {
  for (const rules of [2, 5, 20, 25]) {
    const text = problemsText(policy(rules))!;
    assert.ok(text.length <= 1024, `${rules}: ${text.length}`);
    const more = Number(/And (\d+) more/.exec(text)?.[1] ?? 0);
    assert.equal((text.match(/the rule allows nothing/g) ?? []).length + more, rules);
  }
  const long = { ...policy(1), problems: [{ at: 'x'.repeat(2000), what: 'w', effect: 'e' }] };
  assert.ok(problemsText(long)!.length <= 1024);
});
