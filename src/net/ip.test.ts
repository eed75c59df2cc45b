import assert from 'node:assert/strict';
import { isIPv4, isIPv6 } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { IpAddr } from './ip.ts';

const canonical: readonly (readonly [text: string, printed: string])[] = [
  ['10.0.0.1', '10.0.0.1'],
  ['::', '::'],
  ['0:0:0:0:0:0:0:1', '::1'],
  ['1::', '1::'],
  ['FD00:0:0:1::2', 'fd00:0:0:1::2'],
  ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
  ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
  ['::ffff:1.2.3.4', '::ffff:1.2.3.4'],
  ['::1.2.3.4', '::102:304'],
];

test('addresses are printed canonically (RFC 5952)', () => {
  for (const [text, printed] of canonical) assert.equal(IpAddr.parse(text).toString(), printed);
});

test('SA19, T12: ambiguous or malformed addresses are refused with input, position and reason', () => {
  const refused = [
    '',
    '1.2.3',
    '01.2.3.4',
    '1.2.3.256',
    '1.2.3.4.5',
    ' 1.2.3.4',
    '0x1.2.3.4',
    '1.2.3.4 ',
    '::1%eth0',
    '1::2::3',
    ':1',
    '1:',
    ':::',
  ];
  for (const text of [
    ...refused,
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7::8',
    '12345::',
    '::g',
    '1.2.3.4::',
    '::ffff:01.2.3.4',
    '１.2.3.4',
  ]) {
    assert.throws(
      () => IpAddr.parse(text),
      (error: Error) => error instanceof SyntaxError && error.message.includes(`"${text}"`),
      text,
    );
  }
  assert.throws(() => IpAddr.parse('10.0.0.01'), /leading zeros .* \(at position 7\)/);
});

test('any bytes survive printing and parsing, and any accepted text is one that node accepts too', () => {
  const bytes = fc.oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 }));
  fc.assert(
    fc.property(bytes, (raw) => {
      const address = IpAddr.fromBytes(raw);
      assert.deepEqual(IpAddr.parse(address.toString()).bytes, raw);
      assert.deepEqual(IpAddr.fromBigInt(address.family, address.toBigInt()).bytes, raw);
      assert.ok(address.family === 'ipv4' ? isIPv4(address.toString()) : isIPv6(address.toString()));
    }),
  );
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'0123456789abf:.%') }), (text) => {
      if (IpAddr.tryParse(text)) assert.ok(isIPv4(text) || isIPv6(text), text);
    }),
    { numRuns: 2000 },
  );
});

test('an IPv4-mapped address is an IPv6 address and never equals the IPv4 one', () => {
  const mapped = IpAddr.parse('::ffff:10.0.0.1');
  assert.equal(mapped.family, 'ipv6');
  assert.ok(!mapped.equals(IpAddr.parse('10.0.0.1')));
});

test('addresses are ordered by family, then by value', () => {
  const sorted = ['9.0.0.1', '10.0.0.1', '::1', 'fd00::'].map(IpAddr.parse);
  const shuffled = [sorted[3]!, sorted[1]!, sorted[0]!, sorted[2]!].sort((a, b) => a.compare(b));
  assert.deepEqual(shuffled.map(String), sorted.map(String));
});

test('an offset past the end of the family is refused', () => {
  assert.equal(IpAddr.parse('10.0.0.255').offset(1).toString(), '10.0.1.0');
  assert.throws(() => IpAddr.parse('255.255.255.255').offset(1), RangeError);
});
