import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { ApiError } from '../../kube/api.ts';
import { ConfigMaps } from '../../kube/resources.ts';
import type { StoredObject } from '../object.ts';
import { openWatch } from '../registry/watch.ts';
import { findResource } from '../resources.ts';
import type { Entry, EventType } from './entry.ts';
import { everything, selection } from './selection.ts';
import { Store } from './store.ts';

const maps = findResource('', 'v1', 'configmaps')!;
const object = (namespace: string, name: string, label: string, value = 0): StoredObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace, labels: { l: label } },
  data: { value: String(value) },
});
const keyOf = ({ metadata }: StoredObject): string => `${metadata.namespace}/${metadata.name}`;

/** A step of a history: put (with a label) or remove one of few objects, so that they meet often. */
const step = fc.record({
  namespace: fc.constantFrom('a', 'b'),
  name: fc.constantFrom('x', 'y', 'z'),
  label: fc.constantFrom('1', '2'),
  remove: fc.boolean(),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function play(store: Store, { namespace, name, label, remove }: Step, value: number): void {
  if (remove) store.remove(ConfigMaps, namespace, name);
  else store.put(ConfigMaps, object(namespace, name, label, value));
}

const contents = (entries: Iterable<Entry>): Record<string, string> =>
  Object.fromEntries([...entries].map(({ object: one }) => [keyOf(one), one.metadata.resourceVersion!]));

const selections = [
  everything(),
  everything('a'),
  selection(maps, undefined, 'l=1'),
  selection(maps, 'b', 'l!=1'),
  selection(maps, undefined, '', 'metadata.name=x'),
];

describe('Store', () => {
  test('a list at any version, and the events after it, make the newest list: for every selection', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.nat(), fc.nat(4), (steps, seed, which) => {
        const store = new Store({ history: 1000 });
        const chosen = selections[which]!;
        const from = steps.length === 0 ? 0 : seed % (steps.length + 1);
        steps.slice(0, from).forEach((one, at) => void play(store, one, at));
        const { version, entries } = store.list(ConfigMaps, chosen);
        const state = contents(entries);
        steps.slice(from).forEach((one, at) => void play(store, one, from + at));
        let last = version;
        const sink = {
          event(type: EventType, { object: one, version: at }: Entry) {
            assert.ok(at > last, 'versions rise');
            last = at;
            const known = Object.hasOwn(state, keyOf(one));
            assert.equal(type === 'ADDED', !known, `${type} of what is ${known ? 'known' : 'unknown'}`);
            if (type === 'DELETED') delete state[keyOf(one)];
            else state[keyOf(one)] = one.metadata.resourceVersion!;
          },
          bookmark() {},
          end() {},
        };
        openWatch(store, { resource: maps, selection: chosen, resourceVersion: String(version) }, sink).close();
        assert.deepEqual(state, contents(store.list(ConfigMaps, chosen).entries));
      }),
    );
  });

  test('pages of a list show one moment, whatever is written between them', () => {
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 5, maxLength: 40 }),
        fc.array(step, { maxLength: 40 }),
        fc.integer({ min: 1, max: 3 }),
        (before, between, limit) => {
          const store = new Store({ history: 1000 });
          before.forEach((one, at) => void play(store, one, at));
          const whole = contents(store.list(ConfigMaps, everything()).entries);
          const found: Record<string, string> = {};
          const order: string[] = [];
          let token: string | undefined;
          let at = 0;
          do {
            const page = store.list(ConfigMaps, everything(), { limit, continue: token });
            for (const { object: one } of page.entries) {
              found[keyOf(one)] = one.metadata.resourceVersion!;
              order.push(keyOf(one));
            }
            if (page.continue) assert.equal(page.remaining, Object.keys(whole).length - order.length);
            token = page.continue;
            for (const one of between.slice(at, at + 7)) play(store, one, 1000 + at);
            at += 7;
          } while (token);
          assert.deepEqual(found, whole);
          assert.deepEqual(order, [...order].sort());
        },
      ),
    );
  });

  test('versions rise over all resources', () => {
    const store = new Store({ firstVersion: 7 });
    const a = store.put(ConfigMaps, object('a', 'x', '1'));
    const b = store.put({ ...ConfigMaps, plural: 'secrets' }, object('a', 'x', '1'));
    assert.deepEqual([a.version, b.version, a.object.metadata.resourceVersion], [8, 9, '8']);
  });

  test('a watch from before what is remembered is answered with 410, one from the future with 504', () => {
    const store = new Store({ history: 2 });
    for (let i = 0; i < 10; i++) store.put(ConfigMaps, object('a', 'x', '1', i));
    const watch = (version: number) => () => store.watch(ConfigMaps, version, () => {});
    assert.throws(watch(2), (error: ApiError) => error.code === 410 && /too old resource version: 2 \(\d+\)/.test(error.message));
    assert.throws(
      watch(99),
      (error: ApiError) => error.code === 504 && /Too large resource version: 99, current: 11/.test(error.message),
    );
    watch(store.version - 1)();
  });

  test('a continue token of a forgotten version, or of somebody else, is refused', () => {
    const store = new Store();
    for (const name of ['a', 'b', 'c']) store.put(ConfigMaps, object('n', name, '1'));
    const { continue: token } = store.list(ConfigMaps, everything(), { limit: 1 });
    store.put(ConfigMaps, object('n', 'd', '1'));
    store.compact();
    const list = (text: string) => () => store.list(ConfigMaps, everything(), { continue: text });
    assert.throws(
      list(token!),
      (error: ApiError) => error.code === 410 && /too old to display a consistent list/.test(error.message),
    );
    assert.throws(list('nonsense'), (error: ApiError) => error.code === 400);
  });

  test('all watchers of a change get the same bytes', () => {
    const store = new Store();
    const lines: Buffer[] = [];
    const sink = { event: (_: EventType, __: Entry, line: () => Buffer) => lines.push(line()), bookmark() {}, end() {} };
    const watches = [1, 2].map(() =>
      openWatch(store, { resource: maps, selection: everything(), resourceVersion: String(store.version) }, sink),
    );
    store.put(ConfigMaps, object('a', 'x', '1'));
    for (const watch of watches) watch.close();
    assert.equal(lines.length, 2);
    assert.equal(lines[0], lines[1]);
    assert.equal(JSON.parse(lines[0]!.toString()).type, 'ADDED');
    assert.equal(store.watchers, 0);
  });

  test('what is stored cannot be changed', () => {
    const store = new Store();
    const { object: one } = store.put(ConfigMaps, object('a', 'x', '1'));
    assert.throws(() => {
      (one.data as Record<string, string>).value = 'changed';
    }, TypeError);
  });

  test('field selectors are refused where the real server has none', () => {
    assert.throws(
      () => selection(maps, undefined, '', 'data.value=1'),
      (error: ApiError) => error.message === 'field label not supported: data.value',
    );
  });
});
