import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isPodReady } from '../kube/objects.ts';
import { Deployments, Events, Pods, ReplicaSets, ReplicationControllers } from '../kube/resources.ts';
import type { Deployment } from '../kube/types.ts';
import { deployment, eventually, TestCluster, template } from './harness.ts';

async function cluster(nodes = 3): Promise<TestCluster> {
  const made = await new TestCluster().start();
  for (let i = 1; i <= nodes; i++) await made.addNode(`node-${i}`);
  return made;
}

const available = async ({ api }: TestCluster, name: string, count: number): Promise<Deployment> => {
  let found: Deployment | undefined;
  await eventually(async () => {
    found = await api.get(Deployments, name, 'default');
    const { availableReplicas = 0, updatedReplicas = 0, replicas = 0, observedGeneration } = found.status ?? {};
    assert.deepEqual([availableReplicas, updatedReplicas, replicas], [count, count, count]);
    assert.equal(observedGeneration, found.metadata.generation);
    assert.equal(found.status?.conditions?.find(({ type }) => type === 'Progressing')?.reason, 'NewReplicaSetAvailable');
  });
  return found!;
};

const image = async ({ api }: TestCluster, name: string, to: string): Promise<unknown> => {
  const found = await api.get(Deployments, name, 'default');
  found.spec!.template.spec!.containers[0]!.image = to;
  return api.update(Deployments, found);
};

