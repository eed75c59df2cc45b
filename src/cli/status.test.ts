import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { recordedProcesses } from '../lab/processes.ts';
import { ownLab, podnet, succeeds } from '../lab/testkit/podnet.ts';
import { needsRoot } from '../testing/root.ts';

test('a pod that has ended is no fault of the network, nor is one that ends during the proof', needsRoot, async () => {
  const names = ownLab('ended');
  const folder = mkdtempSync(join(tmpdir(), 'podnet-test-cli-'));
  const manifest = join(folder, 'ends.yaml');
  writeFileSync(manifest, ends);
  try {
    await succeeds('lab', 'up', '--nodes', '1', '--verify', '--name', names.lab, '--apply', manifest);
  } finally {
    rmSync(folder, { recursive: true });
    await succeeds('lab', 'down', '--name', names.lab);
  }
});

const ends = `
apiVersion: v1
kind: Pod
metadata: { name: ends }
spec: { restartPolicy: Never, containers: [{ name: main, image: busybox, command: ['true'] }] }
---
apiVersion: v1
kind: Pod
metadata: { name: ends-soon }
spec: { restartPolicy: Never, containers: [{ name: main, image: busybox, command: [sleep, '0.4'] }] }
`;

test('what of a lab is dead or hangs is told by status and verify, in one sentence each', needsRoot, async () => {
  const names = ownLab('status');
  const signal = (process_: string, name: NodeJS.Signals): void =>
    void process.kill(recordedProcesses(names.pidsDir).get(process_)!.pid, name);
  const status = async (): Promise<string> => {
    const { code, stdout, stderr } = await podnet('status', '--name', names.lab);
    assert.deepEqual([code, stderr], [1, ''], stdout);
    return stdout;
  };
  const verify = async (): Promise<string> => {
    const { code, stderr } = await podnet('verify', '--name', names.lab);
    assert.equal(code, 1, stderr);
    assert.doesNotMatch(stderr, /\n\s+at /);
    return stderr;
  };
  await succeeds('lab', 'up', '--nodes', '1', '--name', names.lab);
  try {
    assert.match(await succeeds('status', '--name', names.lab), /node-1 .* ok/);

    signal('node-1-lab-runner', 'SIGSTOP');
    assert.match(await verify(), /^podnet: cannot learn what there is to be proven: .*runner\.sock does not answer/);
    signal('node-1-lab-runner', 'SIGCONT');

    signal('control', 'SIGSTOP');
    assert.match(await status(), /the API does not answer/);

    signal('control', 'SIGKILL');
    while (recordedProcesses(names.pidsDir).has('control')) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.match(await status(), /the control process is not running/);
    assert.match(await verify(), /^podnet: cannot learn what there is to be proven: GET /);
  } finally {
    await succeeds('lab', 'down', '--name', names.lab);
  }
});
