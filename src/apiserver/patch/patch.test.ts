import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { jsonEqual } from '../../kube/objects.ts';
import { isJson, type Json } from '../object.ts';
import { loadSchema, type Model } from '../schema/index.ts';
import { jsonPatch } from './json-patch.ts';
import { mergePatch } from './merge-patch.ts';
import { strategicMerge } from './strategic.ts';

const leaf = fc.oneof(fc.string(), fc.integer(), fc.boolean());
const name = fc.constantFrom('a', 'b', 'c/d', 'e~f', '');
const document = fc.letrec<{ any: unknown; object: Json }>((tie) => ({
  any: fc.oneof({ depthSize: 'small' }, leaf, fc.array(tie('any'), { maxLength: 3 }), tie('object')),
  object: fc.dictionary(name, tie('any'), { maxKeys: 4, noNullPrototype: true }) as fc.Arbitrary<Json>,
})).object;

/** RFC 6902 operations that make `to` out of `from`. */
function jsonDiff(from: unknown, to: unknown, path = ''): Json[] {
  if (jsonEqual(from, to)) return [];
  if (!isJson(from) || !isJson(to)) return [{ op: 'replace', path, value: to }];
  const at = (key: string): string => `${path}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
  const operations: Json[] = [];
  for (const key of Object.keys(from)) if (!Object.hasOwn(to, key)) operations.push({ op: 'remove', path: at(key) });
  for (const key of Object.keys(to))
    operations.push(
      ...(Object.hasOwn(from, key) ? jsonDiff(from[key], to[key], at(key)) : [{ op: 'add', path: at(key), value: to[key] }]),
    );
  return operations;
}

/** RFC 7386 */
function mergeDiff(from: Json, to: Json): Json {
  const patch: Json = {};
  for (const key of Object.keys(from)) if (!Object.hasOwn(to, key)) patch[key] = null;
  for (const key of Object.keys(to)) {
    const [a, b] = [Object.hasOwn(from, key) ? from[key] : undefined, to[key]];
    if (!jsonEqual(a, b)) patch[key] = isJson(a) && isJson(b) ? mergeDiff(a, b) : b;
  }
  return patch;
}

/** As kubectl apply makes them. */
function strategicDiff(model: Model | undefined, from: Json, to: Json): Json {
  const patch: Json = {};
  for (const key of Object.keys(from)) if (!Object.hasOwn(to, key)) patch[key] = null;
  for (const key of Object.keys(to)) {
    const [a, b] = [from[key], to[key]];
    if (jsonEqual(a, b)) continue;
    const field = model?.fields.get(key);
    if (Array.isArray(a) && Array.isArray(b) && field?.strategies.includes('merge')) {
      const { mergeKey } = field;
      const id = (item: unknown): unknown => (mergeKey ? (item as Json)[mergeKey] : item);
      const gone = a.filter((item) => !b.some((other) => id(other) === id(item)));
      if (!mergeKey) {
        patch[`$deleteFromPrimitiveList/${key}`] = gone;
        patch[key] = b.filter((item) => !a.includes(item));
        patch[`$setElementOrder/${key}`] = b;
        continue;
      }
      const items = field.type.kind === 'list' && field.type.items.kind === 'model' ? field.type.items.model : undefined;
      const changed = b.flatMap((item) => {
        const old = a.find((other) => id(other) === id(item)) as Json | undefined;
        if (!old) return [item];
        const diff = strategicDiff(items, old, item as Json);
        return Object.keys(diff).length > 0 ? [{ ...diff, [mergeKey]: id(item) }] : [];
      });
      patch[key] = [...changed, ...gone.map((item) => ({ $patch: 'delete', [mergeKey]: id(item) }))];
      patch[`$setElementOrder/${key}`] = b.map((item) => ({ [mergeKey]: id(item) }));
    } else if (isJson(a) && isJson(b) && field?.type.kind === 'model') patch[key] = strategicDiff(field.type.model, a, b);
    else patch[key] = isJson(a) && isJson(b) ? mergeDiff(a, b) : b;
  }
  return patch;
}

const pods = loadSchema().kind('', 'v1', 'Pod')!;
const word = fc.constantFrom('a', 'b', 'c', 'd');
const optional = <T>(values: fc.Arbitrary<Record<string, T>>): fc.Arbitrary<Json> =>
  values.map((value) => JSON.parse(JSON.stringify(value)) as Json);
const container = fc.record({
  name: word,
  image: word,
  command: fc.option(fc.array(word, { minLength: 1, maxLength: 2 }), { nil: undefined }),
  env: fc.option(fc.uniqueArray(fc.record({ name: word, value: word }), { selector: (one) => one.name, maxLength: 3 }), {
    nil: undefined,
  }),
  ports: fc.option(
    fc.uniqueArray(fc.record({ containerPort: fc.constantFrom(80, 81, 82), name: word }), {
      selector: (one) => one.containerPort,
      maxLength: 3,
    }),
    { nil: undefined },
  ),
});
const pod = optional(
  fc.record({
    metadata: fc.record({
      labels: fc.dictionary(word, word),
      finalizers: fc.uniqueArray(fc.constantFrom('x/a', 'x/b', 'x/c')),
    }) as fc.Arbitrary<unknown>,
    spec: fc.record({
      containers: fc.uniqueArray(container, { selector: (one) => one.name, maxLength: 3 }),
      nodeSelector: fc.option(fc.dictionary(word, word), { nil: undefined }),
      nodeName: fc.option(word, { nil: undefined }),
    }),
  }),
);

describe('patches', () => {
  test('JSON patch: what the difference of two documents says, applied to the first, makes the second', () => {
    fc.assert(fc.property(document, document, (a, b) => assert.deepEqual(jsonPatch(a, jsonDiff(a, b)), b)));
  });

  test('merge patch: the same', () => {
    fc.assert(fc.property(document, document, (a, b) => assert.ok(jsonEqual(mergePatch(a, mergeDiff(a, b)), b))));
  });

  test('strategic merge patch: the same for pods, with lists by key and their order', () => {
    fc.assert(
      fc.property(pod, pod, (a, b) =>
        assert.deepEqual(JSON.parse(JSON.stringify(strategicMerge(pods, a, strategicDiff(pods, a, b)))), b),
      ),
    );
  });

  test('no patch touches its target', () => {
    fc.assert(
      fc.property(pod, pod, (a, b) => {
        const before = JSON.stringify(a);
        strategicMerge(pods, a, strategicDiff(pods, a, b));
        mergePatch(a, mergeDiff(a, b));
        jsonPatch(a, jsonDiff(a, b));
        assert.equal(JSON.stringify(a), before);
      }),
    );
  });

  test('names that JavaScript keeps for itself are names like others', () => {
    const target = JSON.parse('{"data":{"__proto__":"1","constructor":"2"}}') as Json;
    const patch = JSON.parse('{"data":{"__proto__":"3"}}') as Json;
    assert.equal(JSON.stringify(mergePatch(target, patch)), '{"data":{"__proto__":"3","constructor":"2"}}');
    assert.equal(({} as Json).polluted, undefined);
    jsonPatch({}, [{ op: 'add', path: '/__proto__', value: { polluted: true } }]);
    assert.equal(({} as Json).polluted, undefined);
    assert.throws(() => jsonPatch({}, [{ op: 'add', path: '/constructor/prototype/polluted', value: 1 }]));
  });

  const directives: [title: string, target: Json, patch: Json, expected: Json][] = [
    [
      '$patch: replace takes the rest as it is',
      { spec: { nodeName: 'a', hostname: 'h' } },
      { spec: { $patch: 'replace', nodeName: 'b' } },
      { spec: { nodeName: 'b' } },
    ],
    ['$patch: delete empties', { spec: { nodeName: 'a' } }, { spec: { $patch: 'delete' } }, { spec: {} }],
    [
      '$patch: delete takes an item of a list',
      { spec: { containers: [{ name: 'a' }, { name: 'b' }] } },
      { spec: { containers: [{ name: 'a', $patch: 'delete' }] } },
      { spec: { containers: [{ name: 'b' }] } },
    ],
    [
      '$patch: replace replaces a list',
      { spec: { containers: [{ name: 'a' }, { name: 'b' }] } },
      { spec: { containers: [{ name: 'c' }, { $patch: 'replace' }] } },
      { spec: { containers: [{ name: 'c' }] } },
    ],
    [
      '$retainKeys drops all others',
      { spec: { securityContext: { runAsUser: 1, fsGroup: 2 } } },
      { spec: { securityContext: { $retainKeys: ['runAsUser'], runAsUser: 3 } } },
      { spec: { securityContext: { runAsUser: 3 } } },
    ],
    [
      '$deleteFromPrimitiveList takes scalars out',
      { metadata: { finalizers: ['a', 'b', 'c'] } },
      { metadata: { '$deleteFromPrimitiveList/finalizers': ['b'] } },
      { metadata: { finalizers: ['a', 'c'] } },
    ],
    [
      '$setElementOrder alone sorts',
      { spec: { containers: [{ name: 'a' }, { name: 'b' }] } },
      { spec: { '$setElementOrder/containers': [{ name: 'b' }, { name: 'a' }] } },
      { spec: { containers: [{ name: 'b' }, { name: 'a' }] } },
    ],
    [
      'lists without a key are replaced',
      { spec: { containers: [{ name: 'a', command: ['x', 'y'] }] } },
      { spec: { containers: [{ name: 'a', command: ['z'] }] } },
      { spec: { containers: [{ name: 'a', command: ['z'] }] } },
    ],
    [
      'items of others stay where they are',
      { spec: { containers: [{ name: 'sidecar' }, { name: 'a' }] } },
      { spec: { '$setElementOrder/containers': [{ name: 'a' }], containers: [{ name: 'a', image: 'i' }] } },
      { spec: { containers: [{ name: 'sidecar' }, { name: 'a', image: 'i' }] } },
    ],
  ];
  for (const [title, target, patch, expected] of directives)
    test(`strategic merge patch: ${title}`, () => assert.deepEqual(strategicMerge(pods, target, patch), expected));

  test('JSON patch: operations that do not apply are refused, and say which', () => {
    const refused = (operations: unknown, message: RegExp): void =>
      assert.throws(() => jsonPatch({ a: [1], b: { c: 1 } }, operations), message);
    refused([{ op: 'remove', path: '/x' }], /missing path: "\/x"/);
    refused([{ op: 'replace', path: '/b/x', value: 1 }], /missing path: "\/b\/x"/);
    refused([{ op: 'add', path: '/a/5', value: 1 }], /invalid index/);
    refused([{ op: 'test', path: '/b/c', value: 2 }], /testing path \/b\/c failed/);
    refused([{ op: 'move', from: '/b', path: '/b/d' }], /into itself/);
    refused([{ op: 'jump', path: '/b' }], /Unexpected kind: jump/);
    refused({ op: 'remove' }, /cannot unmarshal/);
    assert.deepEqual(
      jsonPatch({ a: [1], b: 2 }, [
        { op: 'copy', from: '/b', path: '/a/-' },
        { op: 'move', from: '/a/0', path: '/c' },
      ]),
      { a: [2], b: 2, c: 1 },
    );
  });
});
