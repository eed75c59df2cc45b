import assert from 'node:assert/strict';
import test from 'node:test';
import { Prefix } from '../net/prefix.ts';
import { Pool } from './pool.ts';

const drain = (pool: Pool): string[] => {
  const all: string[] = [];
  for (let address = pool.take(); address; address = pool.take()) all.push(`${address}`);
  return all;
};

test('F21: a cursor that is kept stays ahead of what was given, and changes rarely', () => {
  for (const [text, ahead, most] of [
    ...[['10.0.0.0/30', 0, 200] as const, ['10.0.0.0/28', 0, 200] as const],
    ...[['10.0.0.0/24', 15, 13] as const, ['10.0.0.0/16', 32, 7] as const],
  ]) {
    const pool = new Pool(Prefix.parse(text));
    let kept: number | undefined;
    let times = 0;
    for (let i = 0; i < 200; i++) {
      const address = pool.take()!;
      if (!pool.isAhead(kept, ahead)) {
        kept = pool.milestone(ahead);
        times++;
      }
      const after = new Pool(Prefix.parse(text));
      after.cursor = kept!;
      if (after.capacity > 1) assert.notEqual(`${after.take()}`, `${address}`, 'a restart does not give it at once');
      pool.give(address);
    }
    assert.ok(times <= most, `${times} times for 200 addresses of ${text}`);
  }
});

test('the network, gateway and broadcast addresses are never given', () => {
  assert.deepEqual(drain(new Pool(Prefix.parse('10.244.1.0/29'))), [
    '10.244.1.2',
    '10.244.1.3',
    '10.244.1.4',
    '10.244.1.5',
    '10.244.1.6',
  ]);
  // IPv6 has no broadcast address
  assert.deepEqual(drain(new Pool(Prefix.parse('fd00::/126'))), ['fd00::2', 'fd00::3']);
});

test('a range too small for any pod has capacity 0 and gives nothing', () => {
  for (const range of ['10.244.1.0/32', '10.244.1.0/31', 'fd00::/127', 'fd00::1/128']) {
    const pool = new Pool(Prefix.parse(range));
    assert.equal(pool.capacity, 0, range);
    assert.equal(pool.take(), undefined, range);
  }
});

test('an address that was given back comes last, the one given back first before the others', () => {
  const pool = new Pool(Prefix.parse('10.244.1.0/29'));
  const [a, b] = [pool.take()!, pool.take()!];
  pool.give(b);
  pool.give(a);
  assert.deepEqual(drain(pool), ['10.244.1.4', '10.244.1.5', '10.244.1.6', `${b}`, `${a}`]);
});

test('an IPv6 /64 is used from its beginning and knows when an address is held', () => {
  const pool = new Pool(Prefix.parse('fd00:10:244:1::/64'));
  assert.equal(pool.hold(pool.prefix.at(2)), true);
  assert.equal(pool.hold(pool.prefix.at(2)), false);
  assert.equal(`${pool.take()}`, 'fd00:10:244:1::3');
  assert.equal(pool.used, 2);
});

test('an address that is never given is neither free nor counted as used, whoever has it', () => {
  const pool = new Pool(Prefix.parse('10.244.1.0/29'));
  for (const last of [0, 1, 7]) {
    assert.equal(pool.isFree(pool.prefix.at(last)), false);
    pool.hold(pool.prefix.at(last));
  }
  assert.equal(pool.used, 0);
  assert.equal(pool.isFree(pool.prefix.at(6)), true);
  assert.equal(drain(pool).length, 5);
});
