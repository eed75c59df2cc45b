import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Ipam } from '../ipam/index.ts';
import { needsRoot } from '../testing/root.ts';
import { startAgent } from './index.ts';
import { agentConfig } from './testkit/config.ts';

const kubeconfig = JSON.stringify({
  ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'a', users: [{ name: 'a', user: { token: 'none' } }] },
  contexts: [{ name: 'a', context: { cluster: 'a', user: 'a' } }],
  clusters: [{ name: 'a', cluster: { server: 'https://127.0.0.1:1' } }],
});

for (const what of ['binDir', 'statusSocket'] as const)
  test(
    `an agent that cannot start (${what}) lets go of its sockets and leases, so that its process ends`,
    needsRoot,
    async (t) => {
      const directory = mkdtempSync(join(tmpdir(), 'podnet-test-agent-'));
      t.after(() => rmSync(directory, { recursive: true, force: true }));
      const config = { ...agentConfig(directory), kubeconfig: join(directory, 'kubeconfig') };
      writeFileSync(config.kubeconfig, kubeconfig);
      if (what === 'binDir') writeFileSync(config.cni.binDir, 'no folder');
      else mkdirSync(config.statusSocket);
      await assert.rejects(startAgent(config), what === 'binDir' ? /EEXIST|ENOTDIR/ : /is in the way and is no socket/);
      assert.ok(!existsSync(config.cni.socketPath));
      new Ipam(config.stateDir)[Symbol.dispose]();
    },
  );
