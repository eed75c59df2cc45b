import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { needsRoot } from '../testing/root.ts';
import { kubectlBinaries, needsTool, requireTool } from '../testing/tools.ts';
import { leftSince, ownLab, stateOf, succeeds } from './testkit/podnet.ts';

const run = promisify(execFile);

const pod = (name: string, node: string, more = ''): string => `apiVersion: v1
kind: Pod
metadata: {name: ${name}, labels: {app: ${name}}}
spec:
  nodeSelector: {kubernetes.io/hostname: ${node}}
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: busybox, command: [${more}]}]
`;
const idle = "sleep, '100000'";
/** Says who it is to whoever asks, by both families. */
const server = "sh, -c, 'mkdir /tmp/www; echo hello > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www'";
const pods = [pod('server', 'node-1', server), pod('near', 'node-1', idle), pod('far', 'node-2', idle)].join('---\n');
const deny = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: default-deny}
spec: {podSelector: {}, policyTypes: [Ingress]}
`;
const allow = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: far-only}
spec:
  podSelector: {matchLabels: {app: server}}
  ingress: [{from: [{podSelector: {matchLabels: {app: far}}}], ports: [{port: 8080}]}]
`;

const tool = kubectlBinaries().at(-1)!;
test(`NP1, NP3, NP5: ${tool.name} applies a default deny: it holds within and across nodes, an exception is let through, and the deletion opens all`, {
  skip: needsRoot.skip || needsTool(tool).skip,
}, async () => {
  const path = requireTool(tool);
  const names = ownLab('netpol');
  const before = stateOf(names);
  await succeeds('lab', 'up', '--nodes', '2', '--ip-family', 'dual', '--name', names.lab);
  try {
    const own = ['--kubeconfig', names.kubeconfig, '--cache-dir', join(names.dir, 'kubectl')];
    const kubectl = async (...args: string[]): Promise<{ stdout: string; stderr: string }> =>
      run(path, [...own, ...args], { timeout: 150_000 });
    const apply = async (file: string, text: string): Promise<string> => {
      writeFileSync(join(names.dir, file), text);
      return (await kubectl('apply', '-f', join(names.dir, file))).stderr;
    };
    await apply('pods.yaml', pods);
    await kubectl('wait', '--for=condition=Ready', 'pod', '--all', '--timeout=60s');
    const { stdout } = await kubectl('get', 'pod', 'server', '-o', 'jsonpath={.status.podIPs[*].ip}');
    const addresses = stdout.trim().split(' ');
    assert.equal(addresses.length, 2, stdout);
    const asks = async (from: string, address: string): Promise<boolean> => {
      const url = `http://${address.includes(':') ? `[${address}]` : address}:8080/`;
      try {
        const answer = await kubectl('exec', from, '--', 'timeout', '1', 'wget', '-q', '-O-', url);
        return answer.stdout === 'hello\n';
      } catch {
        return false;
      }
    };
    const reach = async (): Promise<Record<string, boolean[]>> => ({
      near: await Promise.all(addresses.map((address) => asks('near', address))),
      far: await Promise.all(addresses.map((address) => asks('far', address))),
    });
    const becomes = async (wanted: Record<string, boolean[]>): Promise<void> => {
      for (const end = Date.now() + 90_000; ; ) {
        const seen = await reach();
        if (JSON.stringify(seen) === JSON.stringify(wanted)) return;
        if (Date.now() > end) assert.deepEqual(seen, wanted);
      }
    };
    const [open, shut] = [
      [true, true],
      [false, false],
    ];
    await becomes({ near: open, far: open });
    assert.equal(await apply('deny.yaml', deny), '', 'kubectl warns of nothing');
    await becomes({ near: shut, far: shut });
    assert.match(
      await succeeds('status', '--name', names.lab),
      /^policies: 1 NetworkPolicy; in force on all nodes, for 3 pods$/m,
    );
    await apply('allow.yaml', allow);
    await becomes({ near: shut, far: open });
    const proof = await succeeds('verify', '--name', names.lab);
    assert.match(proof, /pod to pod, kept apart by policies/);
    await kubectl('label', 'pod', 'far', 'app=stranger', '--overwrite');
    await becomes({ near: shut, far: shut });
    await kubectl('delete', 'networkpolicy', '--all');
    await becomes({ near: open, far: open });
  } finally {
    await succeeds('lab', 'down', '--name', names.lab);
  }
  assert.deepEqual(await leftSince(before, names), []);
});
