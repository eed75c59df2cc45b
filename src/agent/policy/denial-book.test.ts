import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DenialBook, denialText } from './denial-book.ts';

const denial = (to: string, packets = 1) => ({
  ...{ from: 'shop/web', to, source: '10.0.0.1', destination: '10.0.0.2', protocol: 'TCP', port: 5432 },
  ...{ why: 'default deny: isolated by NetworkPolicy shop/db, which has no rules', packets },
});

test('the same denial is said at once, then after a minute with all packets since, and is one entry that is counted', () => {
  const book = new DenialBook();
  const first = book.note(denial('shop/db'), 1000);
  assert.equal(
    first?.text,
    'TCP shop/web -> shop/db:5432 denied: default deny: isolated by NetworkPolicy shop/db, which has no rules',
  );
  for (let at = 2000; at < 61_000; at += 1000) assert.equal(book.note(denial('shop/db', 2), at), undefined);
  const again = book.note(denial('shop/db'), 61_000);
  assert.deepEqual([again?.packets, again?.text], [59 * 2 + 1, first?.text]);
  assert.deepEqual(book.list(), [{ ...denial('shop/db'), packets: 1 + 59 * 2 + 1, first: 1000, last: 61_000 }]);
});

test('many different denials are said so many in ten seconds, the others are counted; remembered are the latest', () => {
  const book = new DenialBook({ most: 3, perMs: 10_000, remembered: 5 });
  const said = (from: number, nowMs: number): number =>
    Array.from({ length: 10 }, (_, index) => book.note(denial(`shop/db-${from + index}`), nowMs)).filter(Boolean).length;
  assert.equal(said(0, 0), 3);
  assert.deepEqual([book.takeSilent(), book.takeSilent()], [7, 0]);
  assert.equal(said(10, 9999), 0);
  assert.equal(said(20, 10_000), 3);
  assert.deepEqual(
    book.list().map(({ to }) => to),
    [25, 26, 27, 28, 29].map((number) => `shop/db-${number}`),
  );
  // One that was not said for that is said when it comes again.
  assert.equal(book.note(denial('shop/db-29'), 20_000)?.packets, 2);
});

test('a rule that denies is named at once', () => {
  const why = 'denied by ClusterNetworkPolicy guard, spec.egress[0], any peer, any port';
  assert.equal(denialText({ protocol: 'TCP', from: 'a/b', to: 'c/d', port: 80, why }), `TCP a/b -> c/d:80 ${why}`);
});

test('a denial of ICMP has no port, an IPv6 address stands in brackets', () => {
  assert.equal(denialText({ protocol: 'ICMP', from: 'a/b', to: 'fd00::1', why: 'w' }), 'ICMP a/b -> fd00::1 denied: w');
  assert.equal(
    denialText({ protocol: 'UDP', from: 'a/b', to: 'fd00::1', port: 53, why: 'w' }),
    'UDP a/b -> [fd00::1]:53 denied: w',
  );
});
