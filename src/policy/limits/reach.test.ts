import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Reach } from './reach.ts';

test('of each label the value counts for which there is most, and labels that nobody asks for any more count nothing', () => {
  const reach = new Reach();
  for (const [label, value] of [['app', 'a'], ['app', 'a'], ['app', 'b'], ['tier', 'x']] as const) reach.add({ label, value }, 1);
  assert.equal(reach.total, 3);
  for (let i = 0; i < 1000; i++) {
    reach.add({ label: `job-${i}`, value: '' }, 2);
    reach.add({ label: `job-${i}`, value: '' }, -2);
  }
  assert.equal(reach.total, 3);
  // No less than there is, while some of the label is left.
  reach.add({ label: 'app', value: 'a' }, -1);
  assert.ok(reach.total >= 2);
  for (const value of ['a', 'b']) reach.add({ label: 'app', value }, -1);
  assert.equal(reach.total, 1);
  reach.add({ label: 'app', value: 'c' }, 1);
  assert.equal(reach.total, 2);
});
