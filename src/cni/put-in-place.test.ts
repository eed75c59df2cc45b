import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { confListName, writeConfList } from './conflist.ts';
import { emitExecutable, writeExecutable } from './executable/emit.ts';
import { occupantOf } from './executable/recognize.ts';
import { putInPlace, realSteps, removeTemporaries, type Steps } from './put-in-place.ts';

function folder(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'podnet-test-place-'));
  t.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

/** Real steps that are written down, and the one of this number fails. */
function failing(at: number): { steps: Steps; done: string[] } {
  const done: string[] = [];
  const step =
    <A extends unknown[]>(name: string, real: (...args: A) => void) =>
    (...args: A): void => {
      done.push(name);
      if (done.length - 1 === at) throw Object.assign(new Error(`ENOSPC: ${name}`), { code: 'ENOSPC' });
      real(...args);
    };
  const { write, sync, rename } = realSteps;
  return { done, steps: { write: step('write', write), sync: step('sync', sync), rename: step('rename', rename) } };
}

test('CNI14: a power cut finds the old file or the new one: the new one is on disk before it has the name, and the name before the end', (t) => {
  const directory = folder(t);
  const { steps, done } = failing(-1);
  putInPlace(join(directory, 'made/x.conflist'), 'new', 0o644, steps);
  assert.deepEqual(done, ['write', 'sync', 'rename', 'sync']);
  assert.equal(statSync(join(directory, 'made/x.conflist')).mode & 0o777, 0o644);
});

test('CNI14, F6: whichever step fails, the old file is there, or none where there was none, and no temporary one', (t) => {
  const directory = folder(t);
  const file = join(directory, 'x.conflist');
  for (const old of [undefined, 'old'])
    for (const at of [0, 1, 2]) {
      if (old !== undefined) writeFileSync(file, old);
      assert.throws(() => putInPlace(file, 'new', 0o644, failing(at).steps), /ENOSPC/);
      assert.deepEqual(readdirSync(directory), old === undefined ? [] : ['x.conflist'], `step ${at}`);
      if (old !== undefined) assert.equal(readFileSync(file, 'utf8'), old);
    }
});

test('what a killed writer left goes, and what only looks like it stays', (t) => {
  const directory = folder(t);
  for (const name of ['.podnet.01234567.tmp', '.podnet.tmp', '.podnet.0123456g.tmp', '.other.01234567.tmp', 'podnet'])
    writeFileSync(join(directory, name), '');
  removeTemporaries(join(directory, 'podnet'));
  assert.deepEqual(readdirSync(directory).sort(), ['.other.01234567.tmp', '.podnet.0123456g.tmp', '.podnet.tmp', 'podnet']);
});

test("podnet's executable is known by its content, for every processor and socket; other programs are not it", (t) => {
  const file = join(folder(t), 'podnet');
  assert.equal(occupantOf(file).kind, 'nothing');
  for (const arch of ['x64', 'arm64'] as const) {
    writeFileSync(file, emitExecutable({ arch, socketPath: '/run/other/version.sock', timeoutSeconds: 3 }));
    assert.equal(occupantOf(file).kind, 'own');
  }
  assert.equal(writeExecutable(file, { arch: 'x64', socketPath: '/run/a.sock' }), true);
  assert.equal(writeExecutable(file, { arch: 'x64', socketPath: '/run/a.sock' }), false);
  writeFileSync(file, '');
  assert.equal(occupantOf(file).kind, 'own', 'what a power cut left');
  for (const [content, what] of [
    [readFileSync(process.execPath).subarray(0, 4096), 'it is another program'],
    ['#!/bin/sh\n# "msg":"podnet\'s agent \n', 'it is no ELF file'],
    [Buffer.alloc(20_000), 'it has 20000 bytes'],
  ] as const) {
    writeFileSync(file, content);
    assert.deepEqual(occupantOf(file), { kind: 'foreign', what });
    assert.throws(() => writeExecutable(file, { arch: 'x64', socketPath: '/run/a.sock' }), /is not podnet's/);
  }
  assert.deepEqual(occupantOf(join(file, '..')), { kind: 'foreign', what: 'it is a directory' });
});

test('CNI14: a configuration of an older podnet is replaced, an empty one too, an unreadable one is not', (t) => {
  const directory = folder(t);
  const file = join(directory, confListName);
  assert.equal(writeConfList(directory, 'podnet'), true);
  const { ino } = statSync(file);
  assert.equal(writeConfList(directory, 'podnet'), false);
  assert.equal(statSync(file).ino, ino);
  for (const old of ['', '{"cniVersion":"0.4.0","name":"podnet","plugins":[{"type":"podnet"}]}']) {
    writeFileSync(file, old);
    assert.equal(writeConfList(directory, 'podnet'), true);
  }
  writeFileSync(file, '{"cniVer');
  assert.throws(() => writeConfList(directory, 'podnet'), /10-podnet\.conflist is not podnet's: it is no JSON object/);
});