describe('Deployments and ReplicaSets', () => {
  test('300 pods on 3 nodes are made, placed evenly and Ready', async () => {
    await using c = await cluster();
    const begin = Date.now();
    for (let i = 0; i < 10; i++) await c.api.create(Deployments, deployment(`d${i}`, 30));
    await Promise.all(Array.from({ length: 10 }, (_, i) => available(c, `d${i}`, 30)));
    const perNode = ['node-1', 'node-2', 'node-3'].map(
      (node) => c.api.dump(Pods).filter(({ spec }) => spec?.nodeName === node).length,
    );
    assert.deepEqual(perNode, [100, 100, 100]);
    assert.deepEqual(c.errors, []);
    assert.equal(c.api.dump(Pods).length, 300, 'none too many, whatever the caches knew');
    console.log(`# 300 pods Ready after ${Date.now() - begin} ms`);
  });

  test('a rolling update never has fewer available nor more pods than allowed, and keeps revisions', async () => {
    await using c = await cluster();
    await c.api.create(Deployments, deployment('web', 10, 'v1'));
    await available(c, 'web', 10);
    let least = 99;
    let most = 0;
    const watch = c.api.watch(
      Pods,
      () => {
        const pods = c.api.dump(Pods).filter(({ metadata }) => !metadata.deletionTimestamp);
        least = Math.min(least, pods.filter(isPodReady).length);
        most = Math.max(most, pods.length);
      },
      { resourceVersion: '0', onEnd() {} },
    );
    await image(c, 'web', 'v2');
    const updated = await rolledOut(c, 'v2');
    watch.close();
    assert.ok(least >= 8, `25 % of 10 rounded down may be missing; ${least} were available`);
    assert.ok(most <= 13, `25 % of 10 rounded up may be too many; there were ${most}`);
    assert.equal(updated.metadata.annotations?.['deployment.kubernetes.io/revision'], '2');
    const sets = c.api
      .dump(ReplicaSets)
      .map(({ metadata, spec }) => [metadata.annotations?.['deployment.kubernetes.io/revision'], spec?.replicas]);
    assert.deepEqual(sets.sort(), [
      ['1', 0],
      ['2', 10],
    ]);
  });

  const rolledOut = async (c: TestCluster, to: string): Promise<Deployment> => {
    await eventually(() => {
      const pods = c.api.dump(Pods);
      assert.ok(pods.length === 10 && pods.every((pod) => isPodReady(pod) && pod.spec?.containers[0]?.image === to));
    });
    return available(c, 'web', 10);
  };

  test('undo goes back to the old ReplicaSet, which becomes the newest revision', async () => {
    await using c = await cluster();
    await c.api.create(Deployments, deployment('web', 10, 'v1'));
    await available(c, 'web', 10);
    await image(c, 'web', 'v2');
    await rolledOut(c, 'v2');
    await image(c, 'web', 'v1'); // what kubectl rollout undo writes
    const back = await rolledOut(c, 'v1');
    assert.equal(back.metadata.annotations?.['deployment.kubernetes.io/revision'], '3');
    const sets = c.api.dump(ReplicaSets);
    assert.equal(sets.length, 2, 'no third ReplicaSet');
    const first = sets.find(({ spec }) => spec?.replicas === 10)!;
    assert.equal(first.metadata.annotations?.['deployment.kubernetes.io/revision-history'], '1');
    assert.equal(first.metadata.annotations?.['kubernetes.io/change-cause'], 'v1');
  });

  test('Recreate starts no new pod while an old one is there', async () => {
    await using c = await cluster();
    const recreate = deployment('web', 3, 'v1');
    recreate.spec!.strategy = { type: 'Recreate' };
    await c.api.create(Deployments, recreate);
    await available(c, 'web', 3);
    const mixed: string[] = [];
    const watch = c.api.watch(
      Pods,
      () => {
        const images = new Set(c.api.dump(Pods).map(({ spec }) => spec?.containers[0]?.image));
        if (images.size > 1) mixed.push([...images].join());
      },
      { resourceVersion: '0', onEnd() {} },
    );
    await image(c, 'web', 'v2');
    await eventually(() =>
      assert.deepEqual(
        c.api.dump(Pods).map(({ spec }) => spec?.containers[0]?.image),
        ['v2', 'v2', 'v2'],
      ),
    );
    await available(c, 'web', 3);
    watch.close();
    assert.deepEqual(mixed, []);
  });

  test('a paused Deployment is scaled but not rolled out; resuming rolls out', async () => {
    await using c = await cluster();
    await c.api.create(Deployments, deployment('web', 2, 'v1'));
    await available(c, 'web', 2);
    await c.api.patch(Deployments, 'web', 'default', { spec: { paused: true } }, 'merge');
    await image(c, 'web', 'v2');
    await c.api.patch(Deployments, 'web', 'default', { spec: { replicas: 4 } }, 'merge');
    await eventually(() => assert.equal(c.api.dump(Pods).filter(isPodReady).length, 4));
    assert.ok(c.api.dump(Pods).every(({ spec }) => spec?.containers[0]?.image === 'v1'));
    await eventually(async () => {
      const { status } = await c.api.get(Deployments, 'web', 'default');
      assert.equal(status?.conditions?.find(({ type }) => type === 'Progressing')?.reason, 'DeploymentPaused');
    });
    await c.api.patch(Deployments, 'web', 'default', { spec: { paused: null } }, 'merge');
    await eventually(() =>
      assert.ok(c.api.dump(Pods).length === 4 && c.api.dump(Pods).every(({ spec }) => spec?.containers[0]?.image === 'v2')),
    );
    await available(c, 'web', 4);
  });

  test('a rollout that cannot go on says ProgressDeadlineExceeded', async () => {
    await using c = await cluster();
    c.becomesReady = () => false;
    const stuck = deployment('web', 2);
    stuck.spec!.progressDeadlineSeconds = 1;
    await c.api.create(Deployments, stuck);
    await eventually(async () => {
      const { status } = await c.api.get(Deployments, 'web', 'default');
      const progressing = status?.conditions?.find(({ type }) => type === 'Progressing');
      assert.deepEqual([progressing?.status, progressing?.reason], ['False', 'ProgressDeadlineExceeded']);
      assert.equal(status?.conditions?.find(({ type }) => type === 'Available')?.reason, 'MinimumReplicasUnavailable');
    });
  });

  test('old ReplicaSets beyond revisionHistoryLimit are deleted, lowest revision first', async () => {
    await using c = await cluster();
    const limited = deployment('web', 1, 'v1');
    limited.spec!.revisionHistoryLimit = 1;
    await c.api.create(Deployments, limited);
    for (const to of ['v2', 'v3', 'v4']) {
      await available(c, 'web', 1);
      await image(c, 'web', to);
      await eventually(() => assert.ok(c.api.dump(Pods).every(({ spec }) => spec?.containers[0]?.image === to)));
    }
    await eventually(() => {
      const revisions = c.api
        .dump(ReplicaSets)
        .map(({ metadata }) => metadata.annotations?.['deployment.kubernetes.io/revision']);
      assert.deepEqual(revisions.sort(), ['3', '4']);
    });
  });

  test('scaling down deletes pods that serve least first, and a deleted pod is replaced', async () => {
    await using c = await cluster();
    c.becomesReady = (pod) => pod.spec?.nodeName !== 'node-3';
    await c.api.create(Deployments, deployment('web', 6));
    await eventually(() => assert.equal(c.api.dump(Pods).filter(isPodReady).length, 4));
    await c.api.patch(Deployments, 'web', 'default', { spec: { replicas: 4 } }, 'merge');
    await available(c, 'web', 4);
    assert.ok(
      c.api.dump(Pods).every(({ spec }) => spec?.nodeName !== 'node-3'),
      'the two that were not ready went',
    );
    const [victim] = c.api.dump(Pods);
    c.becomesReady = () => true;
    await c.api.delete(Pods, victim!.metadata.name, 'default');
    await eventually(() => {
      const pods = c.api.dump(Pods);
      assert.equal(pods.filter(isPodReady).length, 4);
      assert.ok(!pods.some(({ metadata }) => metadata.uid === victim!.metadata.uid));
    });
  });

  test('pods are adopted and released by their labels', async () => {
    await using c = await cluster();
    await c.api.create(Pods, {
      metadata: { name: 'stray', namespace: 'default', labels: { app: 'rs' } },
      spec: template({}).spec!,
    });
    await c.api.create(ReplicaSets, {
      metadata: { name: 'rs', namespace: 'default' },
      spec: { replicas: 2, selector: { matchLabels: { app: 'rs' } }, template: template({ app: 'rs' }) },
    });
    await eventually(() => {
      const owners = c.api.dump(Pods).map(({ metadata }) => metadata.ownerReferences?.[0]?.name);
      assert.deepEqual(owners, ['rs', 'rs']);
    });
    await c.api.patch(Pods, 'stray', 'default', { metadata: { labels: { app: 'other' } } }, 'merge');
    await eventually(async () => {
      assert.equal((await c.api.get(Pods, 'stray', 'default')).metadata.ownerReferences?.length ?? 0, 0);
      assert.equal(c.api.dump(Pods).filter(({ metadata }) => metadata.labels?.app === 'rs').length, 2);
    });
  });

  test('a ReplicationController keeps its pods too', async () => {
    await using c = await cluster();
    await c.api.create(ReplicationControllers, {
      metadata: { name: 'rc', namespace: 'default' },
      spec: { replicas: 2, selector: { app: 'rc' }, template: template({ app: 'rc' }) },
    });
    await eventually(async () =>
      assert.equal((await c.api.get(ReplicationControllers, 'rc', 'default')).status?.readyReplicas, 2),
    );
  });

  test('deleting a Deployment in the background takes its ReplicaSet and pods along', async () => {
    await using c = await cluster();
    await c.api.create(Deployments, deployment('web', 3));
    await available(c, 'web', 3);
    await c.api.delete(Deployments, 'web', 'default', { propagationPolicy: 'Background' });
    await eventually(() => assert.deepEqual([c.api.dump(ReplicaSets), c.api.dump(Pods)], [[], []]));
  });

  test('deleting in the foreground lets the Deployment go last', async () => {
    await using c = await cluster();
    await c.api.create(Deployments, deployment('web', 3));
    await available(c, 'web', 3);
    const gone: string[] = [];
    for (const resource of [Deployments, ReplicaSets, Pods]) {
      c.api.watch(resource as typeof Pods, ({ type }) => type === 'DELETED' && gone.push(resource.kind), {
        resourceVersion: '0',
        onEnd() {},
      });
    }
    await c.api.delete(Deployments, 'web', 'default', { propagationPolicy: 'Foreground' });
    await eventually(() => assert.equal(gone.length, 5));
    assert.deepEqual(gone, ['Pod', 'Pod', 'Pod', 'ReplicaSet', 'Deployment']);
  });

  test('deleting with orphans leaves the ReplicaSet and its pods running without an owner', async () => {
    await using c = await cluster();
    await c.api.create(Deployments, deployment('web', 3));
    await available(c, 'web', 3);
    await c.api.delete(Deployments, 'web', 'default', { propagationPolicy: 'Orphan' });
    await eventually(() => assert.deepEqual(c.api.dump(Deployments), []));
    const [set] = c.api.dump(ReplicaSets);
    assert.equal(set?.metadata.ownerReferences?.length ?? 0, 0);
    assert.equal(c.api.dump(Pods).length, 3);
  });

  test('a restart of all controllers changes nothing', async () => {
    await using c = await cluster();
    await c.api.create(Deployments, deployment('web', 5));
    await available(c, 'web', 5);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const all = () =>
      JSON.stringify([Deployments, ReplicaSets, Pods, Events].map((resource) => c.api.dump(resource as typeof Pods)));
    const before = all();
    await c.restart();
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(all(), before);
  });
});
