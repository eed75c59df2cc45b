import assert from 'node:assert/strict';
import test from 'node:test';
import type { Sample } from './measure.ts';
import type { Kind } from './questions.ts';
import { reportOf, textOf } from './report.ts';

const machine = { cores: 2, processor: 'some', memoryGb: 4, kernel: '6.1', node: 'v20' };
const sample = (server: string, kind: Kind, part: Partial<Sample>): Sample => ({
  ...{ server, kind, what: 'highest', round: 1, asked: 1000, answered: 1000, lost: 0, wrong: 0, truncated: 0, seconds: 1, perSecond: 1000, most: 1 },
  ...{ p50: 1, p99: 2, p999: 3, cpuUs: 4, busy: 1, loadAverage: 0.5, ...part },
});
const whole = { machine, services: 100, missing: [], programming: undefined, only: ['podnet', 'knot', 'echo'], kinds: ['a', 'mix'] as Kind[] };
const memory = [{ server: 'podnet', title: 'podnet', processes: 3, pssMb: 100, rssMb: 120 }];
const measured = (podnet: number): Sample[] => [
  sample('podnet', 'mix', { perSecond: podnet }),
  sample('knot', 'mix', { perSecond: 200_000 }),
  sample('podnet', 'a', { perSecond: 250_000 }),
  sample('echo', 'a', { perSecond: 300_000 }),
  ...[100, 900, 300].flatMap((p99, round) => [
    sample('podnet', 'mix', { what: 'fixed', round, p99: p99 + 500 }),
    sample('echo', 'mix', { what: 'fixed', round, p99 }),
  ]),
];
const failed = (samples: readonly Sample[], more: Partial<typeof whole> = {}): string[] =>
  reportOf({ ...whole, samples, memory, ...more }).checks.flatMap(({ name, ok }) => (ok ? [] : [name]));

test('what must be shown is held against the servers of the same run', () => {
  assert.deepEqual(failed(measured(210_000)), []);
  assert.deepEqual(failed(measured(190_000)), ['mix, highest load, of knot']);
  const slow = measured(210_000).map((one) => (one.what === 'fixed' && one.server === 'podnet' ? { ...one, p99: one.p99 + 200 } : one));
  assert.deepEqual(failed(slow), ['mix at 20,000/s, median of p99, in the spread of the echo']);
});

test('an answer that is wrong, and a peer of Debian that is missing, fail; CoreDNS may be missing, and nothing is missed that was left out by hand', () => {
  assert.deepEqual(failed([...measured(210_000), sample('podnet', 'srv', { wrong: 1, lost: 2 })]), ['wrong answers of 6000', 'lost at the highest load']);
  const missing = [
    { name: 'nsd', how: 'fetch it' },
    { name: 'coredns', how: 'on the PATH' },
  ];
  assert.deepEqual(failed(measured(210_000), { missing: missing as never }), ['peer: nsd']);
  const [first] = measured(210_000);
  assert.deepEqual(failed([first!], { only: ['podnet'] }), []);
  assert.deepEqual(failed([first!]), ['mix, highest load, of knot', 'ClusterIP A, highest load, of an echo', 'mix at 20,000/s, median of p99, in the spread of the echo']);
});

test('the report reads as a table of each load', () => {
  const text = textOf(reportOf({ ...whole, samples: measured(210_000), memory }));
  assert.match(text, /^mix +podnet +210 +210 to 210 +4\.00/m);
  assert.match(text, /^fixed +podnet +1 .* 800 +600 to 1400/m);
  assert.match(text, /✓ +mix, highest load, of knot +1\.05 times/);
});
