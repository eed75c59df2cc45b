import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Api, isAlreadyExists, isConflict, isNotFound, type WatchEvent } from './api.ts';
import { ConfigMaps, Nodes, Pods } from './resources.ts';
import type { ConfigMap, Pod } from './types.ts';

export interface SuiteApi {
  api: Api;
  stop(): void | Promise<void>;
}

const until = async (what: string, met: () => boolean): Promise<void> => {
  for (const end = Date.now() + 10_000; !met(); ) {
    if (Date.now() > end) assert.fail(`not within 10 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
};

/** What podnet relies on of an `Api`. Run against the model, KubeClient, and the embedded server, which must agree. */
export function apiSuite(name: string, open: () => Promise<SuiteApi>): void {
  const withApi = (what: string, run: (api: Api) => Promise<void>): void => {
    test(what, async () => {
      const { api, stop } = await open();
      try {
        await run(api);
      } finally {
        await stop();
      }
    });
  };
  const configMap = (map: string, data: Record<string, string>, labels?: Record<string, string>): ConfigMap => ({
    metadata: { name: map, namespace: 'default', ...(labels ? { labels } : {}) },
    data,
  });
  const pod = (podName: string, nodeName?: string): Pod => ({
    metadata: { name: podName, namespace: 'default', labels: { app: podName } },
    spec: { containers: [{ name: 'c', image: 'busybox' }], terminationGracePeriodSeconds: 30, ...(nodeName ? { nodeName } : {}) },
  });

  describe(name, () => {
    withApi('create gives identity, get reads it back, a second create is AlreadyExists', async (api) => {
      const made = await api.create(ConfigMaps, configMap('a', { x: '1' }));
      assert.ok(made.metadata.uid && made.metadata.resourceVersion && made.metadata.creationTimestamp);
      assert.deepEqual((await api.get(ConfigMaps, 'a', 'default')).data, { x: '1' });
      await assert.rejects(api.create(ConfigMaps, configMap('a', {})), isAlreadyExists);
      await assert.rejects(api.get(ConfigMaps, 'b', 'default'), isNotFound);
    });

    withApi('generateName makes different names', async (api) => {
      const make = () => api.create(ConfigMaps, { metadata: { name: '', generateName: 'g-', namespace: 'default' } });
      const [a, b] = await Promise.all([make(), make()]);
      assert.match(a.metadata.name, /^g-[a-z0-9]{5}$/);
      assert.notEqual(a.metadata.name, b.metadata.name);
    });

    withApi('update conflicts on an old resourceVersion; a change of nothing keeps the version', async (api) => {
      const first = await api.create(ConfigMaps, configMap('a', { x: '1' }));
      const second = await api.update(ConfigMaps, { ...first, data: { x: '2' } });
      await assert.rejects(api.update(ConfigMaps, { ...first, data: { x: '3' } }), isConflict);
      const third = await api.update(ConfigMaps, second);
      assert.equal(third.metadata.resourceVersion, second.metadata.resourceVersion);
    });

    withApi('returned objects are the caller’s own', async (api) => {
      const made = await api.create(ConfigMaps, configMap('a', { x: '1' }));
      made.data!.x = 'changed';
      assert.deepEqual((await api.get(ConfigMaps, 'a', 'default')).data, { x: '1' });
    });

    withApi('merge patch removes by null; an old resourceVersion in it conflicts', async (api) => {
      const made = await api.create(ConfigMaps, configMap('a', { x: '1', y: '2' }));
      const patched = await api.patch(ConfigMaps, 'a', 'default', { data: { x: null, z: '3' } }, 'merge');
      assert.deepEqual(patched.data, { y: '2', z: '3' });
      const old = { metadata: { resourceVersion: made.metadata.resourceVersion }, data: { q: '1' } };
      await assert.rejects(api.patch(ConfigMaps, 'a', 'default', old, 'merge'), isConflict);
    });

    withApi('json patch adds, tests and removes', async (api) => {
      await api.create(ConfigMaps, configMap('a', { x: '1' }));
      const operations = [
        { op: 'test', path: '/data/x', value: '1' },
        { op: 'add', path: '/data/y', value: '2' },
        { op: 'remove', path: '/data/x' },
      ];
      assert.deepEqual((await api.patch(ConfigMaps, 'a', 'default', operations, 'json')).data, { y: '2' });
      await assert.rejects(api.patch(ConfigMaps, 'a', 'default', operations, 'json'));
    });

    withApi('status is written by its subresource only, and leaves the generation alone', async (api) => {
      const made = await api.create(Pods, pod('p', 'n'));
      const status = { phase: 'Running', podIP: '10.0.0.1', podIPs: [{ ip: '10.0.0.1' }] };
      const ignored = await api.update(Pods, { ...made, status });
      assert.equal(ignored.status?.phase, 'Pending');
      const written = await api.update(Pods, { ...ignored, status }, { subresource: 'status' });
      assert.equal(written.status?.podIP, '10.0.0.1');
      assert.equal(written.metadata.generation, made.metadata.generation);
    });

    withApi('lists by labels, fields and pages', async (api) => {
      for (let i = 0; i < 5; i++) await api.create(ConfigMaps, configMap(`m${i}`, {}, { odd: String(i % 2) }));
      const odd = await api.list(ConfigMaps, { namespace: 'default', labelSelector: 'odd=1' });
      assert.deepEqual(odd.items.map(({ metadata }) => metadata.name).sort(), ['m1', 'm3']);
      const one = await api.list(ConfigMaps, { namespace: 'default', fieldSelector: 'metadata.name=m2' });
      assert.deepEqual(
        one.items.map(({ metadata }) => metadata.name),
        ['m2'],
      );
      const seen: string[] = [];
      let next: string | undefined;
      do {
        const page = await api.list(ConfigMaps, {
          namespace: 'default',
          labelSelector: 'odd',
          limit: 2,
          ...(next ? { continue: next } : {}),
        });
        assert.ok(page.items.length <= 2);
        seen.push(...page.items.map(({ metadata }) => metadata.name));
        next = page.metadata.continue;
      } while (next);
      assert.deepEqual(seen.sort(), ['m0', 'm1', 'm2', 'm3', 'm4']);
    });

    withApi('finalizers hold an object until the last is gone', async (api) => {
      const made = await api.create(ConfigMaps, {
        ...configMap('a', {}),
        metadata: { name: 'a', namespace: 'default', finalizers: ['example.com/hold'] },
      });
      await api.delete(ConfigMaps, 'a', 'default', { preconditions: { uid: made.metadata.uid! } });
      const held = await api.get(ConfigMaps, 'a', 'default');
      assert.ok(held.metadata.deletionTimestamp);
      await api.patch(ConfigMaps, 'a', 'default', { metadata: { finalizers: [] } }, 'merge');
      await assert.rejects(api.get(ConfigMaps, 'a', 'default'), isNotFound);
    });

    withApi('a deletion with the uid of another object conflicts', async (api) => {
      await api.create(ConfigMaps, configMap('a', {}));
      await assert.rejects(api.delete(ConfigMaps, 'a', 'default', { preconditions: { uid: 'another' } }), isConflict);
    });

    withApi('a pod on a node goes in two steps: deletionTimestamp, then removal by grace 0', async (api) => {
      await api.create(Pods, pod('p', 'n'));
      await api.delete(Pods, 'p', 'default');
      const going = await api.get(Pods, 'p', 'default');
      assert.ok(going.metadata.deletionTimestamp);
      assert.equal(going.metadata.deletionGracePeriodSeconds, 30);
      await api.delete(Pods, 'p', 'default', { gracePeriodSeconds: 0 });
      await assert.rejects(api.get(Pods, 'p', 'default'), isNotFound);
    });

    withApi('a pod without a node goes at once', async (api) => {
      await api.create(Pods, pod('p'));
      await api.delete(Pods, 'p', 'default');
      await assert.rejects(api.get(Pods, 'p', 'default'), isNotFound);
    });

    withApi('binding sets the node once', async (api) => {
      await api.create(Pods, pod('p'));
      const binding = { metadata: { name: 'p', namespace: 'default' }, target: { kind: 'Node', name: 'n1' } };
      const resource = { ...Pods, kind: 'Binding' };
      await api.create(resource, binding as never, { subresource: 'binding' });
      assert.equal((await api.get(Pods, 'p', 'default')).spec?.nodeName, 'n1');
      await assert.rejects(api.create(resource, binding as never, { subresource: 'binding' }), isConflict);
    });

    withApi('a watch from a resourceVersion gives every later event once, in order', async (api) => {
      const { metadata } = await api.list(ConfigMaps, { namespace: 'default' });
      const made = await api.create(ConfigMaps, configMap('a', { x: '1' }));
      await api.update(ConfigMaps, { ...made, data: { x: '2' } });
      const events: WatchEvent<ConfigMap>[] = [];
      const watch = api.watch(ConfigMaps, (event) => events.push(event), {
        namespace: 'default',
        resourceVersion: metadata.resourceVersion,
        onEnd: () => {},
      });
      await until('two events', () => events.length >= 2);
      await api.delete(ConfigMaps, 'a', 'default');
      await until('three events', () => events.length >= 3);
      watch.close();
      const told = events.filter(({ object }) => object.metadata.name === 'a');
      assert.deepEqual(
        told.map(({ type, object }) => [type, object.data?.x]),
        [
          ['ADDED', '1'],
          ['MODIFIED', '2'],
          ['DELETED', '2'],
        ],
      );
      const versions = told.map(({ object }) => Number(object.metadata.resourceVersion));
      assert.ok(versions[0]! < versions[1]! && versions[1]! < versions[2]!, `versions rise: ${versions}`);
    });

    withApi('a watch with a selector tells of objects that come to match as ADDED and that cease to as DELETED', async (api) => {
      const { metadata } = await api.list(ConfigMaps, { namespace: 'default' });
      const events: string[] = [];
      const watch = api.watch(ConfigMaps, ({ type }) => events.push(type), {
        namespace: 'default',
        labelSelector: 'on=yes',
        resourceVersion: metadata.resourceVersion,
        onEnd: () => {},
      });
      await api.create(ConfigMaps, configMap('a', {}));
      await api.patch(ConfigMaps, 'a', 'default', { metadata: { labels: { on: 'yes' } } }, 'merge');
      await api.patch(ConfigMaps, 'a', 'default', { data: { k: 'v' } }, 'merge');
      await api.patch(ConfigMaps, 'a', 'default', { metadata: { labels: { on: null } } }, 'merge');
      await until('three events', () => events.length >= 3);
      watch.close();
      assert.deepEqual(events, ['ADDED', 'MODIFIED', 'DELETED']);
    });

    withApi('a node is watched by field selector', async (api) => {
      await api.create(Nodes, { metadata: { name: 'n1' } });
      await api.create(Nodes, { metadata: { name: 'n2' } });
      const list = await api.list(Nodes, { fieldSelector: 'metadata.name=n2' });
      assert.deepEqual(
        list.items.map(({ metadata }) => metadata.name),
        ['n2'],
      );
    });

    withApi('a watch ends cleanly after timeoutSeconds', async (api) => {
      let ended: Error | undefined | 'no' = 'no';
      api.watch(ConfigMaps, () => {}, { namespace: 'default', timeoutSeconds: 1, onEnd: (error) => (ended = error) });
      await until('the end', () => ended !== 'no');
      assert.equal(ended, undefined);
    });
  });
}
