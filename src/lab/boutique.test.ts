import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { needsRoot } from '../testing/root.ts';
import { kubectlBinaries, needsTool, requireTool } from '../testing/tools.ts';
import { example, leftSince, ownLab, stateOf, succeeds } from './testkit/podnet.ts';

const run = promisify(execFile);

for (const tool of kubectlBinaries()) {
  const skip = needsRoot.skip || needsTool(tool).skip;
  test(`${tool.name} runs Online Boutique: all its pods become Ready, and delete -f removes all of it`, { skip }, async () => {
    const path = requireTool(tool);
    const names = ownLab(`boutique${tool.name.replaceAll(/\D/g, '')}`);
    const before = stateOf(names);
    const manifest = example('online-boutique.yaml');
    await succeeds('lab', 'up', '--name', names.lab);
    try {
      const own = ['--kubeconfig', names.kubeconfig, '--cache-dir', join(names.dir, 'kubectl')];
      const kubectl = async (...args: string[]): Promise<string> =>
        (await run(path, [...own, ...args], { timeout: 150_000 })).stdout;
      await kubectl('apply', '-f', manifest);
      await kubectl('wait', '--for=condition=Available', 'deployment', '--all', '--timeout=120s');
      const pods = await kubectl('get', 'pods', '-o', 'name');
      assert.ok(pods.trim().split('\n').length >= 12, pods);
      await kubectl('delete', '-f', manifest, '--timeout=100s');
      for (const end = Date.now() + 100_000; (await kubectl('get', 'pods', '-o', 'name')) !== ''; )
        assert.ok(Date.now() < end, 'pods are still there 100 s after delete -f');
    } finally {
      await succeeds('lab', 'down', '--name', names.lab);
    }
    assert.deepEqual(await leftSince(before, names), []);
  });
}
