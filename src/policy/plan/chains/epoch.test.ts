import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { defaultConnmarkMask, epochOf, lastEpoch, markOf, nextEpoch, planEpoch } from './epoch.ts';

const mask = fc.integer({ min: 1, max: 0xffffffff });

test('an epoch in a mark is read again, whichever bits are podnet’s and whatever others keep in theirs', () => {
  fc.assert(
    fc.property(mask, fc.nat(), fc.integer({ min: 0, max: 0xffffffff }), (bits, number, others) => {
      const epoch = number % (lastEpoch(bits) + 1);
      const mark = markOf(epoch, bits);
      assert.equal((mark & ~bits) >>> 0, 0);
      assert.equal(epochOf((mark | (others & ~bits)) >>> 0, bits), epoch);
    }),
  );
  assert.equal(markOf(1, defaultConnmarkMask), 0x100);
  assert.equal(lastEpoch(defaultConnmarkMask), 0xffffff);
});

test('the next epoch is the number behind, past the last one the first, and never one that a connection bears', () => {
  const three = 0x3;
  assert.equal(nextEpoch(0, three, new Set()), 1);
  assert.equal(nextEpoch(1, three, new Set()), 2);
  assert.equal(nextEpoch(3, three, new Set()), 1);
  assert.equal(nextEpoch(3, three, new Set([1])), 2);
  assert.equal(nextEpoch(1, three, new Set([2, 3])), undefined);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 255 }), fc.uniqueArray(fc.integer({ min: 1, max: 255 })), (current, borne) => {
      const next = nextEpoch(current, 0xff0, new Set(borne));
      if (next === undefined) assert.ok(new Set([...borne, current]).size >= 255);
      else assert.ok(next >= 1 && next <= 255 && next !== current && !borne.includes(next));
    }),
  );
});

test('an epoch that the mask has no room for is refused', () => {
  assert.throws(() => planEpoch(4, 0x3), /epoch 4 does not fit connmarkMask 0x00000003: expected 1 to 3/);
  assert.throws(() => planEpoch(0, 0x3), RangeError);
});
