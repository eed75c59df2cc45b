import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { NetNs } from '../kernel/netns.ts';
import { isNodeReady, isPodReady } from '../kube/objects.ts';
import { Events, Leases, Nodes, Pods } from '../kube/resources.ts';
import { needsRoot } from '../testing/root.ts';
import { StateStore } from './state.ts';
import { getPods, needsBusybox, World } from './testkit/world.ts';

test('a node registers, is NotReady without a CNI configuration and Ready when it appears', needsRoot, async () => {
  await using world = new World();
  await world.start();
  const node = await world.api.get(Nodes, 'node-1');
  assert.equal(isNodeReady(node), false);
  assert.match(node.status!.conditions!.find(({ type }) => type === 'Ready')!.message!, /cni plugin not initialized/);
  assert.deepEqual(
    node.status!.addresses!.map(({ address }) => address),
    ['172.30.0.2', 'fd00:30::2', 'node-1'],
  );
  assert.equal((await world.api.get(Leases, 'node-1', 'kube-node-lease')).spec?.holderIdentity, 'node-1');
  world.configure();
  await world.until('Ready', async () => isNodeReady(await world.api.get(Nodes, 'node-1')));
});

test(
  'a pod gets a sandbox, addresses of both families and a container, and leaves nothing when it is deleted',
  needsRoot,
  async () => {
    await using world = new World();
    world.configure();
    await world.start();
    const { metadata } = await world.pod('a');
    await world.until('Ready', async () => isPodReady(await world.get('a')));
    const { status } = await world.get('a');
    assert.equal(status?.phase, 'Running');
    assert.deepEqual(status?.podIPs, [{ ip: '10.244.1.1' }, { ip: 'fd00:10::1' }]);
    assert.equal(status?.hostIP, '172.30.0.2');
    assert.equal(status?.containerStatuses?.[0]?.restartCount, 0);
    const events = world.api.dump(Events).map(({ reason }) => reason);
    assert.ok(events.includes('StandIn'), events.join());
    const [described] = await getPods(world.config.socketPath);
    assert.equal(described?.containers[0]?.kind, 'stand-in');
    assert.match(readFileSync(join(world.config.stateDir, 'pods', metadata.uid!, 'hosts'), 'utf8'), /10\.244\.1\.1\ta\n/);
    await world.api.delete(Pods, 'a', 'default');
    await world.until('the end', () => world.api.dump(Pods).length === 0);
    assert.deepEqual(world.namespaces(), []);
    assert.deepEqual(
      world
        .calls()
        .map((line) => line.split(' ')[0])
        .filter((verb) => verb === 'ADD' || verb === 'DEL'),
      ['ADD', 'DEL'],
    );
  },
);

test('a refused sandbox is told in an Event and tried again', needsRoot, async () => {
  await using world = new World();
  world.configure();
  writeFileSync(join(world.dir, 'refuse'), '');
  await world.start();
  await world.pod('a');
  const told = (): boolean =>
    world.api
      .dump(Events)
      .some(({ reason, message }) => reason === 'FailedCreatePodSandBox' && /no address is free/.test(message ?? ''));
  await world.until('the Event', told);
  assert.equal((await world.get('a')).status?.phase, 'Pending');
  rmSync(join(world.dir, 'refuse'));
  await world.until('Ready', async () => isPodReady(await world.get('a')));
});

test(
  'a new runner keeps sandbox and address, starts containers again, and removes what is gone from the API',
  needsRoot,
  async () => {
    await using world = new World();
    world.configure();
    await world.start({ endContainers: false });
    await world.pod('a');
    await world.pod('b');
    for (const name of ['a', 'b']) await world.until('Ready', async () => isPodReady(await world.get(name)));
    const before = (await world.get('a')).status?.podIPs;
    const namespaces = world.namespaces().length;
    await world.runner!.close();
    await world.api.delete(Pods, 'b', 'default', { gracePeriodSeconds: 0 });
    await world.start();
    await world.until('a restart', async () => (await world.get('a')).status?.containerStatuses?.[0]?.restartCount === 1);
    await world.until('Ready', async () => isPodReady(await world.get('a')));
    assert.deepEqual((await world.get('a')).status?.podIPs, before);
    await world.until('one namespace', () => world.namespaces().length === namespaces - 1);
  },
);

