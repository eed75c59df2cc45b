import assert from 'node:assert/strict';
import { test } from 'node:test';
import { markOf, planEpoch } from '../../policy/plan/index.ts';
import { type Item, keyOf } from '../../reconcile/model.ts';
import { PolicyEpoch } from './epoch.ts';

const holding = (items: readonly Item[]): Map<string, Item> => new Map(items.map((item) => [keyOf(item), item]));
const marks = (...given: number[]) => ({ marks: () => new Set(given), clearMarks: () => 0 });
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
    // As if somebody else wrote them again at once.
    clearMarks: () => 0,
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
    /^RangeError: connections bear all 65535 epochs that fit into connmarkMask 0xffff00, also after .*: somebody else writes these bits/,
  );
  borne = full.filter((one) => one !== 500);
  stuck.begin();
  assert.equal(stuck.present, 500, 'some are gone meanwhile');
});

for (const bits of [2, 4, 10])
  test(`P4, NP14: when connections bear every epoch of ${bits} bits, those that were judged longest ago are to be judged anew, and no number means two epochs`, () => {
    const few = ((2 ** bits - 1) << 8) >>> 0;
    const last = 2 ** bits - 1;
    // Each epoch settles a connection that lives on and sends nothing; bits of others are in its mark.
    const connections: { mark: number; judged: number }[] = [];
    let cleared = 0;
    const conntrack = {
      marks: () => new Set(connections.map(({ mark }) => mark)),
      clearMarks: (mask: number, wanted: (mark: number) => boolean): number => {
        const all = connections.filter(({ mark }) => wanted(mark));
        for (const one of all) one.mark = (one.mark & ~mask) >>> 0;
        cleared += all.length;
        return all.length;
      },
    };
    const epoch = new PolicyEpoch(few, conntrack, holding(planEpoch(last, few)));
    const begun = Math.min(3 * last, last + 3000);
    for (let i = 0; i < begun; i++) {
      epoch.begin();
      const mark = markOf(epoch.present, few) + 5;
      assert.ok(connections.every((one) => one.mark !== mark), `epoch ${i}: the number is borne by a connection of another one`);
      connections.push({ mark, judged: i });
    }
    assert.ok(cleared >= begun - last && cleared < begun);
    // The oldest were asked first, and none of the present epoch.
    const free = connections.filter(({ mark }) => mark === 5).map(({ judged }) => judged);
    assert.ok(Math.max(...free) < begun - last / 2, `${Math.max(...free)} of ${begun}`);
    assert.ok(connections.every(({ mark }) => (mark & 0xff) === 5));
  });
