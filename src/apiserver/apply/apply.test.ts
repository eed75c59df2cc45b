import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { ApiError } from '../../kube/api.ts';
import type { Json, StoredObject } from '../object.ts';
import { loadSchema } from '../schema/index.ts';
import {
  difference,
  type FieldSet,
  fromFieldsV1,
  intersection,
  isEmpty,
  members,
  pathText,
  sameSet,
  toFieldsV1,
  union,
} from './field-set.ts';
import { afterUpdate, apply, type Manager } from './managed-fields.ts';

const model = loadSchema().kind('apps', 'v1', 'Deployment')!;
const now = '2026-01-01T00:00:00Z';
const manager = (name: string, operation: 'Apply' | 'Update' = 'Apply'): Manager => ({ name, operation, apiVersion: 'apps/v1' });
const deployment = (spec: Json, labels?: Record<string, string>): StoredObject => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'd', namespace: 'n', ...(labels && { labels }) },
  spec,
});

/** Applies, and gives the object with its managers. */
function applied(live: StoredObject | undefined, config: StoredObject, name: string, force = false): StoredObject {
  const result = apply(model, live, config, manager(name), force);
  const object = result.object as StoredObject;
  return { ...object, metadata: { ...object.metadata, managedFields: result.owners(now) } };
}

function updated(old: StoredObject, next: StoredObject, name: string): StoredObject {
  return { ...next, metadata: { ...next.metadata, managedFields: afterUpdate(model, old, next, manager(name, 'Update'), now) } };
}

const ownedBy = (object: StoredObject, name: string): string[] => {
  const entry = object.metadata.managedFields?.find((one) => one.manager === name);
  return entry ? [...members(fromFieldsV1(entry.fieldsV1))].map(pathText).sort() : [];
};

describe('server-side apply', () => {
  test('what a manager no longer names goes, what others own stays', () => {
    const first = applied(undefined, deployment({ replicas: 1 }, { a: '1', b: '1' }), 'one');
    const second = applied(first, deployment({}, { b: '1', c: '1' }), 'two');
    assert.deepEqual(second.metadata.labels, { a: '1', b: '1', c: '1' });
    const third = applied(second, deployment({ replicas: 1 }, {}), 'one');
    assert.deepEqual(third.metadata.labels, { b: '1', c: '1' });
    assert.deepEqual(ownedBy(third, 'two'), ['.metadata.labels.b', '.metadata.labels.c', '.spec']);
  });

  test('to change what another manager owns is a conflict, in the words of the real server', () => {
    const live = applied(undefined, deployment({ replicas: 1 }), 'one');
    assert.throws(
      () => applied(live, deployment({ replicas: 2 }), 'two'),
      (error: ApiError) =>
        error.code === 409 && error.message === 'Apply failed with 1 conflict: conflict with "one": .spec.replicas',
    );
    const agreed = applied(live, deployment({ replicas: 1 }), 'two');
    assert.deepEqual([ownedBy(agreed, 'one'), ownedBy(agreed, 'two')], [['.spec.replicas'], ['.spec.replicas']]);
    const forced = applied(live, deployment({ replicas: 2 }), 'two', true);
    assert.deepEqual([forced.spec?.replicas, ownedBy(forced, 'one')], [2, []]);
  });

  test('an update takes over what it changes, and the applier learns of it as a conflict', () => {
    const live = applied(undefined, deployment({ replicas: 1, paused: true }), 'one');
    const scaled = updated(live, { ...live, spec: { replicas: 5, paused: true } }, 'scaler');
    assert.deepEqual([ownedBy(scaled, 'scaler'), ownedBy(scaled, 'one')], [['.spec.replicas'], ['.spec.paused']]);
    assert.throws(
      () => applied(scaled, deployment({ replicas: 1 }), 'one'),
      /conflict with "scaler" using apps\/v1: \.spec\.replicas/,
    );
    const without = applied(scaled, deployment({ paused: true }), 'one');
    assert.equal(without.spec?.replicas, 5);
  });

  test('items of keyed lists are owned one by one, and their fields too', () => {
    const template = (...containers: Json[]): StoredObject => deployment({ template: { spec: { containers } } });
    const live = applied(undefined, template({ name: 'a', image: '1' }, { name: 'b', image: '1' }), 'one');
    const both = applied(live, template({ name: 'a', command: ['x'] }, { name: 'c', image: '2' }), 'two');
    const names = (object: StoredObject) =>
      (object.spec as { template: { spec: { containers: Json[] } } }).template.spec.containers.map(
        ({ name, image }) => `${name}:${image}`,
      );
    assert.deepEqual(names(both), ['a:1', 'b:1', 'c:2']);
    const less = applied(both, template({ name: 'a', image: '1' }), 'one');
    assert.deepEqual(names(less), ['a:1', 'c:2']);
    const gone = applied(less, deployment({}), 'one');
    assert.deepEqual(names(gone), ['a:undefined', 'c:2'], 'container a is still owned by two');
  });

  test('the same configuration again changes nothing, not even a time', () => {
    const live = applied(undefined, deployment({ replicas: 1 }, { a: '1' }), 'one');
    const result = apply(model, live, deployment({ replicas: 1 }, { a: '1' }), manager('one'), false);
    assert.deepEqual(result.owners('2030-01-01T00:00:00Z'), live.metadata.managedFields);
  });
});

describe('field sets', () => {
  const step = fc.constantFrom('f:a', 'f:b', 'k:{"name":"x"}', 'v:1');
  const set: fc.Arbitrary<FieldSet> = fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { maxLength: 8 }).map((paths) => {
    const root: FieldSet = { member: false, children: new Map() };
    for (const path of paths) {
      let at = root;
      for (const one of path) {
        if (!at.children.has(one)) at.children.set(one, { member: false, children: new Map() });
        at = at.children.get(one)!;
      }
      at.member = true;
    }
    return root;
  });
  const texts = (of: FieldSet): string[] => [...members(of)].map((path) => path.join('/')).sort();

  test('FieldsV1 is read back as it was written', () => {
    fc.assert(fc.property(set, (one) => assert.ok(sameSet(fromFieldsV1(JSON.parse(JSON.stringify(toFieldsV1(one)))), one))));
  });

  test('union, difference and intersection are those of sets of paths', () => {
    fc.assert(
      fc.property(set, set, (a, b) => {
        const [as, bs] = [new Set(texts(a)), new Set(texts(b))];
        assert.deepEqual(texts(union(a, b)), [...new Set([...as, ...bs])].sort());
        assert.deepEqual(texts(difference(a, b)), [...as].filter((one) => !bs.has(one)).sort());
        assert.deepEqual(texts(intersection(a, b)), [...as].filter((one) => bs.has(one)).sort());
        assert.ok(isEmpty(difference(a, a)));
      }),
    );
  });
});
