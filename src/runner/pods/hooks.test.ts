import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import type { RunningContainer } from '../container.ts';
import { execToEnd } from './hooks.ts';

/** A container whose command ends at once with code 1; its output is written by `later`. */
function container(later: (stdout: PassThrough) => void): RunningContainer {
  const stdout = new PassThrough();
  const exec = async () => {
    setTimeout(() => later(stdout), 20);
    return { stdin: undefined, stdout, stderr: undefined, resize: () => {}, exit: Promise.resolve({ code: 1 }), kill: () => {} };
  };
  return { exec } as Partial<RunningContainer> as RunningContainer;
}

test('what a command wrote last is heard, though its end is known before', async () => {
  assert.deepEqual(
    await execToEnd(
      container((stdout) => stdout.end('sick\n')),
      ['x'],
    ),
    { code: 1, output: 'sick' },
  );
});

test('a child that keeps the output open does not hold up the answer', async () => {
  assert.deepEqual(
    await execToEnd(
      container((stdout) => stdout.write('sick\n')),
      ['x'],
    ),
    { code: 1, output: 'sick' },
  );
});
