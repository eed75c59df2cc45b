import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { KubeClient } from '../kube/client.ts';
import { Deployments, Endpoints, Nodes, Pods, Services } from '../kube/resources.ts';
import type { Node } from '../kube/types.ts';
import { needsRoot } from '../testing/root.ts';
import { kubectlBinaries, needsTool } from '../testing/tools.ts';
import { ApiEndpoint } from './api-endpoint.ts';
import { labConfig } from './config.ts';
import { startControlPlane } from './control-plane.ts';
import { takeDown } from './down.ts';
import { applyManifests, readManifests } from './manifests.ts';
import { LabNames } from './names.ts';
import { topology } from './topology.ts';
import { createUnderlay } from './underlay.ts';

const run = promisify(execFile);
const examples = join(import.meta.dirname, '..', '..', 'examples');
const kubectls = kubectlBinaries();

async function until(what: string, met: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 20_000; Date.now() < end; ) {
    if (await met()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.fail(`not within 20 s: ${what}`);
}

const nodeNamed = (name: string): Node => ({
  metadata: { name, labels: { 'kubernetes.io/hostname': name } },
  status: {
    allocatable: { cpu: '4', memory: '8Gi', pods: '110' },
    capacity: { cpu: '4', memory: '8Gi', pods: '110' },
    conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'ready' }],
  },
});

for (const ipFamily of ['ipv4', 'dual'] as const) {
  test(
    `C1, C2: the control plane of a ${ipFamily} lab schedules the guestbook, and nodes reach it over the underlay with their own credential`,
    needsRoot,
    async () => {
      const names = new LabNames(`c${ipFamily}${process.pid}`);
      const config = labConfig({ name: names.lab, ipFamily });
      const plan = topology(config);
      const complaints: string[] = [];
      mkdirSync(names.dir, { recursive: true, mode: 0o700 });
      createUnderlay(names, plan, config.mtu);
      try {
        const endpoint = new ApiEndpoint(names, config, plan);
        const control = await startControlPlane(names, config, plan, endpoint, (text) => complaints.push(text));
        try {
          assert.equal(statSync(names.kubeconfig).mode & 0o777, 0o600);
          using client = KubeClient.fromKubeconfig(names.kubeconfig);
          const endpoints = await client.get(Endpoints, 'kubernetes', 'default');
          assert.deepEqual(
            endpoints.subsets?.flatMap(({ addresses }) => addresses?.map(({ ip }) => ip)),
            ['172.30.0.2'],
          );
          for (const node of config.nodes) await client.create(Nodes, nodeNamed(node.name));
          await until('every node has its pod CIDRs', async () =>
            (await client.list<Node>(Nodes)).items.every(({ spec }) => spec?.podCIDRs?.length === config.podCidrs.length),
          );
          const applied = await applyManifests(client, readManifests(join(examples, 'guestbook.yaml')));
          assert.deepEqual(
            applied.flatMap(({ error }) => error ?? []),
            [],
          );
          await until(
            'six pods have their nodes',
            async () =>
              (await client.list(Pods, { namespace: 'default' })).items.filter(({ spec }) => spec?.nodeName).length === 6,
          );
          const frontend = await client.get(Services, 'frontend', 'default');
          assert.equal(frontend.spec?.type, 'NodePort');
          assert.ok(frontend.spec.ports?.[0]?.nodePort);

          mkdirSync(names.node('node-1').dir, { recursive: true });
          endpoint.writeNodeKubeconfig('node-1');
          const inside = ['netns', 'exec', basename(names.node('node-1').netns), process.execPath, '--input-type=module', '-e'];
          const script = `import { KubeClient } from ${JSON.stringify(join(import.meta.dirname, '..', 'kube', 'client.js'))};
          import { Nodes } from ${JSON.stringify(join(import.meta.dirname, '..', 'kube', 'resources.js'))};
          const client = KubeClient.fromKubeconfig(process.argv[1]);
          console.log((await client.get(Nodes, 'node-1')).metadata.name);
          client[Symbol.dispose]();`;
          const { stdout } = await run('ip', [...inside, script, names.node('node-1').kubeconfig], { timeout: 20_000 });
          assert.equal(stdout, 'node-1\n');
        } finally {
          await control.close();
        }
        assert.deepEqual(complaints, ['API state is memory only']);
      } finally {
        await takeDown(names);
      }
    },
  );
}

for (const tool of kubectls) {
  test(`a lab's kubeconfig serves real kubectl (${tool.name}): apply, scale, get, delete`, {
    ...needsTool(tool),
    ...(needsRoot.skip ? needsRoot : {}),
  }, async () => {
    const names = new LabNames(`k${process.pid}`);
    const config = labConfig({ name: names.lab, nodes: 1 });
    mkdirSync(names.dir, { recursive: true, mode: 0o700 });
    createUnderlay(names, topology(config), config.mtu);
    try {
      const plan = topology(config);
      const control = await startControlPlane(names, config, plan, new ApiEndpoint(names, config, plan), () => {});
      try {
        const kubectl = async (...args: string[]): Promise<string> =>
          (
            await run(tool.path!, ['--kubeconfig', names.kubeconfig, '--cache-dir', join(names.dir, 'cache'), ...args], {
              timeout: 60_000,
            })
          ).stdout;
        const api = control.server.localApi();
        await api.create(Nodes, nodeNamed('node-1'));
        assert.match(await kubectl('apply', '-f', join(examples, 'online-boutique.yaml')), /deployment.apps\/frontend created/);
        assert.match(await kubectl('apply', '-f', join(examples, 'online-boutique.yaml')), /deployment.apps\/frontend unchanged/);
        await kubectl('scale', 'deployment/frontend', '--replicas=3');
        await until('three frontends', async () => (await api.get(Deployments, 'frontend', 'default')).status?.replicas === 3);
        assert.equal((await kubectl('get', 'deployments', '-o', 'name')).trim().split('\n').length, 12);
        await kubectl('delete', '-f', join(examples, 'online-boutique.yaml'), '--wait=false');
        await until('no Deployment is left', async () => (await api.list(Deployments)).items.length === 0);
      } finally {
        await control.close();
      }
    } finally {
      await takeDown(names);
    }
  });
}
