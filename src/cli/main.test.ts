import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { LabNames } from '../lab/names.ts';
import { needsRoot } from '../testing/root.ts';

const podnet = (...args: string[]) =>
  spawnSync(process.execPath, [join(import.meta.dirname, 'main.js'), ...args], { encoding: 'utf8' });

test('a mistake in the command line ends with code 2 and one sentence', () => {
  const wrong = podnet('lab', 'down', '--name', 'My Lab');
  assert.deepEqual([wrong.status, wrong.stderr], [2, 'podnet: "My Lab" cannot name a lab: use lower-case letters and digits\n']);
  assert.equal(podnet('lab', 'explode').status, 2);
  assert.equal(podnet('--version').status, 0);
});

test('down of a lab that is not there is success, and of a half-made one too', needsRoot, () => {
  const names = new LabNames(`m${process.pid}`);
  const absent = podnet('lab', 'down', '--name', names.lab);
  assert.deepEqual([absent.status, absent.stdout], [0, `no lab "${names.lab}" is there\n`]);
  mkdirSync(names.pidsDir, { recursive: true });
  assert.match(podnet('lab', 'list').stdout, new RegExp(`^${names.lab}\\s+dead\\s+\\?`, 'm'));
  assert.equal(podnet('lab', 'down', '--name', names.lab).status, 0);
  assert.ok(!podnet('lab', 'list').stdout.includes(names.lab));
});
