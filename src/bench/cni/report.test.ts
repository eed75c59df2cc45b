import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Sample } from './measure.ts';
import { reportOf, textOf } from './report.ts';

const machine = { cores: 2, processor: 'a processor', memoryGb: 4, kernel: '6.18', node: 'v20' };
const titles = new Map([
  ['go-a', 'Go a'],
  ['go-b', 'Go b'],
  ['podnet', 'podnet'],
  ['podnet-wait', 'podnet, waiting'],
]);
const sample = (contender: string, verb: Sample['verb'], atOnce: number, ms: number[], cpuUs: number): Sample => ({
  ...{ contender, round: 1, verb, atOnce, ms, cpuUs, loadAverage: 1 },
});
const ways = (contender: string, ms: number[], cpuUs: number): Sample[] =>
  (['ADD', 'DEL'] as const).flatMap((verb) => [1, 10].map((atOnce) => sample(contender, verb, atOnce, ms, cpuUs)));
const samples = [
  ...ways('go-a', [20, 20, 40], 10_000),
  ...ways('go-b', [30, 30, 30], 12_000),
  ...ways('podnet-wait', [20, 20, 20], 1000),
];
const memory = { rssBytes: 0, pssBytes: 0, heapBytes: 0 };

test('a budget counts against the better one of the Go chains, and one that is missed fails the whole', () => {
  const met = reportOf({
    machine,
    titles,
    samples: [...samples, ...ways('podnet', [2, 2, 7], 2000)],
    many: undefined,
    storm: undefined,
  });
  assert.deepEqual(
    met.budgets.map(({ value, ok }) => [value, ok]),
    [
      ...[
        ['10.0 times less', true],
        ['4.3 times less', true],
        ['10.0 times less', true],
        ['5.0 times less', true],
      ],
      ...[
        ['10.0 times less', true],
        ['1.0 times less', true],
        ['1.0 times less', true],
      ],
    ],
  );
  assert.ok(met.ok);
  const missed = reportOf({
    machine,
    titles,
    samples: [...samples, ...ways('podnet', [2.6, 2.6, 8], 2001)],
    many: undefined,
    storm: undefined,
  });
  assert.deepEqual(
    missed.budgets.map(({ ok }) => ok),
    [false, false, true, false, false, true, true],
  );
  assert.equal(missed.ok, false);
  assert.match(textOf(missed), /^✗ +ADD one at a time, median +7\.7 times less +>= 8 times less$/m);
});

test('the last hundred of many pods may take 1.5 times what the first take, and nothing may be left after kills', () => {
  const many = {
    pods: 300,
    addMs: [...Array(200).fill(2), ...Array(100).fill(3.2)],
    deleteMs: [1],
    memoryBefore: memory,
    memoryAfter: { ...memory, rssBytes: 300 << 10 },
  };
  const storm = { kills: 3, ms: 1000, adds: 9, retries: 2, problems: ['the lease x is left behind'] };
  const report = reportOf({ machine, titles, samples, many, storm });
  assert.deepEqual(
    report.budgets.slice(-2).map(({ value, ok }) => [value, ok]),
    [
      ['1.60 times', false],
      ['1', false],
    ],
  );
  assert.equal(report.many!.rssKb, 1);
  assert.match(textOf(report), /the lease x is left behind/);
});
