import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Item, Sysctl } from './model.ts';
import { type Failure, type Operation, StaleError, type Writer } from './operations.ts';
import type { OwnerStatus } from './owner-statuses.ts';
import { Reconciler } from './reconciler.ts';

/** A kernel of settings, or of elements of one map, as the writers see one: what it refuses it leaves out, what others do it shows at the next reading. */
class FakeKernel implements Writer {
  readonly kinds: ReadonlySet<Item['kind']> = new Set(['sysctl', 'nft-element']);
  readonly #make: Make;
  readonly held = new Map<string, string>();
  readonly refused = new Set<string>();
  reads = 0;
  writes = 0;
  staleTimes = 0;

  constructor(make: Make = setting) {
    this.#make = make;
  }

  observe(): Iterable<Item> {
    this.reads++;
    return [...this.held].map(([name, value]) => this.#make(name, value));
  }

  apply(operations: readonly Operation[]): Failure[] {
    if (this.staleTimes-- > 0) throw new StaleError('the table');
    const failures: Failure[] = [];
    for (const operation of operations) {
      this.writes++;
      const { name, value } = read(operation.verb === 'delete' ? operation.actual : operation.item);
      if (this.refused.has(name)) failures.push({ key: operation.key, error: new Error(`${name} is refused`) });
      else if (operation.verb === 'delete') this.held.delete(name);
      else this.held.set(name, value);
    }
    return failures;
  }
}

type Make = (name: string, value: string) => Item;
const element: Make = (name, value) => ({
  kind: 'nft-element',
  set: 'map',
  key: name,
  ...(value === 'none' ? {} : { data: value }),
});
const read = (item: Item): { name: string; value: string } =>
  item.kind === 'nft-element' ? { name: item.key, value: item.data ?? 'none' } : (item as Sysctl);
const setting = (name: string, value: string): Sysctl => ({ kind: 'sysctl', name, value });
const settings = (values: Record<string, string>, make: Make = setting): Item[] =>
  Object.entries(values).map(([name, value]) => make(name, value));

type Step =
  | { do: 'contribute'; owner: string; values: Record<string, string>; now: boolean }
  | { do: 'foreign'; name: string; value: string | null }
  | { do: 'refuse' | 'allow'; name: string }
  | { do: 'sync' | 'check' };

const name = fc.constantFrom('a', 'b', 'c', 'd');
const value = fc.constantFrom('1', '2', 'none');
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({
      do: fc.constant('contribute' as const),
      owner: fc.constantFrom('x', 'y', 'z'),
      values: fc.dictionary(name, value),
      now: fc.boolean(),
    }),
    fc.record({ do: fc.constant('foreign' as const), name, value: fc.option(value) }),
    fc.record({ do: fc.constantFrom('refuse' as const, 'allow' as const), name }),
    fc.record({ do: fc.constantFrom('sync' as const, 'check' as const) }),
  ),
  { maxLength: 30 },
);

/** What all want together: of several who want one name, the first by name counts. */
function agreed(wishes: ReadonlyMap<string, Record<string, string>>): Map<string, string> {
  const result = new Map<string, string>();
  for (const owner of [...wishes.keys()].sort().reverse())
    for (const [name, value] of Object.entries(wishes.get(owner)!)) result.set(name, value);
  return result;
}
const sorted = (map: ReadonlyMap<string, string>): [string, string][] => [...map].sort();

for (const [what, make] of [
  ['settings', setting],
  ['elements', element],
] as const)
  test(`F38, F39: any history of wishes, foreign writes and refusals ends in what is wanted, and then nothing more is written (${what})`, () => {
    fc.assert(
      fc.property(steps, (history) => {
        const kernel = new FakeKernel(make);
        const reconciler = new Reconciler([kernel]);
        const wishes = new Map<string, Record<string, string>>();
        for (const step of history) {
          if (step.do === 'contribute') {
            wishes.set(step.owner, step.values);
            if (!step.now) reconciler.contribute(step.owner, settings(step.values, make));
            else {
              try {
                reconciler.contributeNow(step.owner, settings(step.values, make));
              } catch (error) {
                assert.ok(kernel.refused.has((error as Error).message.slice(0, 1)), String(error));
              }
            }
          } else if (step.do === 'foreign') {
            if (step.value === null) kernel.held.delete(step.name);
            else kernel.held.set(step.name, step.value);
          } else if (step.do === 'refuse') kernel.refused.add(step.name);
          else if (step.do === 'allow') kernel.refused.delete(step.name);
          else {
            if (step.do === 'check') reconciler.markAll();
            const { failures } = reconciler.sync();
            for (const { error } of failures) assert.ok(kernel.refused.has(error.message.slice(0, 1)), error.message);
          }
        }
        kernel.refused.clear();
        reconciler.markAll();
        assert.deepEqual(reconciler.sync().failures, []);
        assert.deepEqual(sorted(kernel.held), sorted(agreed(wishes)));
        assert.equal(reconciler.hasWork, false);
        for (const [owner, values] of wishes) {
          const lost = Object.entries(values).some(([name, value]) => kernel.held.get(name) !== value);
          const expected = Object.keys(values).length === 0 ? undefined : lost ? 'error' : 'done';
          assert.equal(reconciler.status(owner)?.state, expected, owner);
        }

        const restarted = new Reconciler([kernel]);
        for (const owner of [...wishes.keys()].reverse()) restarted.contribute(owner, settings(wishes.get(owner)!, make));
        assert.deepEqual(restarted.sync().operations, [], 'a restart writes nothing that is right');
      }),
      { numRuns: 500 },
    );
  });

