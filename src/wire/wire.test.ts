import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { IpAddr } from '../net/ip.ts';
import { Mac } from '../net/mac.ts';
import { ipAddr, ipv4Addr, ipv6Addr, mac } from './addresses.ts';
import { attrs, flag, list, nested } from './attributes.ts';
import type { AnyCodec, Infer, InferInput } from './codec.ts';
import { message } from './message.ts';
import { Reader } from './reader.ts';
import { be16, be32, be64, bool8, bytes, cstring, fixedBytes, fixedString, pad, s32, u8, u16, u32, u64 } from './scalars.ts';
import { struct } from './struct.ts';
import { Writer } from './writer.ts';

const header = struct({
  family: u8,
  length: u8,
  _pad: pad(2),
  index: s32,
  cookie: u64,
  name: fixedString(8),
  port: be16,
  key: fixedBytes(2),
});
const innerTable = attrs({ on: [1, flag], text: [2, cstring], raw: [3, bytes] });
const table = attrs({
  address: [1, ipAddr],
  lladdr: [2, mac],
  metric: [4, u32],
  order: [5, be32],
  big: [6, be64],
  half: [7, u16],
  yes: [8, bool8],
  inner: [9, nested(innerTable)],
  elements: [10, list(1, nested(innerTable))],
});
const whole = message(24, header, table);
type Whole = Infer<typeof whole.body>;

const ip4 = fc.uint8Array({ minLength: 4, maxLength: 4 }).map((b) => IpAddr.fromBytes(b));
const ip6 = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((b) => IpAddr.fromBytes(b));
const u32s = fc.integer({ min: 0, max: 0xffffffff });
const u16s = fc.integer({ min: 0, max: 0xffff });
const u64s = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const plain = fc.string({ unit: 'grapheme' }).filter((s) => !s.includes('\0'));
const buffers = (options?: fc.IntArrayConstraints): fc.Arbitrary<Buffer> => fc.uint8Array(options).map((b) => Buffer.from(b));
const optional = <T extends Record<string, fc.Arbitrary<unknown>>>(model: T) => fc.record(model, { requiredKeys: [] });
const inners = optional({ on: fc.constant(true as const), text: plain, raw: buffers() });
const unknown = fc.array(fc.record({ type: fc.integer({ min: 100, max: 0x3fff }), bytes: buffers() }), {
  minLength: 1,
  maxLength: 3,
});
const bodies = fc
  .tuple(
    fc.record({
      family: fc.integer({ min: 0, max: 255 }),
      length: fc.integer({ min: 0, max: 255 }),
      _pad: fc.constant(undefined),
      index: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
      cookie: u64s,
      name: fc.stringMatching(/^[a-z]{0,7}$/),
      port: u16s,
      key: buffers({ minLength: 2, maxLength: 2 }),
    }),
    optional({
      address: fc.oneof(ip4, ip6),
      lladdr: buffers({ minLength: 6, maxLength: 6 }).map((b) => Mac.fromBytes(b)),
      metric: u32s,
      order: u32s,
      big: u64s,
      half: u16s,
      yes: fc.boolean(),
      inner: inners,
      elements: fc.array(inners, { maxLength: 4 }),
      unknown,
    }),
  )
  .map(([a, b]) => ({ ...a, ...b }));

const encode = <C extends AnyCodec>(codec: C, value: InferInput<C>): Buffer => {
  const writer = new Writer(1);
  codec.encode(writer, value);
  return Buffer.from(writer.written);
};

/** IpAddr and Mac keep their bytes private: compare what they print. */
const printed = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (_key, v) => (typeof v === 'bigint' ? `${v}n` : (v as unknown))));

test('what is encoded is decoded again, unknown attributes included', () => {
  fc.assert(
    fc.property(bodies, (body) => {
      const back: Whole = whole.body.decode(new Reader(encode(whole.body, body)));
      assert.deepEqual(printed(back), printed(body));
    }),
  );
});

test('a message cut anywhere throws a RangeError or yields a part, and never reads beyond its end', () => {
  fc.assert(
    fc.property(bodies, fc.nat(), (body, cut) => {
      const all = encode(whole.body, body);
      const end = cut % all.length;
      // Were the end ignored, the bytes behind it would be decoded.
      const reader = new Reader(Buffer.concat([all.subarray(0, end), Buffer.alloc(64, 0xff)]), 0, end);
      try {
        whole.body.decode(reader);
        assert.ok(end >= 28);
        assert.ok(reader.position <= end);
      } catch (error) {
        assert.ok(error instanceof RangeError, String(error));
      }
    }),
  );
});

test('decoders of random bytes throw RangeErrors only', () => {
  const codecs: AnyCodec[] = [
    whole.body,
    header,
    table,
    innerTable,
    ipAddr,
    ipv4Addr,
    ipv6Addr,
    mac,
    u64,
    be64,
    fixedString(5),
    list(1, u32),
  ];
  fc.assert(
    fc.property(fc.constantFrom(...codecs), buffers({ maxLength: 200 }), (codec, data) => {
      try {
        codec.decode(new Reader(data));
      } catch (error) {
        assert.ok(error instanceof RangeError, String(error));
      }
    }),
    { numRuns: 1000 },
  );
});

test('bytes stand as the kernel wants them: lengths without padding, contents aligned to four, nests marked', () => {
  const writer = new Writer(4);
  writer.attribute(3, (w) => w.cstring('lo')).nested(18, (w) => w.attribute(1, (i) => i.be16(0x1234)));
  assert.equal(writer.written.toString('hex'), '070003006c6f0000' + '0c001280' + '0600010012340000');
  assert.equal(encode(table, { metric: 1, order: 1 }).toString('hex'), '0800040001000000' + '0800050000000001');
  assert.equal(encode(table, { elements: [{ on: true }] }).toString('hex'), '0c000a80' + '08000180' + '04000100');
});

test('an attribute of more than 65535 bytes is refused and leaves the message as it was', () => {
  const writer = new Writer().u32(7);
  assert.throws(() => writer.attribute(1, (w) => w.zeros(0xffff)), RangeError);
  assert.equal(writer.length, 4);
  writer.attribute(1, (w) => w.zeros(0xfffb));
  assert.equal(writer.length, 4 + 0x10000);
});

test('values that do not fit their field are refused', () => {
  assert.throws(() => encode(u8, 256), RangeError);
  assert.throws(() => encode(u16, 65536), RangeError);
  assert.throws(() => encode(u32, -1), RangeError);
  assert.throws(() => encode(fixedString(4), 'four'), RangeError);
  assert.throws(() => encode(fixedBytes(4), Buffer.alloc(3)), RangeError);
  assert.throws(() => encode(ipv4Addr, IpAddr.parse('::1')), RangeError);
  assert.throws(() => encode(ipv6Addr, IpAddr.parse('10.0.0.1')), RangeError);
});

test('a header field and an attribute may not share a name', () => {
  assert.throws(() => message(1, struct({ metric: u8 }), table), /metric/);
});
