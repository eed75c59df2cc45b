import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Asker } from '../agent/testkit/asker.ts';
import { eventually } from '../agent/testkit/node.ts';
import type { ProcessStatus } from '../dns/testkit/processes.ts';
import { NetNs } from '../kernel/netns.ts';
import { conditionOf, dnsConditionType } from '../kube/objects.ts';
import { EndpointSlices, Nodes, Services } from '../kube/resources.ts';
import { needsRoot } from '../testing/root.ts';
import { getJson } from '../unix/http.ts';
import type { LabNames } from './names.ts';
import { agentStatusOf, podsOf } from './node-client.ts';
import { recordedProcesses } from './processes.ts';
import { Held } from './testkit/held.ts';
import { ownLab, succeeds } from './testkit/podnet.ts';
import { adminClient } from './up.ts';

const name = 'kubernetes.default.svc.cluster.local';
const manifest = `apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  nodeSelector: {kubernetes.io/hostname: node-1}
  terminationGracePeriodSeconds: 0
  containers: [{name: sleep, image: busybox, command: [sleep, '100000']}]
`;

/** The DNS of node-1, as its health socket tells. */
const dnsOf = async (names: LabNames): Promise<ProcessStatus> => getJson<ProcessStatus>(names.node('node-1').dnsHealthSocket, '/status', 1000);

/** Somebody answers, and another one could. */
const complete = (names: LabNames, parent?: number): Promise<ProcessStatus['process']> =>
  eventually(async () => {
    const { ready, process } = await dnsOf(names);
    assert.ok(ready && process.standbyKnows === true && process.parent !== undefined);
    if (parent !== undefined) assert.equal(process.parent, parent);
    return process;
  }, 60_000);

const recorded = (names: LabNames, what: string): number => recordedProcesses(names.pidsDir).get(`node-1-${what}`)!.pid;

/** Questions of a pod by both families' addresses while something is done; each pair from a port that was used before. @returns how many had no answer */
async function askWhile(askers: readonly Asker[], what: () => Promise<unknown>): Promise<{ asked: number; lost: number }> {
  const before = askers.reduce((sum, { asked }) => sum + asked, 0);
  let ending = false;
  const asking = (async () => {
    for (; !ending; await sleep(5)) for (const asker of askers) asker.ask();
  })();
  try {
    await what();
    await sleep(300);
  } finally {
    ending = true;
    await asking;
  }
  let lost = 0;
  for (const asker of askers) lost += await asker.lost(4000);
  return { asked: askers.reduce((sum, { asked }) => sum + asked, 0) - before, lost };
}

test('F3: pods are answered while the DNS of their node is killed part by part; an agent that is killed touches none of it', needsRoot, async (t: TestContext) => {
  const names = ownLab('dnsproc');
  const folder = mkdtempSync(join(tmpdir(), 'podnet-test-dnsproc-'));
  using held = new Held();
  const askers: Asker[] = [];
  writeFileSync(join(folder, 'client.yaml'), manifest);
  try {
    await succeeds('lab', 'up', '--name', names.lab, '--nodes', '2', '--ip-family', 'dual', '--apply', folder);
    using client = adminClient(names);
    const [pod] = await podsOf(names.node('node-1').runnerSocket);
    const ns = held.use(NetNs.open(pod!.netns));
    const vips = (await client.get(Services, 'kube-dns', 'kube-system')).spec!.clusterIPs!;
    for (const vip of vips) askers.push(await Asker.open(ns, vip, name));
    const agentSays = async (): Promise<boolean | undefined> => (await agentStatusOf(names.node('node-1').agentStatusSocket)).dnsAnswered;
    const judge = async (what: string, most: number, done: () => Promise<unknown>): Promise<void> => {
      const { asked, lost } = await askWhile(askers, done);
      t.diagnostic(`${what}: ${lost} of ${asked} lost`);
      assert.ok(asked > 20 && lost <= most, `${what}: ${lost} of ${asked} lost`);
    };

    let now = await complete(names);
    await judge('a worker is killed', 4, async () => {
      process.kill(now.pid, 'SIGKILL');
      now = await complete(names);
    });
    assert.equal(await agentSays(), true, 'a worker that is replaced is no matter for the agent');

    await judge('the parent is killed, and started again by who watches it', 0, async () => {
      const before = now.parent!;
      process.kill(before, 'SIGKILL');
      await eventually(() => assert.notEqual(recorded(names, 'dns'), before));
      now = await complete(names, recorded(names, 'dns'));
    });
    await judge('the agent is killed', 0, async () => {
      const before = recorded(names, 'agent');
      process.kill(before, 'SIGKILL');
      await eventually(async () => {
        assert.notEqual(recorded(names, 'agent'), before);
        assert.equal(await agentSays(), true);
      });
    });
    assert.deepEqual((await dnsOf(names)).process, now, 'the same processes');

    // All of them hang: nobody is left who would replace one.
    const all = [now.parent!, now.pid, now.standby!];
    const told = async (): Promise<[string | undefined, boolean | undefined]> => {
      const { status } = await client.get(Nodes, 'node-1');
      const { endpoints } = await client.get(EndpointSlices, 'kube-dns-ipv4', 'kube-system');
      return [
        conditionOf(status?.conditions, dnsConditionType)?.status,
        endpoints?.find(({ nodeName }) => nodeName === 'node-1')?.conditions?.ready,
      ];
    };
    for (const pid of all) process.kill(pid, 'SIGSTOP');
    try {
      await eventually(async () => assert.deepEqual(await told(), ['False', false]));
      assert.equal(await agentSays(), false);
      await judge('all of them hang, and other nodes answer', 0, () => sleep(500));
    } finally {
      for (const pid of all) process.kill(pid, 'SIGCONT');
    }
    await eventually(async () => assert.deepEqual(await told(), ['True', true]));
    await judge('they are back', 0, () => eventually(async () => assert.equal(await agentSays(), true)));
  } finally {
    for (const asker of askers) await asker[Symbol.asyncDispose]();
    await succeeds('lab', 'down', '--name', names.lab);
    rmSync(folder, { recursive: true });
  }
});
