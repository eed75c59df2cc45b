import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isPodReady } from '../../kube/objects.ts';
import { ControllerRevisions, DaemonSets, Nodes, Pods } from '../../kube/resources.ts';
import type { DaemonSet, Pod } from '../../kube/types.ts';
import { revisionLabel } from '../controller-revisions.ts';
import { eventually, TestCluster, template } from '../harness.ts';
import { type Place, plan, type Rules } from './plan.ts';

const daemon = (change: (set: DaemonSet) => void = () => {}): DaemonSet => {
  const set: DaemonSet = {
    metadata: { name: 'agent', namespace: 'default' },
    spec: { selector: { matchLabels: { app: 'agent' } }, template: template({ app: 'agent' }, 'v1') },
  };
  change(set);
  return set;
};

async function cluster(nodes: number): Promise<TestCluster> {
  const made = await new TestCluster().start();
  for (let i = 1; i <= nodes; i++) await made.addNode(`node-${i}`);
  return made;
}

const nodesOf = (c: TestCluster): string[] =>
  c.api
    .dump(Pods)
    .filter(isPodReady)
    .map(({ spec }) => spec!.nodeName!)
    .sort();

const setImage = async (c: TestCluster, image: string): Promise<void> => {
  const set = await c.api.get(DaemonSets, 'agent', 'default');
  set.spec!.template.spec!.containers[0]!.image = image;
  await c.api.update(DaemonSets, set);
};

const allRun = (c: TestCluster, image: string, count: number): Promise<void> =>
  eventually(async () => {
    const pods = c.api.dump(Pods);
    assert.deepEqual([pods.filter(isPodReady).length, pods.length], [count, count]);
    assert.ok(pods.every(({ spec }) => spec?.containers[0]?.image === image));
    const { status } = await c.api.get(DaemonSets, 'agent', 'default');
    assert.deepEqual([status?.numberAvailable, status?.updatedNumberScheduled, status?.numberUnavailable], [count, count, 0]);
  });

