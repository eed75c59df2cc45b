import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Numbers } from './numbers.ts';

const take = (numbers: Numbers, count: number): number[] => Array.from({ length: count }, () => numbers.take());

test('numbers are given in order, and one that came back is given again when 1,024 rest', () => {
  const numbers = new Numbers(2, 10_000, 'numbers');
  assert.deepEqual(take(numbers, 3), [2, 3, 4]);
  numbers.release(3);
  assert.deepEqual(take(numbers, 1022), Array.from({ length: 1022 }, (_, i) => 5 + i));
  for (let number = 5; number < 5 + 1022; number++) numbers.release(number);
  assert.equal(numbers.take(), 1027);
  numbers.release(1027);
  assert.deepEqual(take(numbers, 2), [3, 1028]);
});

test('when all numbers were given those that rest are given before their time, and then none', () => {
  const numbers = new Numbers(1, 3, 'ids of sets');
  take(numbers, 3);
  numbers.release(2);
  assert.equal(numbers.take(), 2);
  assert.throws(() => numbers.take(), /all 3 ids of sets are in use/);
});

test('SD22: no number that the kernel holds is given to another, in whatever order and with whatever gaps it was read', () => {
  const held = Array.from({ length: 2000 }, (_, i) => 4000 - 2 * i);
  const numbers = new Numbers(1, 10_000, 'numbers', [...held, 0, 20_000]);
  assert.ok(held.slice(1).every((number) => numbers.claim(number)));
  assert.deepEqual([numbers.claim(4000 - 2), numbers.claim(1), numbers.claim(0), numbers.claim(20_000)], [false, false, false, false]);
  numbers.finishAdoption();
  assert.equal(numbers.claim(4000), false);
  const given = take(numbers, 3000);
  assert.equal(new Set(given).size, given.length);
  assert.deepEqual(given.filter((number) => number !== 4000 && held.includes(number)), []);
});
