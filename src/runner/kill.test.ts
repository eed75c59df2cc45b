import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { TestServer } from '../apiserver/testkit/server.ts';
import { listenTcp } from '../kernel/sockets.ts';
import { isPodReady } from '../kube/objects.ts';
import { Namespaces, Pods } from '../kube/resources.ts';
import type { Pod, PodSpec } from '../kube/types.ts';
import { IpAddr } from '../net/ip.ts';
import { TestWorld } from '../testing/netns.ts';
import { getPods, needsBusybox, World } from './testkit/world.ts';

const apiPort = 6443;
const mark = `PODNET_LAB=test-kill-${process.pid}`;

/** Of processes with the mark in their environment. */
const marked = (): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(mark);
      } catch {
        return false;
      }
    });

test(
  'kill -9 of the runner: its successor keeps sandboxes and addresses, starts containers anew, and nothing is left of the old ones',
  needsBusybox,
  async () => {
    // As in a lab: the runner is a process in its node's network namespace, before a real API server.
    await using world = new World();
    using networks = new TestWorld('runner-kill');
    const node = networks.namespace('node');
    await using server = await TestServer.start();
    await server.api.listen({ fd: listenTcp(node.ns, IpAddr.parse('127.0.0.1'), apiPort) });
    world.configure();
    world.config.kubeconfig = join(world.dir, 'kubeconfig');
    writeFileSync(world.config.kubeconfig, server.kubeconfig().replace(/(https:\/\/127\.0\.0\.1):\d+/, `$1:${apiPort}`));
    world.config.netnsPrefix = join(networks.directory, 'ns-');
    const namespaces = (): string[] => readdirSync(networks.directory).filter((name) => name.startsWith('ns-'));
    const api = server.api.localApi('test');
    await api.create(Namespaces, { metadata: { name: 'kube-node-lease' } });

    const script = `const { startRunner } = await import(${JSON.stringify(new URL('./index.js', import.meta.url).href)});
    const runner = await startRunner(${JSON.stringify(world.config)});
    process.on('SIGTERM', () => runner.close().then(() => process.exit(0)));
    console.log('up');`;
    let stderr = '';
    const start = async (): Promise<ChildProcess> => {
      const env = { ...process.env, PODNET_LAB: mark.split('=')[1] };
      const spawned = { child: undefined as ChildProcess | undefined };
      node.ns.enter(() => {
        spawned.child = spawn(process.execPath, ['--input-type=module', '-e', script], {
          env,
          stdio: ['ignore', 'pipe', 'pipe'],
        });
      });
      const child = spawned.child!;
      child.stderr!.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
      await Promise.race([
        once(child.stdout!, 'data'),
        once(child, 'exit').then(() => assert.fail(`the runner ended: ${stderr}`)),
      ]);
      return child;
    };
    const make = (name: string, spec: Partial<PodSpec>): Promise<Pod> =>
      api.create(Pods, {
        metadata: { name, namespace: 'default' },
        spec: {
          nodeName: 'node-1',
          automountServiceAccountToken: false,
          terminationGracePeriodSeconds: 5,
          containers: [],
          ...spec,
        },
      });
    const get = (name: string): Promise<Pod> => api.get(Pods, name, 'default');
    const until = async (what: string, check: () => boolean | Promise<boolean>): Promise<void> => {
      for (const end = Date.now() + 20_000; !(await check()); await new Promise((resolve) => setTimeout(resolve, 20)))
        if (Date.now() > end) assert.fail(`${what} did not come; the runner said: ${stderr}`);
    };
    const forEver = ['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 0.05; done'];

    let runner = await start();
    try {
      await make('real', { containers: [{ name: 'c', image: 'busybox', command: forEver }] });
      await make('host', { hostNetwork: true, containers: [{ name: 'c', image: 'busybox', command: forEver }] });
      await make('stand-in', { containers: [{ name: 'c', image: 'nginx', ports: [{ containerPort: 80 }] }] });
      await make('forgotten', { containers: [{ name: 'c', image: 'busybox', command: forEver }] });
      const kept = ['real', 'host', 'stand-in'];
      for (const name of [...kept, 'forgotten']) await until(`${name} Ready`, async () => isPodReady(await get(name)));
      const before = new Map(await Promise.all(kept.map(async (name) => [name, (await get(name)).status?.podIPs] as const)));
      // What is executed in a container, and beside a stand-in, is a process too.
      for (const name of ['real', 'stand-in']) {
        const exec = new WebSocket(
          `ws+unix://${world.config.socketPath}:/exec/default/${name}/c?command=sleep&command=1000&stdout=1`,
          'v5.channel.k8s.io',
        );
        exec.on('error', () => {});
        await once(exec, 'open');
      }
      const old = marked().filter((pid) => pid !== runner.pid);
      assert.ok(old.length >= 5, `${old.length} processes`);

      runner.kill('SIGKILL');
      await once(runner, 'exit');
      await api.delete(Pods, 'forgotten', 'default', { gracePeriodSeconds: 0 });
      runner = await start();
      assert.deepEqual(
        old.filter((pid) => marked().includes(pid)),
        [],
        'the old ones are gone before the first new one',
      );

      for (const name of kept) {
        const restarted = async (): Promise<boolean> => (await get(name)).status?.containerStatuses?.[0]?.restartCount === 1;
        await until(`the restart of ${name}`, async () => (await restarted()) && isPodReady(await get(name)));
      }
      for (const name of kept) assert.deepEqual((await get(name)).status?.podIPs, before.get(name));
      await until('two namespaces', () => namespaces().length === 2);
      assert.deepEqual((await getPods(world.config.socketPath)).map(({ name }) => name).sort(), [...kept].sort());

      for (const name of kept) await api.delete(Pods, name, 'default');
      await until('the end of all pods', async () => (await api.list(Pods)).items.length === 0);
      runner.kill('SIGTERM');
      assert.deepEqual(await once(runner, 'exit'), [0, null]);
      assert.deepEqual([marked(), namespaces(), readdirSync(join(world.config.stateDir, 'pods'))], [[], [], []]);
      assert.ok(!readFileSync('/proc/self/mountinfo', 'utf8').includes(world.dir));
    } finally {
      runner.kill('SIGKILL');
      for (const pid of marked()) process.kill(pid, 'SIGKILL');
    }
  },
);