describe('DaemonSets', () => {
  test('every node that fits has one pod, also nodes that come later, cordoned or not ready ones; a taint keeps it away', async () => {
    await using c = await cluster(2);
    await c.api.create(DaemonSets, daemon());
    await eventually(() => assert.deepEqual(nodesOf(c), ['node-1', 'node-2']));
    await c.addNode('node-3', (node) => {
      node.spec = { unschedulable: true, taints: [{ key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }] };
    });
    await c.addNode('node-4', (node) => {
      node.spec = { taints: [{ key: 'special', effect: 'NoSchedule' }] };
    });
    await eventually(() => assert.deepEqual(nodesOf(c), ['node-1', 'node-2', 'node-3']));
    const node = await c.api.get(Nodes, 'node-1');
    await c.api.update(Nodes, { ...node, spec: { ...node.spec, taints: [{ key: 'special', effect: 'NoExecute' }] } });
    await eventually(() => assert.deepEqual(nodesOf(c), ['node-2', 'node-3']));
    await eventually(async () =>
      assert.equal((await c.api.get(DaemonSets, 'agent', 'default')).status?.desiredNumberScheduled, 2),
    );
    assert.deepEqual(c.errors, []);
  });

  test('a nodeSelector chooses; a deleted or relabelled pod is made again', async () => {
    await using c = await cluster(3);
    await c.api.create(
      DaemonSets,
      daemon(({ spec }) => (spec!.template.spec!.nodeSelector = { 'kubernetes.io/hostname': 'node-2' })),
    );
    await eventually(() => assert.deepEqual(nodesOf(c), ['node-2']));
    const [first] = c.api.dump(Pods);
    await c.api.delete(Pods, first!.metadata.name, 'default');
    await eventually(() => {
      assert.deepEqual(nodesOf(c), ['node-2']);
      assert.notEqual(c.api.dump(Pods)[0]?.metadata.uid, first!.metadata.uid);
    });
    await c.api.patch(Pods, c.api.dump(Pods)[0]!.metadata.name, 'default', { metadata: { labels: { app: 'x' } } }, 'merge');
    await eventually(() => assert.deepEqual(nodesOf(c), ['node-2', 'node-2']));
  });

  test('an update goes node by node, keeps revisions, and going back takes the old revision up again', async () => {
    await using c = await cluster(4);
    await c.api.create(DaemonSets, daemon());
    await allRun(c, 'v1', 4);
    let least = 99;
    const watch = c.api.watch(
      Pods,
      () =>
        (least = Math.min(least, c.api.dump(Pods).filter((pod) => isPodReady(pod) && !pod.metadata.deletionTimestamp).length)),
      { resourceVersion: '0', onEnd() {} },
    );
    await setImage(c, 'v2');
    await allRun(c, 'v2', 4);
    assert.equal(least, 3, 'one node at a time');
    await setImage(c, 'v1');
    await allRun(c, 'v1', 4);
    watch.close();
    const revisions = c.api.dump(ControllerRevisions).map(({ revision }) => revision);
    assert.deepEqual(revisions.sort(), [2, 3]);
    assert.deepEqual(c.errors, []);
  });

  test('with maxSurge no node is ever without a serving pod', async () => {
    await using c = await cluster(3);
    await c.api.create(
      DaemonSets,
      daemon(({ spec }) => (spec!.updateStrategy = { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } })),
    );
    await allRun(c, 'v1', 3);
    let least = 99;
    const serving = (): number =>
      new Set(
        c.api
          .dump(Pods)
          .filter((pod) => isPodReady(pod) && !pod.metadata.deletionTimestamp)
          .map(({ spec }) => spec?.nodeName),
      ).size;
    const watch = c.api.watch(Pods, () => (least = Math.min(least, serving())), { resourceVersion: '0', onEnd() {} });
    await setImage(c, 'v2');
    await allRun(c, 'v2', 3);
    watch.close();
    assert.equal(least, 3);
  });

  test('OnDelete leaves old pods until somebody deletes them', async () => {
    await using c = await cluster(2);
    await c.api.create(
      DaemonSets,
      daemon(({ spec }) => (spec!.updateStrategy = { type: 'OnDelete' })),
    );
    await eventually(() => assert.equal(nodesOf(c).length, 2));
    await setImage(c, 'v2');
    await eventually(async () => {
      const { status, metadata } = await c.api.get(DaemonSets, 'agent', 'default');
      assert.deepEqual([status?.observedGeneration, status?.updatedNumberScheduled], [metadata.generation, 0]);
    });
    await c.api.delete(Pods, c.api.dump(Pods)[0]!.metadata.name, 'default');
    await eventually(() => {
      const images = c.api.dump(Pods).map(({ spec }) => spec!.containers[0]!.image);
      assert.deepEqual(images.sort(), ['v1', 'v2']);
    });
  });
});

describe('the plan of a DaemonSet', () => {
  const rules: Rules = { hash: 'new', maxUnavailable: 1, maxSurge: 0, minReadySeconds: 0, nowMs: 0 };
  const pod = (name: string, hash: string, ready: boolean, deleting = false): Pod => ({
    metadata: { name, labels: { [revisionLabel]: hash }, ...(deleting ? { deletionTimestamp: 'now' } : {}) },
    spec: { containers: [], nodeName: 'n' },
    status: { phase: 'Running', conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
  });
  const place = (node: string, ...pods: Pod[]): Place => ({ node, shouldRun: true, mayStay: true, pods });
  const names = (pods: readonly Pod[]): string[] => pods.map(({ metadata }) => metadata.name);

  test('what does not serve goes first and does not wait for the limit; a pod on its way out blocks its node', () => {
    const places = [
      place('a', pod('broken', 'old', false)),
      place('b', pod('fine', 'old', true)),
      place('c', pod('leaving', 'old', true, true)),
    ];
    assert.deepEqual(plan(places, rules), { create: [], remove: [places[0]!.pods[0]] });
  });

  test('of two alike the older stays, and beside an updated pod the old one goes', () => {
    const twins = place('a', pod('1', 'new', true), pod('2', 'new', true));
    const pair = place('b', pod('3', 'old', true), pod('4', 'new', false));
    assert.deepEqual(names(plan([twins, pair], rules).remove), ['2', '3']);
  });

  test('a pod stays on a node where it would not be started any more, and goes where it may not stay', () => {
    const stays = { ...place('a', pod('1', 'new', true)), shouldRun: false };
    const goes = { ...place('b', pod('2', 'new', true)), shouldRun: false, mayStay: false };
    const empty = { ...place('c'), shouldRun: false };
    assert.deepEqual(plan([stays, goes, empty], rules), { create: [], remove: [goes.pods[0]] });
  });
});
