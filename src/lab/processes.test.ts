import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { NetNs } from '../kernel/netns.ts';
import { needsRoot } from '../testing/root.ts';
import {
  endProcesses,
  forgetProcess,
  isAlive,
  processesOfLab,
  processOf,
  recordedProcesses,
  recordProcess,
} from './processes.ts';

const dir = mkdtempSync(join(tmpdir(), 'podnet-test-processes-'));
const children: ChildProcess[] = [];
after(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(dir, { recursive: true });
});

async function start(script: string, env: NodeJS.ProcessEnv = {}): Promise<ChildProcess & { pid: number }> {
  const child = spawn(process.execPath, ['-e', `${script}; setInterval(() => {}, 1e6); console.log('up')`], {
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  children.push(child);
  await once(child.stdout!, 'data');
  return child as ChildProcess & { pid: number };
}

test('a recorded process is found while it lives, and its record never names a later process with its number', async () => {
  const child = await start('');
  const id = processOf(child.pid)!;
  recordProcess(dir, 'agent', id);
  recordProcess(dir, 'dns', { ...id, startTicks: id.startTicks - 1 });
  writeFileSync(join(dir, 'torn'), '');
  assert.deepEqual([...recordedProcesses(dir)], [['agent', id]]);
  forgetProcess(dir, 'agent');
  forgetProcess(dir, 'never-recorded');
  assert.equal(recordedProcesses(dir).size, 0);
});

test('processes end by SIGTERM, and by SIGKILL when they ignore it', async () => {
  const polite = await start('');
  const stubborn = await start(`process.on('SIGTERM', () => {})`);
  const ids = [polite, stubborn].map((child) => processOf(child.pid)!);
  assert.deepEqual(await endProcesses(ids, 200), []);
  assert.ok(!ids.some(isAlive));
  assert.equal(polite.signalCode ?? (await once(polite, 'exit'))[1], 'SIGTERM');
  assert.equal(stubborn.signalCode ?? (await once(stubborn, 'exit'))[1], 'SIGKILL');
});

test('processes of a lab are found by its mark in their environment, as a whole variable only', async () => {
  const mine = await start('', { PODNET_LAB: `t${process.pid}` });
  const other = await start('', { PODNET_LAB: `t${process.pid}-two` });
  const found = processesOfLab([], `PODNET_LAB=t${process.pid}`).map(({ pid }) => pid);
  assert.deepEqual(found, [mine.pid]);
  assert.ok(!found.includes(other.pid));
});

test('processes of a lab are found by the network namespace they stand in', needsRoot, async () => {
  const path = `/run/netns/podnet-test-processes-${process.pid}`;
  using ns = NetNs.create(path);
  try {
    const child = ns.enter(() => spawn('/bin/sleep', ['60'], { stdio: 'ignore' }));
    children.push(child);
    assert.deepEqual(
      processesOfLab([path, `${path}-gone`], 'PODNET_LAB=none').map(({ pid }) => pid),
      [child.pid],
    );
    assert.deepEqual(await endProcesses(processesOfLab([path], 'PODNET_LAB=none'), 1000), []);
  } finally {
    NetNs.remove(path);
  }
});
