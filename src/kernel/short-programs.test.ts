import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KernelError } from './errors.ts';
import { ShortProgram } from './short-programs.ts';

const shell = (script: string, count = '1'): ShortProgram =>
  ShortProgram.start({ path: '/bin/sh', env: { SCRIPT: script, COUNT: count }, input: script });

test('a short program gets its input and environment, and its output, exit code and time on a core come back', () => {
  const { exitCode, stdout, cpuUs } = shell('echo "of $COUNT"; exit 7', 'one').end();
  assert.deepEqual([exitCode, stdout.toString()], [7, 'of one\n']);
  assert.ok(cpuUs > 0 && cpuUs < 10e6, `${cpuUs} us`);
  const large = shell('i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done').end();
  assert.equal(large.stdout.length, 3000 * 41);
});

test('a short program that a signal ended says which; one that is not there cannot be started', () => {
  assert.equal(shell('kill -9 $$').end().exitCode, 137);
  assert.throws(
    () => ShortProgram.start({ path: '/nowhere/at/all', env: {}, input: '' }),
    (error: unknown) => error instanceof KernelError && error.errno === 'ENOENT',
  );
});

test('of several short programs those that have ended are told first', () => {
  const slow = shell('sleep 0.3; echo slow');
  const fast = shell('echo fast');
  const [first] = ShortProgram.endOfAny([slow, fast]);
  assert.equal(first!.program, fast);
  assert.equal(first!.end.stdout.toString(), 'fast\n');
  assert.equal(slow.end().stdout.toString(), 'slow\n');
});
