import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { recordedProcesses } from '../lab/processes.ts';
import { podnetExecutable } from '../lab/supervisor.ts';
import { Foreground } from '../lab/testkit/foreground.ts';
import { leftSince, ownLab, stateOf, succeeds } from '../lab/testkit/podnet.ts';
import { needsRoot } from '../testing/root.ts';

const down = (lab: string): Promise<string> => succeeds('lab', 'down', '--name', lab);

test('npm start -- --once brings the demo up, proves it, ends with 0 and leaves nothing', needsRoot, async () => {
  const names = ownLab('once');
  const before = stateOf(names);
  using run = new Foreground('npm', 'start', '--', '--name', names.lab, '--once');
  try {
    assert.equal(await run.ended(), 0, run.output);
    assert.match(run.output, /pods Ready[\s\S]*The network keeps its word[\s\S]*take the lab down/);
  } finally {
    await down(names.lab);
  }
  assert.deepEqual(await leftSince(before, names), []);
});

test('npm start stays in front, says how to go on, and on Ctrl-C leaves nothing', needsRoot, async () => {
  const names = ownLab('front');
  const before = stateOf(names);
  using run = new Foreground('npm', 'start', '--', '--name', names.lab);
  try {
    await run.prints(/Ctrl-C ends the lab/);
    assert.ok(run.output.includes(`kubectl --kubeconfig ${names.kubeconfig} get pods`), run.output);
    assert.match(await succeeds('status', '--name', names.lab), /frontend/);
    run.signal('SIGINT');
    await run.ended();
    assert.match(run.output, /✓ take the lab down/);
    assert.deepEqual(await leftSince(before, names), []);
  } finally {
    await down(names.lab);
  }
});

test('npm run down ends a lab that another terminal holds in front, which then ends with 1 and says why', needsRoot, async () => {
  const names = ownLab('other');
  const before = stateOf(names);
  using run = new Foreground(process.execPath, podnetExecutable, 'lab', 'up', '--foreground', '--nodes', '1', '--name', names.lab);
  await run.prints(/Ctrl-C ends the lab/);
  using other = new Foreground('npm', 'run', 'down', '--', '--name', names.lab);
  assert.equal(await other.ended(), 0, other.output);
  assert.match(other.output, new RegExp(`lab "${names.lab}" is gone`));
  assert.equal(await run.ended(), 1);
  assert.match(run.output, /the control process ended/);
  assert.deepEqual(await leftSince(before, names), []);
});

for (const [moment, wanted] of [
  ['while the underlay is made', /machine/],
  ['while the API server starts', /underlay/],
  ['while the nodes start', /Kubernetes API/],
  ['while pods start', /apply/],
] as const)
  test(`Ctrl-C ${moment} leaves nothing, also when it is pressed again and again`, needsRoot, async () => {
    const names = ownLab('early');
    const before = stateOf(names);
    using run = new Foreground('npm', 'start', '--', '--nodes', '2', '--name', names.lab);
    try {
      await run.prints(wanted);
      run.signal('SIGINT');
      const again = setInterval(() => run.child.exitCode === null && run.signal('SIGINT'), 100);
      await run.ended().finally(() => clearInterval(again));
      assert.deepEqual(await leftSince(before, names), [], run.output);
    } finally {
      await down(names.lab);
    }
  });

for (const signal of ['Ctrl-C', 'the death of the control process'] as const)
  test(`${signal} while pods are waited for ends the wait at once`, needsRoot, async () => {
    const names = ownLab('waiting');
    const before = stateOf(names);
    const folder = mkdtempSync(join(tmpdir(), 'podnet-test-cli-'));
    const manifest = join(folder, 'never-ready.yaml');
    writeFileSync(manifest, neverReady);
    using run = new Foreground(
      process.execPath,
      podnetExecutable,
      'lab',
      'up',
      '--once',
      '--nodes',
      '1',
      '--name',
      names.lab,
      '--apply',
      manifest,
    );
    try {
      await run.prints(/apply/);
      if (signal === 'Ctrl-C') run.signal('SIGINT');
      else process.kill(recordedProcesses(names.pidsDir).get('control')!.pid, 'SIGKILL');
      assert.equal(await run.ended(), signal === 'Ctrl-C' ? 130 : 1, run.output);
      // It would have waited for two minutes; the time that it says it took is not that of this machine's other work.
      assert.match(run.output, /✗ pods Ready +(\d?\d\.\d+)s/);
      if (signal !== 'Ctrl-C') assert.match(run.output, /the control process ended \(SIGKILL\)/);
      assert.deepEqual(await leftSince(before, names), [], run.output);
    } finally {
      rmSync(folder, { recursive: true });
      await down(names.lab);
    }
  });

const neverReady = `
apiVersion: v1
kind: Pod
metadata: { name: never-ready }
spec:
  containers:
    - { name: main, image: busybox, command: [sleep, '600'], readinessProbe: { exec: { command: ['false'] } } }
`;

test('a lab in front whose terminal goes is taken down, though nobody reads what it prints', needsRoot, async () => {
  const names = ownLab('hangup');
  const before = stateOf(names);
  using run = new Foreground(process.execPath, podnetExecutable, 'lab', 'up', '--foreground', '--nodes', '1', '--name', names.lab);
  try {
    await run.prints(/Ctrl-C ends the lab/);
    run.closeOutput();
    run.signal('SIGHUP');
    await run.ended();
    assert.deepEqual(await leftSince(before, names), []);
  } finally {
    await down(names.lab);
  }
});
