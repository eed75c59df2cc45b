import assert from 'node:assert/strict';
import { test } from 'node:test';
import { spreadOf } from './stats.ts';

test('the median of an odd count is the middle one, of an even count the mean of the two in the middle', () => {
  assert.deepEqual(spreadOf([10, 9, 100]), { median: 10, least: 9, most: 100 });
  assert.deepEqual(spreadOf([4, 1, 3, 2]), { median: 2.5, least: 1, most: 4 });
  assert.deepEqual(spreadOf([7]), { median: 7, least: 7, most: 7 });
  assert.throws(() => spreadOf([]), RangeError);
});
