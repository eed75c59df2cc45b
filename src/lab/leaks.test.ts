import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { changes, type MachineState } from '../testing/machine.ts';
import { needsRoot } from '../testing/root.ts';
import type { LabNames } from './names.ts';
import type { ProcessId } from './processes.ts';
import { networkSettings, ruleset } from './testkit/host.ts';
import { example, leftSince, ownLab, podnet, processesOf, stateOf, succeeds } from './testkit/podnet.ts';

const folder = mkdtempSync(join(tmpdir(), 'podnet-test-leaks-'));
after(() => rmSync(folder, { recursive: true }));

/** Pods whose containers run for real, in processes of their own. */
const sleepers = join(folder, 'sleepers.yaml');
writeFileSync(
  sleepers,
  `apiVersion: apps/v1
kind: Deployment
metadata: {name: sleepers}
spec:
  replicas: 4
  selector: {matchLabels: {app: sleepers}}
  template:
    metadata: {labels: {app: sleepers}}
    spec:
      containers:
      - {name: sleep, image: busybox, command: [sh, -c, 'trap "" TERM; sleep 100000 & sleep 100001']}
`,
);

const up = (names: LabNames): Promise<string> =>
  succeeds('lab', 'up', '--name', names.lab, '--ip-family', 'dual', '--apply', example('guestbook.yaml'), '--apply', sleepers);

/** podnet's own: not what runs in the pods. */
const isPodnet = ({ pid }: ProcessId): boolean =>
  existsSync(`/proc/${pid}`) && readFileSync(`/proc/${pid}/cmdline`, 'latin1').startsWith('podnet ');

test(
  'nothing of a lab is left on the machine after down, and the host never had anything of it but files and mounts',
  needsRoot,
  async () => {
    const names = ownLab('leak');
    const before = stateOf(names);
    try {
      await up(names);
      const during = stateOf(names);
      for (const kind of ['link', 'address', 'route', 'rule', 'nftables table', 'sysctl'])
        assert.deepEqual(during[kind], before[kind], `the host's own ${kind}`);
      assert.ok(during.process!.length > 9 && during.mount!.length > 9 && during.file!.length > 30, 'the meter sees what runs');
    } finally {
      assert.match(
        await succeeds('lab', 'down', '--name', names.lab),
        /is gone: ended \d+ processes, removed \d+ network namespaces/,
      );
    }
    assert.deepEqual(await leftSince(before, names), []);
  },
);

test(
  'a lab whose podnet processes were all killed by SIGKILL, and its records with them, is taken down without a trace',
  needsRoot,
  async () => {
    const names = ownLab('kill');
    const before = stateOf(names);
    try {
      await up(names);
      // A pod is Ready once its shell runs; that one starts a sleep and becomes another when it gets the time.
      const inPods = (): number => processesOf(names).filter((id) => !isPodnet(id)).length;
      for (let tries = 0; inPods() < 4 * 2 && tries < 1000; tries++) await sleep(20);
      const own = processesOf(names).filter(isPodnet);
      // The second worker of a DNS comes some seconds later.
      assert.ok(own.length >= 1 + 3 * 4 && own.length <= 1 + 3 * 5, `${own.length}: control; agent, DNS, its worker and runner of three nodes`);
      // The control process first: it would start the others again.
      own.sort((a, b) => a.startTicks - b.startTicks);
      for (const { pid } of own) process.kill(pid, 'SIGKILL');
      assert.ok(inPods() >= 4 * 2, 'what runs in pods lives on without them');
      rmSync(names.pidsDir, { recursive: true });
      assert.match((await podnet('lab', 'list')).stdout, new RegExp(`^${names.lab} +dead `, 'm'));
      const again = await podnet('lab', 'up', '--name', names.lab);
      assert.deepEqual(
        [again.code, again.stderr.includes('its control process is not running; end it with')],
        [2, true],
        again.stderr,
      );
    } finally {
      await succeeds('lab', 'down', '--name', names.lab);
    }
    assert.deepEqual(await leftSince(before, names), []);
  },
);

test("a lab changes no setting and no rule of the host's network, while it runs and after", needsRoot, async () => {
  const names = ownLab('host');
  const host = (): MachineState => ({ setting: networkSettings(), rule: ruleset() });
  const before = host();
  assert.ok(before.setting!.length > 200);
  try {
    await up(names);
    assert.deepEqual(changes(before, host()), []);
  } finally {
    await succeeds('lab', 'down', '--name', names.lab);
  }
  assert.deepEqual(changes(before, host()), []);
});
