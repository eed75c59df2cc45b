import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentStatus } from '../agent/status.ts';
import { Echo, Traffic } from '../agent/testkit/traffic.ts';
import { tablesTakenOver, Witness } from '../agent/testkit/witness.ts';
import { question } from '../dns/testkit/message.ts';
import { NetNs } from '../kernel/netns.ts';
import { Services } from '../kube/resources.ts';
import { needsRoot } from '../testing/root.ts';
import type { LabNames } from './names.ts';
import { agentStatusOf, podsOf } from './node-client.ts';
import { recordedProcesses } from './processes.ts';
import { Held } from './testkit/held.ts';
import { ownLab, succeeds } from './testkit/podnet.ts';
import { adminClient } from './up.ts';

const nodes = ['node-1', 'node-2'];
const port = 7000;
const rounds = 3;

const pod = (name: string, node: string, app: string): string => `apiVersion: v1
kind: Pod
metadata: {name: ${name}, labels: {app: ${app}}}
spec:
  nodeSelector: {kubernetes.io/hostname: ${node}}
  terminationGracePeriodSeconds: 0
  containers: [{name: sleep, image: busybox, command: [sleep, '100000']}]
`;
const manifest = [
  pod('client', 'node-1', 'client'),
  pod('near', 'node-1', 'echo'),
  pod('far', 'node-2', 'echo'),
  `apiVersion: v1
kind: Service
metadata: {name: echo}
spec:
  ipFamilyPolicy: RequireDualStack
  selector: {app: echo}
  ports: [{name: tcp, port: 80, targetPort: ${port}}, {name: udp, port: 80, targetPort: ${port}, protocol: UDP}]
`,
].join('---\n');

/**
 * As kubelet does, the runner tells that the node is not Ready while there is no agent: on a busy machine that is long enough for its pods to leave Services, which the
 * next agent then has to write. So it is stopped meanwhile, with none of its calls of the agent under way.
 */
async function withoutRunner<T>(names: LabNames, node: string, work: () => Promise<T>): Promise<T> {
  const runner = recordedProcesses(names.pidsDir).get(`${node}-lab-runner`)!.pid;
  const isCalling = (): boolean =>
    readFileSync(`/proc/${runner}/task/${runner}/children`, 'utf8')
      .split(' ')
      .some((pid) => pid !== '' && commandOf(pid).includes(names.node(node).cniBin));
  process.kill(runner, 'SIGSTOP');
  try {
    for (const end = Date.now() + 60_000; isCalling() && Date.now() < end; ) await sleep(5);
    return await work();
  } finally {
    process.kill(runner, 'SIGCONT');
  }
}

/** Empty of one that has ended. */
function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
  } catch {
    return '';
  }
}

/** Kills the agent of a node and waits until the next one has compared the whole kernel with what is wanted. */
async function restartAgent(names: LabNames, node: string): Promise<AgentStatus> {
  const record = (): number | undefined => recordedProcesses(names.pidsDir).get(`${node}-agent`)?.pid;
  const before = record();
  assert.ok(before);
  process.kill(before, 'SIGKILL');
  for (const end = Date.now() + 60_000; Date.now() < end; await sleep(20)) {
    const now = record();
    if (now === undefined || now === before) continue;
    const status = await agentStatusOf(names.node(node).agentStatusSocket).catch(() => undefined);
    if (status?.ready && status.reconciler.fullChecks > 0 && status.reconciler.pending === 0) return status;
  }
  throw new Error(`no agent of ${node} is ready 60 s after the kill`);
}

async function reached(from: NetNs, service: string): Promise<void> {
  for (const end = Date.now() + 60_000; ; ) {
    using probe = new Traffic(from);
    probe.udpQuestions(`UDP to ${service}`, service, 80, Buffer.from('hello'), 10);
    await sleep(100);
    const lost = await probe.end(500);
    if (lost.length === 0 && probe.flows[0]!.answered > 0) return;
    assert.ok(Date.now() < end, lost.join());
  }
}

