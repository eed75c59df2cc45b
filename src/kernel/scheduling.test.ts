import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import os from 'node:os';
import test from 'node:test';
import { needsRoot } from '../testing/root.ts';
import { processors, runOn, schedule } from './scheduling.ts';

const sliceOf = (text: string): string | undefined => /se\.slice\s*:\s*(\d+)/.exec(text)?.[1];

test('a thread goes first and runs briefly; what it starts later is as usual', needsRoot, (t) => {
  const slices = existsSync('/proc/self/sched');
  const usual = slices ? sliceOf(readFileSync('/proc/self/sched', 'utf8')) : undefined;
  t.after(() => schedule({ nice: 0, sliceUs: Number(usual ?? 3_000_000) / 1000 }));
  assert.equal(schedule({ nice: -5, sliceUs: 200 }), true);
  assert.equal(os.getPriority(), -5);
  assert.equal(execFileSync('cut', ['-d ', '-f19', '/proc/self/stat'], { encoding: 'utf8' }).trim(), '0');
  if (!slices || sliceOf(readFileSync('/proc/self/sched', 'utf8')) === usual)
    return t.diagnostic('this kernel has no slices of one thread (Linux 6.12)');
  assert.equal(sliceOf(readFileSync('/proc/self/sched', 'utf8')), '200000');
  assert.equal(sliceOf(execFileSync('cat', ['/proc/self/sched'], { encoding: 'utf8' })), usual);
});

test('a thread and what it starts run on the processors they are told', (t) => {
  const before = processors();
  t.after(() => runOn(before));
  const [one] = before;
  runOn([one!]);
  assert.deepEqual(processors(), [one]);
  const list = execFileSync('sed', ['-n', 's/^Cpus_allowed_list:\\t//p', '/proc/self/status'], { encoding: 'utf8' });
  assert.equal(list.trim(), String(one));
  assert.throws(() => runOn([1023]), /sched_setaffinity/);
});
