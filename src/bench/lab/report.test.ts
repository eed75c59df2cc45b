import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Sample } from './measure.ts';
import { reportOf, textOf } from './report.ts';

const machine = { cores: 2, processor: 'a processor', memoryGb: 4, kernel: '6.18', node: 'v20' };
const sample = (scenario: Sample['scenario'], round: number, upMs: number, downMs = 500): Sample => ({
  ...{ scenario, round, upMs, downMs, loadAverage: round },
  processes: [
    { role: 'agent', pid: 1, pssMb: 20 * round, rssMb: 60, cpuSeconds: 0.5 },
    { role: 'agent', pid: 2, pssMb: 30 * round, rssMb: 60, cpuSeconds: 0.25 },
    { role: 'control', pid: 3, pssMb: 40, rssMb: 80, cpuSeconds: 1 },
  ],
});
const samples = [1, 2, 3].flatMap((round) => [sample('empty', round, 1000 * round), sample('demo', round, 9999), sample('many', round, 8000)]);

test('a budget is held against the median, and one that is missed fails the whole', () => {
  const report = reportOf(machine, samples);
  assert.deepEqual(report.times.map(({ ok }) => ok), [false, true, true, true, true, true]);
  assert.deepEqual([report.ok, report.rounds, report.times[0]!.ms], [false, 3, { median: 2000, least: 1000, most: 3000 }]);
  assert.match(textOf(report), /^✗ +3 nodes Ready +2\.00 s +1\.00 s +3\.00 s +1\.75 s +< 2 s$/m);
});

test('memory is told of each kind of process and of the whole lab', () => {
  const { memory } = reportOf(machine, samples);
  const rows = memory.filter(({ scenario }) => scenario === 'empty').map(({ process, count, pssMb }) => [process, count, pssMb.median]);
  assert.deepEqual(rows, [['agent', 2, 50], ['control', 1, 40], ['total', 3, 140]]);
});