test('a change costs what it changes: one operation, and the kernel is not read', () => {
  const kernel = new FakeKernel();
  const reconciler = new Reconciler([kernel]);
  const of = (owner: number, special = '0'): Item[] =>
    Array.from({ length: 10 }, (_, i) => setting(`${owner}/${i}`, i === 3 ? special : '0'));
  for (let owner = 0; owner < 1000; owner++) reconciler.contribute(`owner ${owner}`, of(owner));
  assert.equal(reconciler.sync().operations.length, 10_000);
  reconciler.contribute('owner 500', of(500, '1'));
  const { operations, full } = reconciler.sync();
  assert.deepEqual([operations.map(({ key }) => key), full, kernel.reads], [['sysctl 500/3'], false, 1]);
  reconciler.contribute('owner 500', of(500, '1'));
  assert.equal(reconciler.hasWork, false, 'the same wish again is no work');
});

test('what several want stays until the last of them withdraws', () => {
  const kernel = new FakeKernel();
  const reconciler = new Reconciler([kernel]);
  for (const owner of ['x', 'y']) reconciler.contribute(owner, settings({ a: '1' }));
  reconciler.sync();
  reconciler.withdraw('x');
  assert.deepEqual(reconciler.sync().operations, []);
  reconciler.withdraw('y');
  reconciler.sync();
  assert.deepEqual(sorted(kernel.held), []);
});

test('what is refused is told to its owner, spares the others, and is tried again', () => {
  const kernel = new FakeKernel();
  let now = 100;
  const told: [string, OwnerStatus['state'] | undefined][] = [];
  const reconciler = new Reconciler([kernel], { now: () => now, onStatus: (owner, status) => told.push([owner, status?.state]) });
  kernel.refused.add('a');
  reconciler.contribute('x', settings({ a: '1', b: '1' }));
  reconciler.contribute('y', settings({ c: '1' }));
  now = 200;
  reconciler.sync();
  assert.deepEqual(sorted(kernel.held), Object.entries({ b: '1', c: '1' }));
  assert.deepEqual(reconciler.status('x'), { state: 'error', since: 200, why: 'a is refused' });
  assert.equal(reconciler.status('y')?.state, 'done');
  assert.ok(reconciler.hasWork);
  now = 300;
  reconciler.sync();
  assert.deepEqual(
    reconciler.status('x'),
    { state: 'error', since: 200, why: 'a is refused' },
    'the same error goes on since it began',
  );
  kernel.refused.clear();
  reconciler.sync();
  assert.deepEqual([reconciler.status('x')?.state, reconciler.hasWork], ['done', false]);
  reconciler.withdraw('x');
  assert.deepEqual(told, [
    ['x', 'pending'],
    ['y', 'pending'],
    ['x', 'error'],
    ['y', 'done'],
    ['x', 'done'],
    ['x', undefined],
  ]);
});

test('who wants something else than the first by name is told so, whoever came first', () => {
  for (const order of [
    ['x', 'y'],
    ['y', 'x'],
  ]) {
    const kernel = new FakeKernel();
    const reconciler = new Reconciler([kernel]);
    for (const owner of order) reconciler.contribute(owner, settings({ a: owner === 'x' ? '1' : '2' }));
    reconciler.sync();
    assert.deepEqual(sorted(kernel.held), [['a', '1']]);
    const status = reconciler.status('y');
    assert.equal(status?.state === 'error' && status.why, 'sysctl a is wanted otherwise by x');
  }
});

