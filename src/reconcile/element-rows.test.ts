import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ElementRows } from './element-rows.ts';

const set = fc.nat({ max: 2 });
/** Few, so that they meet; also what is not ASCII, and what is empty. */
const key = fc.oneof(fc.nat({ max: 60 }).map((n) => `10.0.0.${n} . tcp`), fc.constantFrom('', '"wg-ü"', '"wg-日"'));
const data = fc.option(fc.oneof(fc.string({ maxLength: 40 }), fc.constantFrom('0:2003', 'goto lb-3', 'ü')), { nil: undefined });
const steps = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ do: fc.constant('put' as const), set, key, data }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('remove' as const), set, key }) },
  ),
  { maxLength: 400 },
);

test('rows hold what a map of sets and keys would, whatever comes and goes', () => {
  fc.assert(
    fc.property(steps, (history) => {
      const rows = new ElementRows();
      const model = new Map<string, { set: number; key: string; data: string | undefined; row: number }>();
      for (const step of history) {
        const id = `${step.set}/${step.key}`;
        const known = model.get(id);
        assert.equal(rows.find(step.set, step.key), known?.row);
        if (step.do === 'remove') {
          if (known) rows.remove(known.row);
          model.delete(id);
          continue;
        }
        const row = rows.place(step.set, step.key);
        if (known) assert.equal(row, known.row, 'a row stays where it is');
        else assert.deepEqual([rows.data(row), rows.flags(row)], [undefined, 0], 'a new row has nothing of the former one');
        assert.equal(rows.hasData(row, step.data), known ? known.data === step.data : step.data === undefined);
        if (!rows.hasData(row, step.data)) rows.setData(row, step.data);
        assert.ok(rows.hasData(row, step.data));
        rows.setFlags(row, 5);
        rows.setOwner(row, row + 7);
        model.set(id, { set: step.set, key: step.key, data: step.data, row });
      }
      assert.equal(rows.size, model.size);
      assert.deepEqual(new Set(rows.rows()), new Set([...model.values()].map(({ row }) => row)));
      for (const { row, ...element } of model.values()) {
        assert.deepEqual({ set: rows.set(row), key: rows.key(row), data: rows.data(row) }, element);
        assert.deepEqual([rows.flags(row), rows.owner(row)], [5, row + 7]);
      }
    }),
    { numRuns: 300 },
  );
});

test('data that changes again and again takes no more room than what is there', () => {
  const rows = new ElementRows();
  const row = rows.place(0, 'key');
  rows.setData(rows.place(0, 'other'), 'stays');
  for (let i = 0; i < 200_000; i++) rows.setData(row, `value ${i}`);
  assert.deepEqual([rows.data(row), rows.data(rows.find(0, 'other')!)], ['value 199999', 'stays']);
  assert.ok(rows.bytes < 1 << 18, `${rows.bytes} bytes`);
});
