import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { NetNs } from '../kernel/netns.ts';
import { needsRoot } from '../testing/root.ts';
import { labConfig } from './config.ts';
import { takeDown } from './down.ts';
import { LabNames } from './names.ts';
import { checkMachine } from './preflight.ts';
import { processOf, recordProcess } from './processes.ts';
import { readState, writeState } from './state.ts';
import { topology } from './topology.ts';
import { createUnderlay } from './underlay.ts';

test('down ends processes with and without records, and leaves no namespace, file or process', needsRoot, async () => {
  const names = new LabNames(`d${process.pid}`);
  const other = new LabNames(`d${process.pid}2`);
  const config = labConfig({ name: names.lab, nodes: 2 });
  createUnderlay(names, topology(config), 1500);
  createUnderlay(other, topology(labConfig({ name: other.lab, nodes: 1 })), 1500);
  try {
    writeState(names, { version: 1, config, apiPort: 1, createdAt: new Date(0).toISOString() });
    assert.deepEqual(readState(names)?.config, config);
    using node = NetNs.open(names.node('node-1').netns);
    using otherNode = NetNs.open(other.node('node-1').netns);
    const sleep = (ns: NetNs) => ns.enter(() => spawn('/bin/sleep', ['60'], { stdio: 'ignore' }));
    const inside = sleep(node);
    const stranger = sleep(otherNode);
    const recorded = spawn('/bin/sleep', ['60'], { stdio: 'ignore' });
    recordProcess(names.pidsDir, 'control', processOf(recorded.pid!)!);
    const exits = [inside, recorded].map((child) => once(child, 'exit'));

    const result = await takeDown(names);

    assert.deepEqual(
      { processes: result.processes, namespaces: result.namespaces, left: result.left },
      { processes: 2, namespaces: 5, left: [] },
    );
    await Promise.all(exits);
    assert.equal(stranger.exitCode ?? stranger.signalCode, null, 'a lab whose name begins alike lives on');
    assert.ok(!existsSync(names.dir));
    assert.deepEqual(
      readdirSync('/run/netns').filter((file) => file.startsWith(names.netnsPrefix)),
      [],
    );
    assert.deepEqual(await takeDown(names), { processes: 0, namespaces: 0, left: [] });
  } finally {
    await takeDown(names);
    assert.equal((await takeDown(other)).processes, 1);
  }
});

test('a damaged state file is told, and does not stop down', needsRoot, async () => {
  const names = new LabNames(`x${process.pid}`);
  mkdirSync(names.dir, { recursive: true });
  writeFileSync(names.file, '{"version":');
  assert.throws(() => readState(names), /podnet lab down --name/);
  await takeDown(names);
  assert.equal(readState(names), undefined);
});

test('the check of the machine tries the real thing and leaves nothing', needsRoot, () => {
  const machine = checkMachine(true);
  assert.match(machine.kernel, /^\d+\.\d+/);
  // Other labs of this machine may be checking it at this very moment: only what bears this process's number is ours.
  const mine = `podnet-check-${process.pid}`;
  assert.ok(!readdirSync('/run/netns').includes(mine));
  assert.ok(!readFileSync('/proc/self/mountinfo', 'utf8').includes(`${mine} `));
});