test(
  'a busybox container runs for real: init container first, probes by exec, restarted when it fails, ended by SIGTERM',
  needsBusybox,
  async () => {
    await using world = new World();
    world.configure();
    await world.start();
    const main =
      'trap "exit 0" TERM; echo "$POD_IP runs"; test -e /data/first || { touch /data/first; exit 3; }; while :; do sleep 0.1; done';
    const volumeMounts = [{ name: 'data', mountPath: '/data' }];
    await world.pod('a', {
      volumes: [{ name: 'data', emptyDir: {} }],
      initContainers: [{ name: 'init', image: 'busybox:1.36', command: ['touch', '/data/init'], volumeMounts }],
      containers: [
        {
          ...{ name: 'main', image: 'docker.io/library/busybox', command: ['sh', '-c', main], volumeMounts },
          env: [{ name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }],
          readinessProbe: { exec: { command: ['cat', '/data/init'] }, periodSeconds: 1, timeoutSeconds: 10 },
        },
      ],
    });
    await world.until('a restart', async () => (await world.get('a')).status?.containerStatuses?.[0]?.restartCount === 1);
    await world.until('Ready', async () => isPodReady(await world.get('a')));
    const { metadata, status } = await world.get('a');
    assert.equal(status?.containerStatuses?.[0]?.lastState?.terminated?.exitCode, 3);
    assert.equal(status?.initContainerStatuses?.[0]?.state?.terminated?.exitCode, 0);
    const [described] = await getPods(world.config.socketPath);
    const { pid, kind } = described!.containers.at(-1)!;
    assert.equal(kind, 'process');
    const log = join(world.config.stateDir, 'pods', metadata.uid!, 'logs', 'main', '1.log');
    assert.match(readFileSync(log, 'utf8'), /stdout F 10\.244\.1\.1 runs/);
    await world.api.delete(Pods, 'a', 'default');
    await world.until('the end', () => world.api.dump(Pods).length === 0);
    assert.equal(existsSync(`/proc/${pid}`), false);
  },
);

test('a sandbox that a killed runner was making is taken down and made anew', needsRoot, async () => {
  await using world = new World();
  world.configure();
  const { metadata } = await world.pod('a');
  const netns = `${world.config.netnsPrefix}half`;
  NetNs.create(netns)[Symbol.dispose]();
  const record = {
    uid: metadata.uid!,
    namespace: 'default',
    name: 'a',
    sandboxId: 'half',
    netns,
    hostNetwork: false,
    podIPs: [],
  };
  new StateStore(world.config.stateDir).save({ ...record, containers: {} });
  await world.start();
  await world.ready('a');
  assert.equal(world.namespaces().length, 1);
  assert.ok(!world.namespaces().includes('ns-half'));
  assert.ok(world.calls().includes(`DEL half ${netns}`));
});

test('a pod that must not be restarted ends as Succeeded or Failed and gives its address back', needsBusybox, async () => {
  await using world = new World();
  world.configure();
  world.config.images.push({ image: 'job', busybox: '/bin/busybox' });
  await world.start();
  await world.pod('good', { restartPolicy: 'Never', containers: [{ name: 'c', image: 'job', command: ['true'] }] });
  await world.pod('bad', { restartPolicy: 'Never', containers: [{ name: 'c', image: 'job', command: ['sh', '-c', 'exit 7'] }] });
  await world.until(
    'both ends',
    async () => (await world.get('good')).status?.phase === 'Succeeded' && (await world.get('bad')).status?.phase === 'Failed',
  );
  await world.until('no namespace', () => world.namespaces().length === 0);
  assert.equal((await world.get('bad')).status?.containerStatuses?.[0]?.state?.terminated?.exitCode, 7);
});
