import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IpAddr } from './ip.ts';
import { Prefix } from './prefix.ts';
import { IpRange } from './range.ts';

test('a range is two addresses, a CIDR or one address', () => {
  for (const [text, shown, size] of [
    ['10.0.0.5-10.0.0.9', '10.0.0.5-10.0.0.9', 5n],
    ['10.0.0.0/30', '10.0.0.0-10.0.0.3', 4n],
    ['fd00::1:0/112', 'fd00::1:0-fd00::1:ffff', 65536n],
    ['10.0.0.7', '10.0.0.7', 1n],
  ] as const) {
    const range = IpRange.parse(text);
    assert.deepEqual([range.toString(), range.size], [shown, size]);
  }
});

test('what is no range is refused with the reason', () => {
  for (const [text, reason] of [
    ['10.0.0.9-10.0.0.5', /its end comes before its start/],
    ['10.0.0.9-fd00::1', /two families/],
    ['10.0.0.1/24', /host bits are set/],
    ['1-2-3', /expected FIRST-LAST/],
  ] as const)
    assert.throws(() => IpRange.parse(text), reason);
});

test('what a range contains and overlaps', () => {
  const range = IpRange.parse('10.0.0.5-10.0.1.9');
  for (const [text, inside] of [
    ['10.0.0.4', false],
    ['10.0.0.5', true],
    ['10.0.1.9', true],
    ['10.0.1.10', false],
    ['fd00::5', false],
  ] as const)
    assert.equal(range.contains(IpAddr.parse(text)), inside, text);
  assert.ok(range.overlaps(Prefix.parse('10.0.1.0/28')) && range.overlaps(Prefix.parse('10.0.0.0/8')));
  assert.ok(!range.overlaps(Prefix.parse('10.0.2.0/24')) && !range.overlaps(IpRange.parse('fd00::1')));
});
