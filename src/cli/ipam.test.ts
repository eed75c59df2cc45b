import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import type { IpamReport } from '../agent/addresses/ipam-report.ts';
import { eventually, TestNode } from '../agent/testkit/node.ts';
import { NetNs } from '../kernel/netns.ts';
import { run } from '../testing/judge.ts';
import { needsRoot } from '../testing/root.ts';

const main = join(import.meta.dirname, 'main.js');

/** The agent answers from this process, so the command must not block it. */
async function ls(node: TestNode, ...more: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [
    main,
    'ipam',
    'ls',
    '--socket',
    node.config.statusSocket,
    ...more,
  ]);
  return stdout;
}

test(
  'ipam ls tells who holds which address: in use, leaked, damaged and foreign, as a table and as JSON',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await node.startReady();
    const args = { CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-\u001b[31m0' };
    const first = node.world.namespace('0123456789abcdef');
    await node.cni({ command: 'ADD', containerId: '0123456789abcdef', netns: first.path, env: args });
    const leaked = await node.addPod('leaked');
    await node.addPod('torn');
    await node.addPod('gone');
    await node.stop();
    const leases = node.config.stateDir;
    // A lease that cannot be read whose link is gone too.
    const torn = (JSON.parse(readFileSync(`${leases}/10.1.0.4_fd01::4.json`, 'utf8')) as { notes: { link: string } }).notes.link;
    run(node.ns.path, 'ip', 'link', 'del', torn);
    writeFileSync(`${leases}/10.1.0.4_fd01::4.json`, '');
    run(node.ns.path, 'ip', 'route', 'add', '10.1.0.200/32', 'dev', 'eth0');
    rmSync(`${leases}/10.1.0.5_fd01::5.json`);
    await node.startReady();
    run(leaked.ns.path, 'ip', 'link', 'del', 'eth0');
    await eventually(async () => assert.match(await ls(node), /leaked/));

    const lines = (await ls(node, '--no-color')).split('\n').map((line) => line.trim());
    const link = /pod[0-9a-f]{8}/;
    assert.match(lines[0]!, /^NODE +POD CIDR +USED +FREE +LEAKED$/);
    assert.match(lines[1]!, /^me +10\.1\.0\.0\/24 +5 +248 +1$/);
    const rows = lines.slice(lines.findIndex((line) => line.startsWith('ADDRESSES')) + 1).filter(Boolean);
    assert.equal(rows.length, 5);
    for (const [i, row] of [
      /^10\.1\.0\.2,fd01::2 +me +shop\/web-\\x1b\[31m0 +eth0 +0123456789abc +\d+s +in use$/,
      /^10\.1\.0\.3,fd01::3 +me +- +eth0 +leaked +\d+s +leaked: its link is gone, and the pod has no network: delete the pod$/,
      /^10\.1\.0\.4,fd01::4 +me +- +- +- +- +damaged: 10\.1\.0\.4_fd01::4\.json: it is empty$/,
      /^10\.1\.0\.5,fd01::5 +me +- +- +- +- +in use: made anew from its link; /,
      /^10\.1\.0\.200 +me +- +- +- +- +foreign: the route to 10\.1\.0\.200 by eth0$/,
    ].entries())
      assert.match(rows[i]!, row);

    // A sandbox that ended and nobody told: what a runtime's GC is for.
    NetNs.remove(leaked.ns.path);
    assert.match(await ls(node), /leaked: its link and its namespace are gone: the runtime's DEL or GC gives it back/);

    const { nodes } = JSON.parse(await ls(node, '-o', 'json')) as { nodes: IpamReport[] };
    const [report] = nodes;
    assert.deepEqual(report!.pools[0], { prefix: '10.1.0.0/24', used: 5, free: 248 });
    const [one] = report!.entries;
    assert.match(one!.link!, link);
    assert.ok(Math.abs(Date.now() - Date.parse(one!.since!)) < 60_000);
    assert.deepEqual(
      [one!.state, one!.containerId, one!.interface, one!.network, one!.netns],
      ['in use', '0123456789abcdef', 'eth0', 'podnet', first.path],
    );
    assert.match(await ls(node, '-o', 'wide'), /NETWORK +LINK +NETNS/);
  },
);

test('ipam ls: an agent that does not answer is told, and the exit code is 1', needsRoot, async () => {
  await using node = await TestNode.make();
  await assert.rejects(ls(node), (error: { code?: number; stderr?: string }) => {
    assert.match(error.stderr ?? '', /status\.sock does not answer/);
    return error.code === 1;
  });
});
