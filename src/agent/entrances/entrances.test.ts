import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { installExecutable } from '../../cni/installation.ts';
import { run } from '../../testing/judge.ts';
import { needsRoot } from '../../testing/root.ts';
import { eventually, TestNode } from '../testkit/node.ts';
import { Entrances } from './entrances.ts';

test('what is gone or replaced is made again, once; what is there is left alone; what cannot be made is told until it can', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'podnet-test-entrances-'));
  try {
    const file = join(directory, 'deep', 'file');
    const log: string[] = [];
    let closed = 0;
    mkdirSync(join(directory, 'deep'));
    const entrances = new Entrances((line) => log.push(line));
    await entrances.open({
      path: file,
      open: async () => {
        writeFileSync(file, 'own', { flag: 'wx' });
        return () => void closed++;
      },
    });
    await entrances.look();
    assert.deepEqual([log, closed], [[], 0]);

    rmSync(file);
    await Promise.all([entrances.look(), entrances.look()]);
    assert.equal(readFileSync(file, 'utf8'), 'own');
    assert.equal(closed, 1);
    assert.match(log.join(), /^made .*file again/);

    rmSync(file);
    writeFileSync(file, "another's");
    for (const _ of [1, 2]) await entrances.look();
    assert.match(entrances.problems().join(), /^\S+file is gone or not podnet's any more, and cannot be made again: EEXIST/);
    assert.equal(log.length, 2, 'told once');
    assert.equal(closed, 2, 'closed once');
    rmSync(file);
    await entrances.look();
    assert.deepEqual(entrances.problems(), []);
    await entrances[Symbol.asyncDispose]();
    assert.equal(closed, 3);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('CNI9, CNI14: sockets and the executable that somebody took away while the agent runs are there again', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  const { cni, statusSocket } = node.config;
  const loopback = join(cni.binDir, 'loopback');
  const files = [cni.socketPath, statusSocket, join(cni.binDir, 'podnet'), loopback];
  for (const file of [cni.socketPath, statusSocket]) rmSync(file);
  rmSync(cni.binDir, { recursive: true });
  rmSync(cni.confDir, { recursive: true });
  // Drift is followed by a check of all, which otherwise comes each half minute.
  run(node.ns.path, 'ip', 'route', 'del', '10.1.1.0/24');
  await eventually(() => {
    for (const file of [...files, cni.confDir]) assert.ok(existsSync(file), file);
  });
  await eventually(async () => assert.deepEqual(await node.cni({ command: 'STATUS' }), { code: 0, json: {} }));
  assert.equal(statSync(cni.socketPath).mode & 0o777, 0o600);
  await node.addPod('a');
  assert.deepEqual(node.status().problems, []);
  // Somebody else's stays, and is told; one of podnet's that leads elsewhere is left alone.
  const executable = join(cni.binDir, 'podnet');
  writeFileSync(executable, '#!/bin/sh\n');
  run(node.ns.path, 'ip', 'route', 'del', '10.1.1.0/24');
  await eventually(() => assert.match(node.status().problems.join(), /podnet is gone or not podnet's any more, and cannot be made again: /));
  rmSync(executable);
  installExecutable(cni.binDir, '/run/elsewhere.sock');
  const elsewhere = readFileSync(executable);
  const checks = node.status().reconciler.fullChecks;
  run(node.ns.path, 'ip', 'route', 'del', '10.1.1.0/24');
  await eventually(() => assert.ok(node.status().reconciler.fullChecks > checks));
  assert.deepEqual(readFileSync(executable), elsewhere);
  await node.stop();
  assert.deepEqual(files.map((file) => existsSync(file)), [false, false, true, true], 'sockets go with the agent');
});
