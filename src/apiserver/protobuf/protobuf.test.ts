import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { MessageWriter } from '../schema/protobuf-writer.ts';
import { decodeProtobuf, ProtobufError } from './index.ts';

const fixtureUrl = new URL('../../../src/apiserver/protobuf/data/fixtures.json.gz', import.meta.url);
const fixtures = JSON.parse(gunzipSync(readFileSync(fixtureUrl)).toString()) as Record<
  string,
  { json: object; protobuf: string }
>;

/** "k8s\0" + runtime.Unknown around an encoded object. */
const envelope = (apiVersion: string, kind: string, raw: MessageWriter): Buffer =>
  Buffer.concat([
    Buffer.from('k8s\0'),
    new MessageWriter().bytes(1, new MessageWriter().bytes(1, apiVersion).bytes(2, kind)).bytes(2, raw).finish(),
  ]);
const message = (): MessageWriter => new MessageWriter();

/** Go writes null where nothing is set. */
function meaningful(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(meaningful);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).flatMap(([key, item]) => (item === null ? [] : [[key, meaningful(item)]])));
}

test('every kind with every field set decodes to what Kubernetes itself writes as JSON', () => {
  const kinds = Object.keys(fixtures);
  assert.ok(kinds.length > 60, `only ${kinds.length} fixtures`);
  for (const kind of ['/v1/Pod', 'apps/v1/Deployment', 'authorization.k8s.io/v1/SelfSubjectAccessReview', 'policy/v1/Eviction'])
    assert.ok(kinds.includes(kind), `${kind} is missing`);
  for (const [kind, { json, protobuf }] of Object.entries(fixtures))
    assert.deepEqual(meaningful(decodeProtobuf(Buffer.from(protobuf, 'base64'))), meaningful(json), kind);
});

test('zero values that JSON leaves out are left out, those of pointers and required fields stay', () => {
  const port = message().bytes(1, '').bytes(2, 'TCP').varint(3, 80).bytes(4, message().varint(1, 0).varint(2, 0)).varint(5, 0);
  const spec = message().bytes(1, port).bytes(3, '').varint(12, 0).bytes(7, 'None');
  const service = decodeProtobuf(
    envelope('v1', 'Service', message().bytes(1, message().bytes(1, 'a').bytes(8, '')).bytes(2, spec).bytes(3, '')),
  );
  assert.deepEqual(service, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'a' },
    spec: { ports: [{ protocol: 'TCP', port: 80 }], sessionAffinity: 'None' },
  });
  const deployment = decodeProtobuf(envelope('apps/v1', 'Deployment', message().bytes(2, message().varint(1, 0).varint(5, 0))));
  // replicas is a pointer: 0 is a wish; minReadySeconds is not: 0 is nothing said.
  assert.deepEqual(deployment.spec, { replicas: 0 });
});

test('a key such as __proto__ is data, not the prototype of anything', () => {
  const entry = message().bytes(1, '__proto__').bytes(2, 'x');
  const map = decodeProtobuf(envelope('v1', 'ConfigMap', message().bytes(2, entry))).data as object;
  assert.deepEqual(Object.entries(map), [['__proto__', 'x']]);
  assert.equal(Object.getPrototypeOf(map), Object.prototype);
});

test('a map entry without a value has the empty one', () => {
  assert.deepEqual(decodeProtobuf(envelope('v1', 'ConfigMap', message().bytes(2, message().bytes(1, 'a')))).data, { a: '' });
  assert.deepEqual(decodeProtobuf(envelope('v1', 'Secret', message().bytes(2, message().bytes(1, 'a')))).data, { a: '' });
});

test('what is no Kubernetes protobuf is refused with what was seen', () => {
  assert.throws(() => decodeProtobuf(Buffer.from('{"a":1}')), /starts with "k8s\\0", this one with "\{\\"a\\""/);
  assert.throws(() => decodeProtobuf(envelope('shop/v1', 'Cart', message())), /no kind "Cart" is known in "shop\/v1"/);
  assert.throws(() => decodeProtobuf(envelope('v1', '__proto__', message())), ProtobufError);
  const cut = envelope('v1', 'ConfigMap', message().bytes(2, message().bytes(1, 'a'))).subarray(0, -2);
  assert.throws(() => decodeProtobuf(cut), /reaches beyond the end/);
});

test('a small body cannot ask for endless memory: two bytes make a container', () => {
  const containers = Buffer.alloc(2_000_100, Buffer.from([0x12, 0]));
  assert.throws(() => decodeProtobuf(envelope('v1', 'Pod', message().bytes(2, containers))), /more than 1000000 values/);
});

test('random and mutated bytes either decode or are refused, and never anything else', () => {
  const inputs = Object.values(fixtures).map(({ protobuf }) => Buffer.from(protobuf, 'base64'));
  const survive = (bytes: Buffer): void => {
    try {
      decodeProtobuf(bytes);
    } catch (error) {
      if (!(error instanceof ProtobufError)) throw error;
    }
  };
  const mutation = fc.record({
    input: fc.integer({ min: 0, max: inputs.length - 1 }),
    edits: fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.integer({ min: 0, max: 255 })), {
      minLength: 1,
      maxLength: 8,
    }),
    keep: fc.double({ min: 0.5, max: 1, noNaN: true }),
  });
  fc.assert(
    fc.property(mutation, ({ input, edits, keep }) => {
      const source = inputs[input]!;
      const bytes = Buffer.from(source.subarray(0, Math.ceil(source.length * keep)));
      for (const [at, byte] of edits) bytes[Math.min(bytes.length - 1, 4 + Math.floor(at * bytes.length))] = byte;
      survive(bytes);
    }),
    { numRuns: 2000 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) =>
      survive(envelope('v1', 'Pod', message().bytes(2, Buffer.from(bytes)))),
    ),
    { numRuns: 1000 },
  );
});