/** Every file that the agent keeps for others and when it was written. */
function filesOf(names: LabNames, node: string): string[] {
  const paths = names.node(node);
  return [paths.cniBin, paths.cniConf, paths.path('leases')].flatMap((folder) =>
    readdirSync(folder).map((name) => `${join(folder, name)} ${statSync(join(folder, name)).mtimeMs}`),
  );
}

test(
  'SD22: an agent killed by SIGKILL while traffic flows loses nothing, and after its restart writes nothing that was right',
  needsRoot,
  async () => {
    const names = ownLab('restart');
    const folder = mkdtempSync(join(tmpdir(), 'podnet-test-restart-'));
    using held = new Held();
    writeFileSync(join(folder, 'echo.yaml'), manifest);
    try {
      const flags = ['--nodes', '2', '--links', '2', '--ip-family', 'dual', '--apply', folder];
      await succeeds('lab', 'up', '--name', names.lab, ...flags);
      using client = adminClient(names);
      const running = (await Promise.all(nodes.map((node) => podsOf(names.node(node).runnerSocket)))).flat();
      const find = (name: string) => running.find((one) => one.name === name)!;
      const ns = (name: string): NetNs => held.use(NetNs.open(find(name).netns));
      const [near, far] = [held.use(await Echo.start(ns('near'), port)), held.use(await Echo.start(ns('far'), port))];
      const traffic = held.use(new Traffic(ns('client')));
      const service = (await client.get(Services, 'echo', 'default')).spec!.clusterIPs!;
      const dns = (await client.get(Services, 'kube-dns', 'kube-system')).spec!.clusterIPs!;
      // Pods are Ready a moment before every node leads the Service to them.
      for (const address of service) await reached(ns('client'), address);
      for (const [i, address] of find('far').podIPs.entries()) {
        await traffic.udpFlow(`UDP to a pod on another node, ${address}`, address, port);
        await traffic.udpFlow(`UDP through a Service, ${service[i]}`, service[i]!, 80);
        await traffic.tcpFlow(`TCP through a Service, ${service[i]}`, service[i]!, 80);
        traffic.udpQuestions(`UDP, each a new flow through a Service, ${service[i]}`, service[i]!, 80, Buffer.from('hello'));
        traffic.tcpConnections(`TCP, each a new connection through a Service, ${service[i]}`, service[i]!, 80);
        traffic.udpQuestions(`DNS, ${dns[i]}`, dns[i]!, 53, question('echo.default.svc.cluster.local'));
      }
      const files = nodes.map((node) => filesOf(names, node));
      const witnesses = nodes.map((node) => held.use(new Witness(names.node(node).netns)));
      await Promise.all(witnesses.map((witness) => witness.quiet()));

      for (let round = 0; round < rounds; round++) {
        for (const status of await Promise.all(nodes.map((node) => withoutRunner(names, node, () => restartAgent(names, node))))) {
          const { reconciler, attachments, staleUdpDeleted, problems, node } = status;
          assert.deepEqual(
            { operations: reconciler.operations, errors: reconciler.errors, staleUdpDeleted, problems },
            {
              ...{ operations: 0, errors: [], staleUdpDeleted: 0, problems: [] },
            },
            node,
          );
          assert.ok(attachments >= 1, 'it knows the attachments of before');
        }
      }

      assert.deepEqual(await traffic.end(), []);
      for (const { name, sent } of traffic.flows) assert.ok(sent > 20, `${name}: only ${sent} were sent`);
      assert.ok(near.heard > 20 && far.heard > 20, 'the Service spreads over both');
      const takenOver = Array.from({ length: rounds }, () => tablesTakenOver('routed')).flat();
      for (const { seen } of witnesses) assert.deepEqual([...seen], takenOver, 'changes of a node');
      assert.deepEqual(
        nodes.map((node) => filesOf(names, node)),
        files,
      );
    } finally {
      await succeeds('lab', 'down', '--name', names.lab);
      rmSync(folder, { recursive: true });
    }
  },
);
