import assert from 'node:assert/strict';
import { test } from 'node:test';
import { markOf, planEpoch } from '../policy/plan/index.ts';
import { type Item, keyOf } from '../reconcile/model.ts';
import { PolicyEpoch } from './policy-epoch.ts';

const holding = (items: readonly Item[]): Map<string, Item> => new Map(items.map((item) => [keyOf(item), item]));
const marks = (...given: number[]) => ({ marks: () => new Set(given) });
const mask = 0xffff00;

test('P4: the epoch goes on from the one that the kernel holds, over those that connections bear', () => {
  const epoch = new PolicyEpoch(mask, marks(markOf(8, mask), markOf(9, mask), 0xff, 0), holding(planEpoch(7, mask)));
  assert.deepEqual([epoch.present, epoch.items()], [7, planEpoch(7, mask)]);
  epoch.begin();
  assert.equal(epoch.present, 10);
});

test('an epoch of another mask says nothing, and one that is drawn is borne by nobody', () => {
  const held = holding(planEpoch(7, 0xffffff00));
  const all = Array.from({ length: 0xffff }, (_, i) => markOf(i + 1, mask));
  const epoch = new PolicyEpoch(mask, marks(...all.filter((_, i) => i !== 41)), held);
  assert.equal(epoch.present, 42);
});

test('connections are asked again when numbers begin anew, and when none is left', () => {
  let asked = 0;
  let borne = [1, 2];
  const conntrack = {
    marks: () => {
      asked++;
      return new Set(borne.map((one) => markOf(one, mask)));
    },
  };
  const epoch = new PolicyEpoch(mask, conntrack, holding(planEpoch(0xfffe, mask)));
  epoch.begin();
  assert.deepEqual([epoch.present, asked], [0xffff, 1]);
  borne = [1, 2, 3];
  epoch.begin();
  assert.deepEqual([epoch.present, asked], [4, 2]);
  epoch.begin();
  assert.deepEqual([epoch.present, asked], [5, 2], 'what was seen is enough');

  const full = Array.from({ length: 0xffff }, (_, i) => i + 1);
  borne = full;
  const stuck = new PolicyEpoch(mask, conntrack, holding(planEpoch(1, mask)));
  assert.throws(
    () => stuck.begin(),
    /^RangeError: connections bear all 65535 epochs that fit into connmarkMask 0xffff00: give it more bits$/,
  );
  borne = full.filter((one) => one !== 500);
  stuck.begin();
  assert.equal(stuck.present, 500, 'some are gone meanwhile');
});
