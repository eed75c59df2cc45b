import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { needsRoot } from '../../testing/root.ts';
import { killStorm } from '../testkit/kill-storm.ts';
import { ProcessNode } from '../testkit/process-node.ts';

for (const attach of ['routed', 'bridge'] as const)
  test(
    `F21, CNI5, CNI7: kill -9 of the agent amid ADD and DEL leaks nothing and gives no address twice (${attach})`,
    needsRoot,
    async () => {
      const directory = mkdtempSync(`${tmpdir()}/podnet-test-storm-`);
      try {
        await using node = new ProcessNode(`${directory}/s`, { attach, podCidrs: ['10.1.0.0/24', 'fd01::/64'] });
        const { problems, adds } = await killStorm(node, { kills: 8 });
        assert.deepEqual(problems, []);
        assert.ok(adds > 0);
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    },
  );
