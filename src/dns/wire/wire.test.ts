import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { service, slice, TestCluster } from '../testkit/cluster.ts';
import { answer, question, read } from '../testkit/message.ts';
import { headerBytes } from './constants.ts';
import { hashName } from './hash.ts';
import { answersQuestion, encodeQuery, parseMessage } from './message.ts';
import { formatName, isBelow, labelsOf, lowerName, nameOf, parentName, parseName, readName } from './names.ts';
import { Query } from './query.ts';

const label = fc.uint8Array({ minLength: 1, maxLength: 63 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
const anyName = fc
  .array(label, { maxLength: 12 })
  .filter((labels) => labels.reduce((sum, text) => sum + text.length + 1, 1) <= 255)
  .map((labels) => nameOf(labels));

test('names of any bytes read back from text and from a message (D23)', () => {
  fc.assert(
    fc.property(anyName, (name) => {
      assert.equal(parseName(formatName(name)), name);
      assert.deepEqual(nameOf(labelsOf(name)), name);
      const buffer = Buffer.from(name, 'latin1');
      assert.deepEqual(readName(buffer, 0, 0, buffer.length), { name, next: buffer.length });
    }),
  );
  assert.equal(formatName(parseName('a\\.b.c\\065')), 'a\\.b.cA.');
  assert.equal(formatName('\0'), '.');
});

test('wrong names are refused with the reason', () => {
  for (const [text, why] of [
    ['a..b', /1 to 63 bytes, not 0/],
    [`${'x'.repeat(64)}.a`, /1 to 63 bytes, not 64/],
    [`${'x'.repeat(63)}.`.repeat(4), /at most 255 bytes, not 257/],
    ['a\\300', /bad escape at position 1/],
  ] as const)
    assert.throws(() => parseName(text), why, text);
});

test('a name is below another only at the border of a label', () => {
  const of = parseName('b.c');
  assert.ok(isBelow(of, of));
  assert.ok(isBelow(parseName('a.b.c'), of));
  assert.ok(!isBelow(parseName('ab.c'), of));
  // The bytes end alike, but the border is inside of a label.
  assert.ok(!isBelow(nameOf([`x${parseName('b').slice(0, -1)}`, 'c']), of));
  assert.equal(parentName(parseName('a.b.c')), of);
});

test('compression pointers may only lead backwards, so that no name is endless', () => {
  const pointing = (...bytes: number[]): (() => unknown) => {
    const buffer = Buffer.from(bytes);
    return () => readName(buffer, 0, bytes.length - 2, bytes.length);
  };
  assert.deepEqual(pointing(1, 97, 0, 0xc0, 0)(), { name: '\x01a\0', next: 5 });
  assert.throws(pointing(0xc0, 0), /does not lead backwards/);
  assert.throws(pointing(0xc0, 5, 0xc0, 0), RangeError);
  const twice = Buffer.from([1, 97, 0xc0, 4, 0xc0, 0]);
  assert.throws(() => readName(twice, 0, 4, 6), /does not lead backwards/);
});

test('the hash of every suffix of a question is that of the name', () => {
  fc.assert(
    fc.property(anyName, (name) => {
      const query = new Query();
      const message = question('.', {});
      const buffer = Buffer.concat([message.subarray(0, headerBytes), Buffer.from(name, 'latin1'), message.subarray(-4)]);
      assert.equal(query.parse(buffer, 0, buffer.length, 'udp'), 0);
      let rest = lowerName(name);
      for (let i = 0; i < query.labels; i++, rest = parentName(rest)) assert.equal(query.hashes[i], hashName(rest));
      assert.equal(query.name(), lowerName(name));
    }),
  );
});

const good = question('web.default.svc.cluster.local', { edns: 4096 });
const changed = (at: number, ...bytes: number[]): Buffer => {
  const copy = Buffer.from(good);
  copy.set(bytes, at);
  return copy;
};
const optAt = good.length - 11;

test('D18: malformed and unusual questions get the response code they deserve', () => {
  const cluster = new TestCluster(service('web', { clusterIP: '10.96.1.1' }));
  const cases: [what: string, message: Buffer, rcode: string][] = [
    ['well-formed', good, 'NOERROR'],
    [
      'an unknown EDNS option',
      question('web.default.svc.cluster.local', { edns: 512, options: Buffer.from([0, 10, 0, 2, 1, 2]) }),
      'NOERROR',
    ],
    ['no question', changed(4, 0, 0), 'FORMERR'],
    ['two questions', changed(4, 0, 2), 'FORMERR'],
    ['an answer in the question', changed(6, 0, 1), 'FORMERR'],
    ['opcode STATUS', changed(2, 0x10), 'NOTIMP'],
    ['opcode UPDATE', changed(2, 0x28), 'NOTIMP'],
    ['a pointer as name', changed(12, 0xc0, 12), 'FORMERR'],
    ['a label of 64 bytes', changed(12, 64), 'FORMERR'],
    ['bytes behind the end', Buffer.concat([good, Buffer.of(0)]), 'FORMERR'],
    ['cut in the name', good.subarray(0, 20), 'FORMERR'],
    ['cut in OPT', good.subarray(0, good.length - 1), 'FORMERR'],
    ['OPT not at the root', changed(optAt, 0xc0), 'FORMERR'],
    ['an option longer than OPT', question('a', { edns: 512, options: Buffer.from([0, 10, 0, 9, 1]) }), 'FORMERR'],
    ['two OPT', Buffer.concat([changed(11, 2), good.subarray(optAt)]), 'FORMERR'],
    ['EDNS version 1', changed(optAt + 6, 1), 'BADVERS'],
    ['class CH', changed(optAt - 1, 3), 'REFUSED'],
    ['class ANY', changed(optAt - 1, 255), 'REFUSED'],
  ];
  for (const [what, message, rcode] of cases) {
    const { rcode: got, flags, id } = read(cluster.raw(message));
    assert.deepEqual([what, got, id], [what, rcode, 0x1234]);
    assert.ok(flags.includes('QR'), what);
  }
});

test('D18: answers, and what is too short to be answered, are ignored', () => {
  const cluster = new TestCluster();
  for (const message of [changed(2, 0x80), good.subarray(0, 11), Buffer.alloc(0)]) assert.equal(cluster.raw(message).length, 0);
  assert.equal(cluster.metrics.ignored, 3);
});

test('D18: the answer says EDNS to those who do, echoes DO and no options, and keeps to 1232 bytes', () => {
  const endpoints = Array.from({ length: 100 }, (_, i) => ({ ip: `10.244.1.${i + 1}` }));
  const cluster = new TestCluster(service('db', { clusterIP: 'None' }), slice('db', endpoints));
  const name = 'db.default.svc.cluster.local';
  const plain = cluster.ask(name);
  assert.deepEqual([plain.edns, plain.answers.length, plain.flags.includes('TC')], [false, 29, true]);
  assert.ok(plain.bytes <= 512);
  for (const [edns, least] of [
    [100, 28],
    [1000, 58],
    [4096, 73],
  ] as const) {
    const some = cluster.ask(name, 'A', { edns });
    assert.deepEqual([some.edns, some.answers.length, some.flags.includes('TC')], [true, least, true]);
    assert.ok(some.bytes <= Math.min(Math.max(edns, 512), 1232));
  }
  const whole = cluster.ask(name, 'A', { transport: 'tcp' });
  assert.deepEqual([whole.answers.length, whole.flags.includes('TC')], [100, false]);
  const raw = cluster.raw(question(name, { edns: 512, dnssecOk: true, options: Buffer.from([0, 10, 0, 1, 7]) }));
  assert.equal(raw.subarray(-11).toString('hex'), '0000290' + '4d0000080000000');
});

test('SRV answers whose addresses do not fit are not truncated for that', () => {
  const endpoints = Array.from({ length: 7 }, (_, i) => ({ ip: `10.244.1.${i + 1}` }));
  const cluster = new TestCluster(service('db', { clusterIP: 'None' }), slice('db', endpoints));
  const { answers, additional, flags, bytes } = cluster.ask('_http._tcp.db.default.svc.cluster.local', 'SRV');
  assert.equal(answers.length, 7);
  assert.ok(additional.length < 7 && !flags.includes('TC') && bytes <= 512);
});

test('mutated and random packets: no crash, no answer to an answer, every answer well-formed and within its limit', () => {
  const cluster = new TestCluster(service('web', { clusterIP: '10.96.1.1' }));
  const seeds = [
    good,
    question('_http._tcp.web.default.svc.cluster.local', { type: 'SRV' }),
    question('1.1.96.10.in-addr.arpa', { type: 'PTR', edns: 1232 }),
  ];
  const mutation = fc.record({ at: fc.nat(200), byte: fc.nat(255) });
  const mutated = fc
    .record({
      seed: fc.constantFrom(...seeds),
      changes: fc.array(mutation, { maxLength: 6 }),
      cut: fc.nat(120),
      grow: fc.uint8Array({ maxLength: 20 }),
    })
    .map(({ seed, changes, cut, grow }) => {
      const bytes = Buffer.concat([seed.subarray(0, seed.length - (cut < 60 ? 0 : cut - 60)), grow]);
      for (const { at, byte } of changes) if (at < bytes.length) bytes[at] = byte;
      return bytes;
    });
  const random = fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(fc.oneof({ weight: 4, arbitrary: mutated }, random), fc.constantFrom('udp', 'tcp'), (message, transport) => {
      const bytes = cluster.raw(message, transport);
      if (message.length < 12 || message[2]! & 0x80) assert.equal(bytes.length, 0);
      else {
        assert.ok(bytes.length >= 12 && bytes[2]! & 0x80);
        assert.ok(bytes.length <= (transport === 'udp' ? 1232 : 65535));
        assert.equal(read(bytes).id, message.readUInt16BE(0));
      }
    }),
    { numRuns: 5000 },
  );
  assert.equal(cluster.metrics.faults, 0);
});

test('what resolvers send is read or refused as malformed, never anything else', () => {
  const request = encodeQuery({ name: parseName('a.example'), type: 1 });
  const seed = answer(request, {
    answers: [
      { name: 'a.example', type: 'A', data: '192.0.2.1' },
      { name: 'x.example', type: 'CNAME', data: 'y.example' },
    ],
  });
  assert.ok(answersQuestion(parseMessage(seed), request.readUInt16BE(0), { name: parseName('A.example'), type: 1 }));
  for (const wrong of [
    { name: parseName('b.example'), type: 1 },
    { name: parseName('a.example'), type: 28 },
  ])
    assert.ok(!answersQuestion(parseMessage(seed), request.readUInt16BE(0), wrong));
  assert.ok(!answersQuestion(parseMessage(seed), request.readUInt16BE(0) ^ 1, { name: parseName('a.example'), type: 1 }));
  const mutated = fc
    .array(fc.record({ at: fc.nat(seed.length - 1), byte: fc.nat(255) }), { minLength: 1, maxLength: 8 })
    .map((changes) => {
      const bytes = Buffer.from(seed);
      for (const { at, byte } of changes) bytes[at] = byte;
      return bytes;
    });
  fc.assert(
    fc.property(mutated, (bytes) => {
      try {
        parseMessage(bytes);
      } catch (error) {
        assert.ok(error instanceof RangeError, String(error));
      }
    }),
    { numRuns: 3000 },
  );
});
