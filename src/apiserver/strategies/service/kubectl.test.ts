import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Services } from '../../../kube/resources.ts';
import { kubectlBinaries, needsTool, requireTool } from '../../../testing/tools.ts';
import { TestServer } from '../../testkit/server.ts';

/** What a person does with Services. */
for (const tool of kubectlBinaries())
  describe(`Services by ${tool.name}`, () => {
    test(
      'SA1, SA7, SA17: every type is made, shown and turned into another, and what is deprecated is told',
      needsTool(tool),
      async () => {
        await using server = await TestServer.start();
        const directory = mkdtempSync(join(tmpdir(), 'podnet-test-kubectl-'));
        const config = join(directory, 'config');
        writeFileSync(config, server.kubeconfig(), { mode: 0o600 });
        const kubectl = (...args: string[]): Promise<{ code: number | null; out: string; err: string }> =>
          new Promise((resolve) => {
            const all = ['--kubeconfig', config, '--cache-dir', join(directory, 'cache'), ...args];
            const child = execFile(requireTool(tool), all, { timeout: 60_000 }, (_, out, err) =>
              resolve({ code: child.exitCode, out, err }),
            );
          });
        const does = async (...args: string[]): Promise<string> => {
          const { code, out, err } = await kubectl(...args);
          assert.equal(code, 0, `${args.join(' ')}: ${err}`);
          return out + err;
        };
        try {
          await does('create', 'service', 'clusterip', 'plain', '--tcp=80:8080');
          await does('create', 'service', 'clusterip', 'headless', '--tcp=80', '--clusterip=None');
          await does('create', 'service', 'nodeport', 'ported', '--tcp=80', '--node-port=30080');
          await does('create', 'service', 'loadbalancer', 'balanced', '--tcp=80:8080');
          await does('create', 'service', 'externalname', 'alias', '--external-name=example.com');
          const rows = (await does('get', 'services', '--no-headers'))
            .trim()
            .split('\n')
            .map((line) => line.split(/\s+/).slice(0, 5));
          assert.deepEqual(
            rows.map(([name, type]) => [name, type]),
            [
              ['alias', 'ExternalName'],
              ['balanced', 'LoadBalancer'],
              ['headless', 'ClusterIP'],
              ['plain', 'ClusterIP'],
              ['ported', 'NodePort'],
            ],
          );
          assert.deepEqual(rows[0]!.slice(2), ['<none>', 'example.com', '80/TCP'].slice(0, 2).concat(rows[0]![4]!));
          assert.deepEqual([rows[1]![3], rows[2]![2], rows[4]![4]], ['<pending>', 'None', '80:30080/TCP']);
          const refusal = await kubectl('create', 'service', 'nodeport', 'second', '--tcp=80', '--node-port=30080');
          assert.match(refusal.err, /spec\.ports\[0\]\.nodePort: Invalid value: 30080: provided port is already allocated/);
          const patch = (name: string, spec: object): Promise<string> =>
            does('patch', 'service', name, '-p', JSON.stringify({ spec }));
          await patch('ported', { type: 'ExternalName', externalName: 'example.org' });
          const api = server.api.localApi('test');
          const { spec } = await api.get(Services, 'ported', 'default');
          assert.deepEqual([spec?.clusterIP, spec?.ipFamilies, spec?.ports?.[0]?.nodePort], [undefined, undefined, undefined]);
          await patch('ported', { type: 'ClusterIP', externalName: null });
          await patch('plain', { type: 'NodePort' });
          assert.match(await patch('plain', { externalIPs: ['192.0.2.9'] }), /Warning: spec\.externalIPs is deprecated/);
          await does('expose', 'service', 'plain', '--name=copy', '--port=81', '--target-port=8080', '--selector=a=b');
          await does('delete', 'service', '--all');
        } finally {
          rmSync(directory, { recursive: true, force: true });
        }
      },
    );
  });
