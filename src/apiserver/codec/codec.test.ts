import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { loadSchema } from '../schema/index.ts';
import { decodeModel } from './decode.ts';
import { duplicateFields } from './duplicates.ts';
import { canonicalQuantity, quantityNano } from './quantity.ts';

describe('quantities', () => {
  const cases: [from: string | number, to: string][] = [
    ['0.5', '500m'],
    [0.1, '100m'],
    ['1000m', '1'],
    ['1024Mi', '1Gi'],
    ['1.5Gi', '1536Mi'],
    ['1000', '1k'],
    ['1500M', '1500M'],
    ['1e3', '1e3'],
    ['100n', '100n'],
    ['0.1n', '1n'],
    ['0', '0'],
    ['-1Ki', '-1Ki'],
    ['+5', '5'],
    ['.5', '500m'],
    ['1.', '1'],
    ['512', '512'],
    ['0.5Ki', '512'],
  ];
  for (const [from, to] of cases) test(`${from} is written ${to}`, () => assert.equal(canonicalQuantity(from), to));

  test('what is none is refused', () => {
    for (const text of ['', 'x', '1KiB', '1 Gi', '1.2.3', 'Gi', '--1', '1e9999'])
      assert.equal(canonicalQuantity(text), undefined, text);
  });

  test('the canonical form has the same value, and is its own canonical form', () => {
    const suffix = fc.constantFrom('', 'n', 'u', 'm', 'k', 'M', 'G', 'Ki', 'Mi', 'Gi', 'e3', 'E-2');
    const quantity = fc.tuple(fc.integer({ min: -99999, max: 99999 }), suffix).map(([number, unit]) => `${number}${unit}`);
    fc.assert(
      fc.property(quantity, (text) => {
        const canonical = canonicalQuantity(text)!;
        assert.equal(quantityNano(canonical), quantityNano(text));
        assert.equal(canonicalQuantity(canonical), canonical);
      }),
    );
  });
});

describe('duplicate fields', () => {
  test('are found wherever they are, with their paths', () => {
    const text = '{"a":1,"b":{"c":[{"d":1,"d":2},{"d":{}}],"e\\u0066":0,"ef":1},"a":{"x":"}"}, "n":[[],[{"q":"\\"","q":1}]]}';
    assert.deepEqual(duplicateFields(text), ['b.c[0].d', 'b.ef', 'a', 'n[1][0].q']);
  });

  test('any JSON without them is found to have none, whatever its spaces', () => {
    fc.assert(
      fc.property(fc.json(), fc.constantFrom('', ' ', '\n\t'), (text, space) =>
        assert.deepEqual(duplicateFields(JSON.stringify(JSON.parse(text), null, space)), []),
      ),
    );
  });
});

describe('decoding', () => {
  const pod = loadSchema().kind('', 'v1', 'Pod')!;
  test('unknown fields are dropped and named, zero values that Go leaves out go', () => {
    const { object, unknown } = decodeModel(pod, {
      metadata: { name: 'a', labels: {}, creationTimestamp: null, annotations: { '': 'x' } },
      spec: {
        hostNetwork: false,
        containers: [{ name: 'c', imagee: 'x', resources: {}, ports: [] }],
        volumes: [{ name: 'v', emptyDir: {} }],
      },
      foo: { bar: 1 },
    });
    assert.deepEqual(unknown, ['spec.containers[0].imagee', 'foo']);
    assert.deepEqual(object, {
      metadata: { name: 'a', annotations: { '': 'x' } },
      spec: { containers: [{ name: 'c', resources: {} }], volumes: [{ name: 'v', emptyDir: {} }] },
    });
  });

  test('times are kept in UTC and whole seconds, quantities in canonical form', () => {
    const { object } = decodeModel(pod, {
      metadata: { name: 'a', creationTimestamp: '2026-01-01T02:00:00.5+02:00' },
      spec: { containers: [{ name: 'c', resources: { limits: { cpu: 0.25, memory: '1024Mi' } } }] },
    });
    assert.equal((object.metadata as { creationTimestamp: string }).creationTimestamp, '2026-01-01T00:00:00Z');
    assert.deepEqual((object.spec as { containers: unknown[] }).containers, [
      { name: 'c', resources: { limits: { cpu: '250m', memory: '1Gi' } } },
    ]);
  });

  test('wrong types throw in Go’s words', () => {
    const refused = (value: object, message: string): void => assert.throws(() => decodeModel(pod, value), { message });
    refused(
      { spec: { containers: 'x' } },
      'json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container',
    );
    refused(
      { spec: { hostNetwork: 'yes' } },
      'json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool',
    );
    refused(
      { metadata: { labels: { a: true } } },
      'json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type string',
    );
    refused(
      { spec: { priority: 1.5 } },
      'json: cannot unmarshal number 1.5 into Go struct field PodSpec.spec.priority of type int32',
    );
  });

  test('no JSON makes the decoder fail in another way', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (spec, containers) => {
        try {
          decodeModel(pod, { spec, metadata: containers, status: { conditions: containers } });
          decodeModel(pod, { spec: { containers } });
        } catch (error) {
          assert.equal((error as Error).name, 'DecodeError');
        }
      }),
    );
  });
});