test('what its owner has written already is not written again, and its drift is repaired (P6)', () => {
  const kernel = new FakeKernel();
  const reconciler = new Reconciler([kernel]);
  reconciler.sync();
  kernel.held.set('a', '1');
  reconciler.contribute('pod', settings({ a: '1' }), { applied: true });
  assert.deepEqual([reconciler.sync().operations, reconciler.status('pod')?.state], [[], 'done']);
  kernel.held.set('a', '2');
  reconciler.markAll();
  assert.deepEqual(
    reconciler.sync().operations.map(({ verb }) => verb),
    ['replace'],
  );
  assert.equal(kernel.held.get('a'), '1');
});

test('F39: when others write between reading and writing, the kernel is read anew, but not for ever', () => {
  const kernel = new FakeKernel();
  const reconciler = new Reconciler([kernel]);
  reconciler.contribute('x', settings({ a: '1' }));
  kernel.staleTimes = 3;
  reconciler.sync();
  assert.deepEqual([kernel.held.get('a'), kernel.reads], ['1', 4]);
  reconciler.contribute('x', settings({ a: '2' }));
  kernel.staleTimes = 100;
  assert.throws(() => reconciler.sync(), StaleError);
  kernel.staleTimes = 0;
  reconciler.sync();
  assert.equal(kernel.held.get('a'), '2');
});

test('contributeNow writes what one owner wants and nothing of the others, and takes it away again', () => {
  const kernel = new FakeKernel();
  const reconciler = new Reconciler([kernel]);
  reconciler.sync();
  const { reads } = kernel;
  reconciler.contribute('x', settings({ a: '1' }));
  reconciler.contributeNow('y', settings({ b: '1' }));
  assert.deepEqual([...kernel.held], [['b', '1']]);
  assert.deepEqual([reconciler.status('x')?.state, reconciler.status('y')?.state], ['pending', 'done']);
  reconciler.contributeNow('y', settings({ c: '2' }));
  assert.deepEqual([...kernel.held], [['c', '2']]);
  reconciler.sync();
  reconciler.contributeNow('y', []);
  assert.deepEqual([...kernel.held], [['a', '1']]);
  assert.equal(reconciler.status('y'), undefined);
  assert.equal(kernel.reads, reads, 'nothing was read for it');
});

test('contributeAllNow writes what several owners want at once, and what one hands over to another stays', () => {
  const kernel = new FakeKernel();
  const reconciler = new Reconciler([kernel]);
  reconciler.sync();
  reconciler.contributeAllNow([
    ['x', settings({ a: '1', b: '1' })],
    ['y', settings({ c: '1' })],
  ]);
  assert.deepEqual(sorted(kernel.held), [
    ['a', '1'],
    ['b', '1'],
    ['c', '1'],
  ]);
  const { writes } = kernel;
  reconciler.contributeAllNow([
    ['x', settings({ a: '1' })],
    ['y', settings({ b: '1', c: '2' })],
    ['z', settings({})],
  ]);
  assert.deepEqual(sorted(kernel.held), [
    ['a', '1'],
    ['b', '1'],
    ['c', '2'],
  ]);
  assert.equal(kernel.writes, writes + 1, 'b was there already');
  assert.deepEqual(
    ['x', 'y', 'z'].map((owner) => reconciler.status(owner)?.state),
    ['done', 'done', undefined],
  );
  kernel.refused.add('d');
  assert.throws(
    () =>
      reconciler.contributeAllNow([
        ['x', settings({ a: '2' })],
        ['y', settings({ d: '1' })],
      ]),
    /d is refused/,
  );
  assert.deepEqual([reconciler.status('x')?.state, reconciler.status('y')?.state], ['done', 'error']);
});

test('contributeNow throws what the kernel refuses, and is tried once more when the kernel changed meanwhile', () => {
  const kernel = new FakeKernel();
  const reconciler = new Reconciler([kernel]);
  reconciler.sync();
  kernel.refused.add('a');
  assert.throws(() => reconciler.contributeNow('y', settings({ a: '1' })), /^Error: a is refused$/);
  assert.equal(reconciler.status('y')?.state, 'error');
  kernel.refused.delete('a');
  assert.deepEqual(reconciler.sync().failures, []);
  assert.equal(reconciler.status('y')?.state, 'done');
  kernel.staleTimes = 1;
  reconciler.contributeNow('y', settings({ b: '1' }));
  assert.deepEqual([...kernel.held], [['b', '1']]);
});
