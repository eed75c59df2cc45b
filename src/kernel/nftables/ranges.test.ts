import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { IpAddr } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';
import { intervalOf, intervalText, parseType } from './datatypes.ts';
import { rangeOf, rangeText } from './ranges.ts';

const types = parseType('ipv4_addr . inet_proto . inet_service . ipv6_addr');

test('a concatenation with prefixes is its first and its last value, and comes back as the same text', () => {
  const prefix = (family: 'ipv4' | 'ipv6') => {
    const bits = family === 'ipv4' ? 32 : 128;
    return fc.tuple(fc.bigInt({ min: 0n, max: (1n << BigInt(bits)) - 1n }), fc.nat(bits)).map(([address, length]) => {
      const made = Prefix.of(IpAddr.fromBigInt(family, address), length);
      return made.length === bits ? `${made.address}` : `${made}`;
    });
  };
  fc.assert(
    fc.property(prefix('ipv4'), fc.constantFrom('tcp', 'udp', 'sctp'), fc.nat(65_535), prefix('ipv6'), (four, protocol, port, six) => {
      const text = `${four} . ${protocol} . ${port} . ${six}`;
      const { first, last } = rangeOf(types, text);
      assert.equal(rangeText(types, first, last), text);
    }),
  );
});

test('a range that is no prefix is told by its ends', () => {
  const { first } = rangeOf(types, '10.0.0.1 . tcp . 80 . fd00::1');
  const { last } = rangeOf(types, '10.0.0.2 . tcp . 90 . fd00::1');
  const text = '10.0.0.1-10.0.0.2 . tcp . 80-90 . fd00::1';
  assert.equal(rangeText(types, first, last), text);
  assert.deepEqual(rangeOf(types, text), { first, last });
  assert.throws(() => rangeOf(types, '10.0.0.1 . tcp . 90-80 . fd00::1'), /its end comes before its start/);
});

test('intervals of addresses are a prefix where they are one, else their ends, up to the end of the family', () => {
  for (const text of ['10.0.0.0/8', '10.0.0.1', '10.0.0.1-10.0.0.9', '0.0.0.0/0', '255.0.0.1-255.255.255.255']) {
    const { start, end } = intervalOf(parseType('ipv4_addr'), text);
    assert.equal(intervalText(start, end), text);
  }
  for (const text of ['fd00::/64', '::/0', '::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff']) {
    const { start, end } = intervalOf(parseType('ipv6_addr'), text);
    assert.equal(intervalText(start, end), text);
  }
});

test('class ids in sets with ranges are in network order, as nft writes them, and come back as the same text', () => {
  const key = parseType('classid . inet_proto . inet_service');
  const text = '1:8 . tcp . 80-90';
  const { first, last } = rangeOf(key, text);
  assert.deepEqual([first.readUInt32BE(0), last.readUInt32BE(0)], [0x10008, 0x10008]);
  assert.equal(rangeText(key, first, last), text);
});
