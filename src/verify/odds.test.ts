import assert from 'node:assert/strict';
import { test } from 'node:test';
import { capFor, connectionsFor, falseAlarm, isTooMany, mayMiss } from './odds.ts';

/** Exact: the chance that k connections miss some of n endpoints, by inclusion and exclusion. */
function someMissed(n: number, k: number): number {
  let sum = 0;
  let choices = 1;
  for (let m = 1; m < n; m++) {
    choices *= (n - m + 1) / m;
    sum += (m % 2 ? 1 : -1) * choices * (1 - m / n) ** k;
  }
  return sum;
}

test('so many connections are made that missing an endpoint is no chance, and not many more than needed', () => {
  for (const n of [2, 3, 5, 10, 30, 100]) {
    const k = connectionsFor(n);
    assert.ok(someMissed(n, k) <= falseAlarm, `${n} endpoints, ${k} connections`);
    assert.equal(mayMiss(n, k), 0);
  }
  assert.equal(connectionsFor(2), 31);
  assert.equal(connectionsFor(3), 54);
});

test('one endpoint gets enough connections that a stale one beside it is seen', () => {
  assert.equal(connectionsFor(1), 10);
  assert.ok(0.5 ** connectionsFor(1) <= 1e-3);
});

test('with fewer connections some endpoints may stay unseen, the more the fewer there are', () => {
  let before = 0;
  for (let k = connectionsFor(20); k > 0; k -= 7) {
    const now = mayMiss(20, k);
    assert.ok(now >= before && now < 20, `${k} connections: ${now}`);
    before = now;
  }
  assert.equal(mayMiss(20, 1), 19);
});

test('an endpoint that gets far more than its share is called uneven, one that gets its share never', () => {
  assert.equal(isTooMany(10, 219, 22), false);
  assert.equal(isTooMany(10, 219, 40), false);
  assert.equal(isTooMany(10, 219, 100), true);
  assert.equal(isTooMany(10, 219, 219), true);
  assert.equal(isTooMany(1, 10, 10), false);
});

test('a budget of connections is shared so that small Services keep theirs', () => {
  assert.equal(capFor([10, 31, 54], 100), Number.POSITIVE_INFINITY);
  const wanted = [10, 10, 500, 500, 0];
  const cap = capFor(wanted, 220);
  assert.equal(cap, 100);
  assert.ok(wanted.reduce((sum, count) => sum + Math.min(count, cap), 0) <= 220);
});
