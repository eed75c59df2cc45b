import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { IpAddr } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';
import { parseType } from './datatypes.ts';
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

test('a range that is no prefix is not told as one', () => {
  const { first } = rangeOf(types, '10.0.0.1 . tcp . 80 . fd00::1');
  const { last } = rangeOf(types, '10.0.0.2 . tcp . 80 . fd00::1');
  assert.throws(() => rangeText(types, first, last), /10\.0\.0\.1 to 10\.0\.0\.2 is not a prefix/);
});
