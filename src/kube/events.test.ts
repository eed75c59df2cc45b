import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EventRecorder } from './events.ts';
import { FakeApi } from './fake.ts';
import { Events, Nodes, Pods } from './resources.ts';

describe('EventRecorder', () => {
  test('the same event again raises the count; another message is another event', async () => {
    const api = new FakeApi();
    const pod = await api.create(Pods, { metadata: { name: 'p', namespace: 'shop' }, spec: { containers: [] } });
    const recorder = new EventRecorder(api, { component: 'kubelet', host: 'node-1' });
    for (const message of ['a', 'a', 'b', 'a']) recorder.event(Pods, pod, 'Warning', 'BackOff', message);
    await recorder.flushed();
    const told = api.dump(Events).map(({ message, count, source, metadata }) => [message, count, source, metadata.namespace]);
    assert.deepEqual(told, [
      ['a', 3, { component: 'kubelet', host: 'node-1' }, 'shop'],
      ['b', 1, { component: 'kubelet', host: 'node-1' }, 'shop'],
    ]);
    assert.equal(api.dump(Events)[0]?.involvedObject.uid, pod.metadata.uid);
  });

  test('an event that has expired meanwhile is written anew; those of nodes stand in default', async () => {
    const api = new FakeApi();
    const node = await api.create(Nodes, { metadata: { name: 'n' } });
    const recorder = new EventRecorder(api, { component: 'x' });
    recorder.event(Nodes, node, 'Normal', 'Started', 'm');
    await recorder.flushed();
    const [first] = api.dump(Events);
    assert.equal(first?.metadata.namespace, 'default');
    await api.delete(Events, first!.metadata.name, 'default');
    recorder.event(Nodes, node, 'Normal', 'Started', 'm');
    await recorder.flushed();
    assert.deepEqual(
      api.dump(Events).map(({ count }) => count),
      [1],
    );
  });

  test('a failed write is reported and does not stop the next', async () => {
    const api = new FakeApi();
    const create = api.create.bind(api);
    let fail = true;
    api.create = ((...args: Parameters<typeof create>) =>
      fail ? Promise.reject(new Error('down')) : create(...args)) as typeof api.create;
    const errors: string[] = [];
    const recorder = new EventRecorder(api, { component: 'x', onError: ({ message }) => errors.push(message) });
    recorder.event(Nodes, { metadata: { name: 'n' } }, 'Normal', 'A', 'm');
    await recorder.flushed();
    fail = false;
    recorder.event(Nodes, { metadata: { name: 'n' } }, 'Normal', 'B', 'm');
    await recorder.flushed();
    assert.deepEqual([errors, api.dump(Events).map(({ reason }) => reason)], [['down'], ['B']]);
  });
});
