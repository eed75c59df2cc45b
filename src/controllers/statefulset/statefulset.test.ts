import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isPodReady } from '../../kube/objects.ts';
import { Pods, StatefulSets } from '../../kube/resources.ts';
import type { StatefulSet } from '../../kube/types.ts';
import { eventually, TestCluster, template } from '../harness.ts';

const stateful = (replicas: number, change: (set: StatefulSet) => void = () => {}): StatefulSet => {
  const set: StatefulSet = {
    metadata: { name: 'db', namespace: 'default' },
    spec: { replicas, serviceName: 'db', selector: { matchLabels: { app: 'db' } }, template: template({ app: 'db' }, 'v1') },
  };
  change(set);
  return set;
};

async function cluster(): Promise<TestCluster> {
  const made = await new TestCluster().start();
  await made.addNode('node-1');
  return made;
}

const podsOf = (c: TestCluster): string[] =>
  c.api
    .dump(Pods)
    .filter(isPodReady)
    .map(({ metadata, spec }) => `${metadata.name} ${spec!.containers[0]!.image}`)
    .sort();

const change = async (c: TestCluster, edit: (spec: NonNullable<StatefulSet['spec']>) => void): Promise<void> => {
  const set = await c.api.get(StatefulSets, 'db', 'default');
  edit(set.spec!);
  await c.api.update(StatefulSets, set);
};

describe('StatefulSets', () => {
  test('pods come one after the other, with host names for DNS; one that does not serve stops those after it', async () => {
    await using c = await cluster();
    c.becomesReady = ({ metadata }) => metadata.name !== 'db-1';
    await c.api.create(StatefulSets, stateful(3));
    await eventually(() => assert.equal(c.api.dump(Pods).length, 2));
    const [first] = c.api.dump(Pods);
    assert.deepEqual([first?.metadata.name, first?.spec?.hostname, first?.spec?.subdomain], ['db-0', 'db-0', 'db']);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(c.api.dump(Pods).length, 2);
    c.becomesReady = () => true;
    await c.api.delete(Pods, 'db-1', 'default', { gracePeriodSeconds: 0 });
    await eventually(() => assert.deepEqual(podsOf(c), ['db-0 v1', 'db-1 v1', 'db-2 v1']));
    await eventually(async () => {
      const { status } = await c.api.get(StatefulSets, 'db', 'default');
      assert.deepEqual([status?.readyReplicas, status?.updatedReplicas, status?.currentReplicas], [3, 3, 3]);
    });
    assert.deepEqual(c.errors, []);
  });

  test('scaling down takes the highest numbers; a deleted pod comes back under its name', async () => {
    await using c = await cluster();
    await c.api.create(
      StatefulSets,
      stateful(3, ({ spec }) => (spec!.podManagementPolicy = 'Parallel')),
    );
    await eventually(() => assert.equal(podsOf(c).length, 3));
    await change(c, (spec) => (spec.replicas = 1));
    await eventually(() => assert.deepEqual(podsOf(c), ['db-0 v1']));
    const { uid } = (await c.api.get(Pods, 'db-0', 'default')).metadata;
    await c.api.delete(Pods, 'db-0', 'default');
    await eventually(async () => {
      assert.deepEqual(podsOf(c), ['db-0 v1']);
      assert.notEqual((await c.api.get(Pods, 'db-0', 'default')).metadata.uid, uid);
    });
  });

  test('an update goes down to the partition, and a pod below it comes back with its old template', async () => {
    await using c = await cluster();
    await c.api.create(StatefulSets, stateful(3));
    await eventually(() => assert.equal(podsOf(c).length, 3));
    await eventually(async () => assert.equal((await c.api.get(StatefulSets, 'db', 'default')).status?.readyReplicas, 3));
    await change(c, (spec) => {
      spec.updateStrategy = { type: 'RollingUpdate', rollingUpdate: { partition: 1 } };
      spec.template.spec!.containers[0]!.image = 'v2';
    });
    await eventually(() => assert.deepEqual(podsOf(c), ['db-0 v1', 'db-1 v2', 'db-2 v2']));
    const { uid } = (await c.api.get(Pods, 'db-0', 'default')).metadata;
    await c.api.delete(Pods, 'db-0', 'default');
    await eventually(async () => {
      assert.notEqual((await c.api.get(Pods, 'db-0', 'default')).metadata.uid, uid);
      assert.deepEqual(podsOf(c), ['db-0 v1', 'db-1 v2', 'db-2 v2']);
    });
    await change(c, (spec) => (spec.updateStrategy!.rollingUpdate!.partition = 0));
    await eventually(async () => {
      assert.deepEqual(podsOf(c), ['db-0 v2', 'db-1 v2', 'db-2 v2']);
      const { status } = await c.api.get(StatefulSets, 'db', 'default');
      assert.equal(status?.currentRevision, status?.updateRevision);
    });
    assert.deepEqual(c.errors, []);
  });
});
