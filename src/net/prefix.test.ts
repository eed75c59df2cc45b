import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IpAddr } from './ip.ts';
import { Mac } from './mac.ts';
import { Prefix } from './prefix.ts';

test('SA19: a CIDR with host bits is refused and told its network', () => {
  assert.throws(() => Prefix.parse('10.0.0.1/24'), /host bits are set; the network is 10\.0\.0\.0\/24/);
  assert.throws(() => Prefix.parse('10.0.0.0/33'), /0 to 32, found "33" \(at position 9\)/);
  assert.throws(() => Prefix.parse('10.0.0.0/08'), SyntaxError);
  assert.throws(() => Prefix.parse('10.0.0.0'), /expected ADDRESS\/LENGTH/);
});

test('a prefix contains what lies in it and nothing of the other family', () => {
  const pods = Prefix.parse('10.244.0.0/16');
  assert.ok(pods.contains(IpAddr.parse('10.244.255.255')));
  assert.ok(!pods.contains(IpAddr.parse('10.245.0.0')));
  assert.ok(!Prefix.all('ipv4').contains(IpAddr.parse('::1')));
  assert.ok(pods.contains(Prefix.parse('10.244.3.0/24')));
  assert.ok(!Prefix.parse('10.244.3.0/24').contains(pods));
  assert.ok(Prefix.parse('10.244.3.0/24').overlaps(pods));
  assert.ok(!Prefix.parse('10.96.0.0/16').overlaps(pods));
});

test('a prefix of any length contains what has its first bits, and nothing of the other family', () => {
  const texts = ['0.0.0.0', '127.255.255.255', '128.0.0.0', '192.0.2.129', '255.255.255.255', '::', '::ffff:192.0.2.129', '8000::', 'fd00:10:244::7', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'];
  const addresses = texts.map(IpAddr.parse);
  for (const one of addresses)
    for (let length = 0; length <= (one.family === 'ipv4' ? 32 : 128); length++) {
      const prefix = Prefix.of(one, length);
      const end = prefix.address.toBigInt() + prefix.size;
      const [before, after] = [prefix.address.toBigInt() - 1n, end];
      const edges = [prefix.address, prefix.last, ...[before, after].filter((at) => at >= 0n && at < Prefix.all(one.family).size).map((at) => IpAddr.fromBigInt(one.family, at))];
      for (const address of [...addresses, ...edges]) {
        const value = address.toBigInt();
        const isInside = address.family === one.family && prefix.address.toBigInt() <= value && value < end;
        assert.equal(prefix.contains(address), isInside, `${address} in ${prefix}`);
      }
    }
});

test('addresses of a prefix are counted from its network address', () => {
  const block = Prefix.parse('fd00:10:244::/64');
  assert.equal(block.at(1).toString(), 'fd00:10:244::1');
  assert.equal(block.last.toString(), 'fd00:10:244:0:ffff:ffff:ffff:ffff');
  assert.equal(Prefix.parse('10.0.0.0/30').size, 4n);
  assert.throws(() => Prefix.parse('10.0.0.0/30').at(4), /has 4 addresses; there is no number 4/);
  assert.equal(Prefix.of(IpAddr.parse('10.1.2.3'), 8).toString(), '10.0.0.0/8');
  assert.equal(Prefix.all('ipv6').toString(), '::/0');
});

test('a MAC address is six hex pairs', () => {
  assert.equal(Mac.parse('EE:ee:0a:00:01:ff').toString(), 'ee:ee:0a:00:01:ff');
  assert.throws(() => Mac.parse('ee:ee:ee:ee:ee'), /six hex pairs/);
  assert.throws(() => Mac.fromBytes(new Uint8Array(8)), RangeError);
});
