import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { conditionOf } from '../kube/objects.ts';
import { Events, Pods } from '../kube/resources.ts';
import type { Container, ContainerStatus } from '../kube/types.ts';
import { needsRoot } from '../testing/root.ts';
import { forEver, getPods, needsBusybox, shell, withWorld, World } from './testkit/world.ts';

const containerOf = async (world: World, pod: string, index = 0): Promise<ContainerStatus | undefined> =>
  (await world.get(pod)).status?.containerStatuses?.[index];
const eventsOf = (world: World): string[] =>
  world.api.dump(Events).map(({ reason = '', message = '' }) => `${reason}: ${message}`);
const gone = (world: World): Promise<void> => world.until('the end', () => world.api.dump(Pods).length === 0);

test(
  'a container that keeps failing waits longer each time: CrashLoopBackOff, with its last end and its logs',
  needsBusybox,
  () =>
    withWorld(async (world) => {
      const { metadata } = await world.pod('a', { containers: [shell('c', 'echo run; exit 3')] });
      await world.until('back-off', async () => (await containerOf(world, 'a'))?.state?.waiting?.reason === 'CrashLoopBackOff');
      const status = (await containerOf(world, 'a'))!;
      assert.equal(status.restartCount, 1, 'the first restart does not wait');
      assert.match(status.state?.waiting?.message ?? '', /^back-off 10s restarting failed container=c pod=a_default\(/);
      assert.deepEqual([status.lastState?.terminated?.exitCode, status.lastState?.terminated?.reason], [3, 'Error']);
      assert.equal((await world.get('a')).status?.phase, 'Running');
      assert.ok(eventsOf(world).includes('BackOff: Back-off restarting failed container c'));
      const logs = join(world.config.stateDir, 'pods', metadata.uid!, 'logs', 'c');
      for (const file of ['0.log', '1.log']) assert.match(readFileSync(join(logs, file), 'utf8'), / stdout F run\n$/);
      await world.until('the roots of ended runs gone', () => readdirSync(join(logs, '../../containers/c')).length === 0);
    }),
);

test(
  'init containers run one after the other to their end, a failing one again; the pod is Pending till then',
  needsBusybox,
  () =>
    withWorld(async (world) => {
      const volumeMounts = [{ name: 'shared', mountPath: '/shared' }];
      await world.pod('a', {
        volumes: [{ name: 'shared', emptyDir: {} }],
        initContainers: [
          shell('one', 'echo 1 >> /shared/order; test -e /shared/tried || { touch /shared/tried; exit 1; }', { volumeMounts }),
          shell('two', 'echo 2 >> /shared/order; until test -e /shared/go; do sleep 0.02; done', { volumeMounts }),
        ],
        containers: [shell('main', `cat /shared/order; ${forEver}`, { volumeMounts })],
      });
      await world.until(
        'the second',
        async () => (await world.get('a')).status?.initContainerStatuses?.[1]?.state?.running !== undefined,
      );
      const { status, metadata } = await world.get('a');
      assert.equal(status?.phase, 'Pending');
      assert.deepEqual(status?.containerStatuses?.[0]?.state?.waiting, { reason: 'PodInitializing' });
      assert.equal(conditionOf(status?.conditions, 'Initialized')?.message, 'containers with incomplete status: [two]');
      assert.equal(status?.initContainerStatuses?.[0]?.restartCount, 1);
      const described = world.runner!.pods().find(({ name }) => name === 'a');
      assert.deepEqual(
        described?.containers.map(({ name, kind }) => `${name} ${kind}`),
        ['one process', 'two process', 'main process'],
        'what will run is told before it runs',
      );
      const dir = join(world.config.stateDir, 'pods', metadata.uid!);
      writeFileSync(join(dir, 'volumes/shared/go'), '');
      await world.ready('a');
      await world.until('its log', () => /F 1\n.*F 1\n.*F 2\n$/s.test(readFileSync(join(dir, 'logs/main/0.log'), 'utf8')));
    }),
);

test('a sidecar starts before the others, once its startup probe says so, and ends after them', needsBusybox, () =>
  withWorld(async (world) => {
    const volumeMounts = [{ name: 'shared', mountPath: '/shared' }];
    // The trap comes first: pid 1 does not hear a SIGTERM that it does not listen to.
    const noting = (name: string, work: string): string =>
      `trap "echo ${name} ends >> /shared/order; exit 0" TERM; ${work}; while :; do sleep 0.02; done`;
    const { metadata } = await world.pod('a', {
      terminationGracePeriodSeconds: 20,
      volumes: [{ name: 'shared', emptyDir: {} }],
      initContainers: [
        shell('sidecar', noting('sidecar', 'sleep 0.3; touch /shared/up'), {
          restartPolicy: 'Always',
          volumeMounts,
          startupProbe: {
            exec: { command: ['test', '-e', '/shared/up'] },
            periodSeconds: 1,
            timeoutSeconds: 10,
            failureThreshold: 30,
          },
        }),
      ],
      containers: [shell('main', noting('main', 'test -e /shared/up && echo first > /shared/order'), { volumeMounts })],
    });
    await world.ready('a');
    assert.equal((await world.get('a')).status?.initContainerStatuses?.[0]?.ready, true);
    const order = join(world.config.stateDir, 'pods', metadata.uid!, 'volumes/shared/order');
    await world.until('the first word', () => existsSync(order));
    let text = '';
    const reading = setInterval(() => {
      if (existsSync(order)) text = readFileSync(order, 'utf8');
    }, 2).unref();
    await world.api.delete(Pods, 'a', 'default');
    await gone(world);
    clearInterval(reading);
    assert.match(text, /^first\nmain ends\n/);
    assert.doesNotMatch(text, /sidecar ends\n.*main/s);
  }),
);

test('deletion asks with SIGTERM and kills what does not listen when the grace is over; nothing is left', needsBusybox, () =>
  withWorld(async (world) => {
    const { metadata } = await world.pod('deaf', {
      containers: [shell('c', 'trap "" TERM; echo up; while :; do sleep 0.05; done')],
    });
    await world.ready('deaf');
    const log = join(world.config.stateDir, 'pods', metadata.uid!, 'logs/c/0.log');
    await world.until('its word', () => readFileSync(log, 'utf8').includes('up'));
    const pid = (await getPods(world.config.socketPath))[0]?.containers[0]?.pid;
    assert.ok(pid);
    let last: ContainerStatus | undefined;
    const watch = world.api.watch(Pods, ({ object }) => (last = object.status?.containerStatuses?.[0] ?? last), {
      onEnd: () => {},
    });
    const before = Date.now();
    await world.api.delete(Pods, 'deaf', 'default');
    await gone(world);
    watch.close();
    assert.ok(Date.now() - before >= 950, `it had a second, and was gone after ${Date.now() - before} ms`);
    assert.deepEqual([last?.state?.terminated?.exitCode, last?.state?.terminated?.signal], [137, 9]);
    assert.equal(existsSync(`/proc/${pid}`), false);
    assert.deepEqual(world.namespaces(), []);
    assert.deepEqual(readdirSync(join(world.config.stateDir, 'pods')), []);
    assert.ok(!readFileSync('/proc/self/mountinfo', 'utf8').includes(world.dir));
  }),
);

test('a failing liveness probe restarts the container, a failing readiness probe only takes it out', needsBusybox, () =>
  withWorld(async (world) => {
    const exec = (command: string): Container['livenessProbe'] => ({
      exec: { command: ['sh', '-c', command] },
      ...{ periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 10 },
    });
    await world.pod('live', { containers: [shell('c', forEver, { livenessProbe: exec('echo sick; exit 1') })] });
    await world.pod('unready', { containers: [shell('c', forEver, { readinessProbe: exec('exit 1') })] });
    await world.until('a restart', async () => ((await containerOf(world, 'live'))?.restartCount ?? 0) >= 1);
    assert.ok(eventsOf(world).includes('Unhealthy: Liveness probe failed: sick'));
    assert.ok(eventsOf(world).includes('Killing: Container c failed liveness probe, will be restarted'));
    await world.until('a look', () => eventsOf(world).some((text) => text.startsWith('Unhealthy: Readiness')));
    const unready = (await containerOf(world, 'unready'))!;
    assert.deepEqual([unready.ready, unready.started, unready.restartCount], [false, true, 0]);
  }),
);

test('hooks: postStart comes before Ready, a failing one ends the container; preStop comes before SIGTERM', needsBusybox, () =>
  withWorld(async (world) => {
    const exec = (script: string) => ({ exec: { command: ['sh', '-c', script] } });
    const script = 'trap "cat /said; exit 0" TERM; touch /up; while :; do sleep 0.02; done';
    const { metadata } = await world.pod('a', {
      terminationGracePeriodSeconds: 20,
      containers: [
        shell('c', script, {
          lifecycle: {
            postStart: exec('until test -e /up; do sleep 0.02; done; echo post > /said'),
            preStop: exec('echo pre >> /said'),
          },
        }),
      ],
    });
    await world.pod('bad', { containers: [shell('c', forEver, { lifecycle: { postStart: exec('echo no; exit 9') } })] });
    await world.ready('a');
    await world.until('the failure', () =>
      eventsOf(world).some((text) => /^FailedPostStartHook: .*exited with 9: no/.test(text)),
    );
    const log = join(world.config.stateDir, 'pods', metadata.uid!, 'logs/c/0.log');
    let text = '';
    const reading = setInterval(() => {
      if (existsSync(log)) text = readFileSync(log, 'utf8');
    }, 2).unref();
    await world.api.delete(Pods, 'a', 'default');
    await world.until('the end', () => world.api.dump(Pods).every((pod) => pod.metadata.name !== 'a'));
    clearInterval(reading);
    assert.match(text, /F post\n.*F pre\n/);
  }),
);

test('a pod whose postStart hook hangs can be deleted', needsBusybox, () =>
  withWorld(async (world) => {
    await world.pod('a', {
      containers: [shell('c', forEver, { lifecycle: { postStart: { exec: { command: ['sleep', '1000'] } } } })],
    });
    await world.until('the start', () => eventsOf(world).some((text) => text.startsWith('Started')));
    await world.api.delete(Pods, 'a', 'default');
    await gone(world);
  }),
);

test('a command that is not there is told in the status and tried again', needsBusybox, () =>
  withWorld(async (world) => {
    await world.pod('a', { containers: [{ name: 'c', image: 'busybox', command: ['nothing'] }] });
    await world.until('back-off', async () => (await containerOf(world, 'a'))?.state?.waiting?.reason === 'CrashLoopBackOff');
    const { lastState, restartCount } = (await containerOf(world, 'a'))!;
    assert.deepEqual([lastState?.terminated?.reason, lastState?.terminated?.exitCode, restartCount], ['StartError', 128, 1]);
    assert.match(lastState?.terminated?.message ?? '', /exec: "nothing": executable file not found in \$PATH/);
  }),
);

test('a container waits for the ConfigMap that it names', needsRoot, () =>
  withWorld(async (world) => {
    const env = [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'settings', key: 'a' } } }];
    await world.pod('a', { containers: [{ name: 'c', image: 'nginx', env }] });
    await world.until(
      'the reason',
      async () => (await containerOf(world, 'a'))?.state?.waiting?.reason === 'CreateContainerConfigError',
    );
    assert.match((await containerOf(world, 'a'))?.state?.waiting?.message ?? '', /configmap "settings" not found/);
    assert.equal((await world.get('a')).status?.phase, 'Pending');
  }),
);

test('pods come and go, and the runner holds no more descriptors and processes than before', needsBusybox, () =>
  withWorld(async (world) => {
    const descriptors = (): number => readdirSync('/proc/self/fd').length;
    const children = (): string => readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim();
    const round = async (): Promise<void> => {
      const names = Array.from({ length: 4 }, (_, index) => `p${index}`);
      for (const [index, name] of names.entries()) {
        const web = { name: 'c', image: 'nginx', ports: [{ containerPort: 80 }, { containerPort: 53, protocol: 'UDP' }] };
        await world.pod(name, {
          containers: [index % 2 === 0 ? web : shell('c', forEver, { stdin: true, tty: index % 4 === 1 })],
        });
      }
      for (const name of names) await world.ready(name);
      for (const name of names) await world.api.delete(Pods, name, 'default');
      await gone(world);
    };
    await round();
    const before = descriptors();
    for (let count = 0; count < 2; count++) await round();
    await world.until('no more descriptors', () => descriptors() <= before);
    await world.until('no processes', () => children() === '');
  }),
);
