import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Adopted } from './adopted.ts';
import { Timeouts } from './timeouts.ts';
import { affinityClass, classChoices, classKey, classMask, classOf, maxEndpoints, maxSetId, maxTimeouts, numberOf, parseNumber } from './values.ts';

test('SA14: a timeout keeps its number while anybody uses it, and one that nobody uses gives it away', () => {
  const timeouts = new Timeouts();
  assert.deepEqual([10_800, 60, 10_800].map((seconds) => timeouts.use(seconds)), [10_800, 60, 10_800]);
  assert.deepEqual(timeouts.used(), [[60, 1], [10_800, 0]]);
  timeouts.release(10_800);
  assert.deepEqual(timeouts.used(), [[60, 1], [10_800, 0]]);
  timeouts.release(10_800);
  assert.deepEqual(timeouts.used(), [[60, 1]]);
  timeouts.use(5);
  assert.deepEqual(timeouts.used(), [[5, 0], [60, 1]]);
});

test('SA14: of more different timeouts than there are numbers the nearest one serves', () => {
  const timeouts = new Timeouts();
  for (let i = 0; i < maxTimeouts; i++) timeouts.use(1000 + 10 * i);
  assert.equal(timeouts.use(1013), 1010);
  assert.equal(timeouts.use(1010), 1010);
  assert.equal(timeouts.use(86_400), 1000 + 10 * (maxTimeouts - 1));
  assert.equal(timeouts.used().length, maxTimeouts);
});

test('SD22: numbers of timeouts are taken from the kernel', () => {
  const balancers = { kind: 'nft-element', set: 'balancers' } as const;
  const held = new Map([
    ['a', { ...balancers, key: classKey(7), data: 'jump lb-7' }],
    ['b', { ...balancers, key: classKey(affinityClass(5)), data: 'goto affinity-60' }],
  ]);
  const adopted = new Adopted(held);
  const timeouts = new Timeouts(adopted);
  timeouts.use(30);
  timeouts.use(60);
  assert.deepEqual(timeouts.used(), [[30, 0], [60, 5]]);
});

test('numbers of sets, classes and endpoints fit, and none has a name in nft', () => {
  assert.ok(affinityClass(maxTimeouts - 1) < classMask && classOf(maxEndpoints) < affinityClass(0));
  assert.deepEqual([0, 1, 16, 17, 32, 33, maxEndpoints].map(classOf), [0, 1, 16, 17, 17, 18, 25]);
  for (const choice of classChoices) {
    assert.equal(classOf(choice.slots), choice.class);
    assert.equal(classOf(choice.isExact ? choice.slots : choice.slots / 2 + 1), choice.class);
  }
  for (const [setId, low] of [
    [1, 0],
    [maxSetId, classMask],
    [maxSetId, affinityClass(0)],
  ] as const) {
    const text = numberOf(setId, low);
    assert.match(text, /^[0-9a-f]+:[0-9a-f]+$/);
    assert.deepEqual(parseNumber(text), { setId, low });
  }
});
