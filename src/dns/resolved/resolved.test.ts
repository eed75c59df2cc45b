import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, failure } from '../forward/answer.ts';
import { TestForwarder } from '../testkit/forwarder.ts';
import { answer, type RecordText } from '../testkit/message.ts';
import { TestUpstream } from '../testkit/upstream.ts';
import { rrType } from '../wire/constants.ts';
import { parseName } from '../wire/names.ts';
import { DomainPatterns } from './patterns.ts';
import { type ResolvedLine, ResolvedNames, type ResolvedOptions } from './resolved-names.ts';

test('CNP11: a pattern is one name, or with *. all below it, of one label more and of several', () => {
  const patterns = new DomainPatterns(['api.example.com', '*.Example.org.', '*.a.b']);
  for (const name of ['api.example.com', 'www.example.org', 'a.b.c.example.org', 'x.a.b']) assert.ok(patterns.has(name), name);
  for (const name of ['example.com', 'x.api.example.com', 'example.org', 'badexample.org', 'a.b', 'b', 'com']) assert.ok(!patterns.has(name), name);
  assert.ok(new DomainPatterns([]).isEmpty);
});

/** A forwarder whose answers are told, and a clock for the times that are told. */
async function observed(says: (name: string, type: string) => RecordText[], options: ResolvedOptions = {}) {
  const upstream = await TestUpstream.listen((request, { name, type }) => {
    const answers = says(name.slice(0, -1), type);
    return answer(request, answers.length > 0 ? { answers } : { flags: 0x8183 });
  });
  const forwarder = new TestForwarder({ servers: [upstream.server] });
  const names = new ResolvedNames({ now: () => 1_000_000 + forwarder.clock.aheadMs, ...options });
  forwarder.observe = (one, ttl) => names.observe(one, ttl);
  const lines: ResolvedLine[] = [];
  const read = (patterns: string[], id = 'me') => names.read({ id, patterns, take: (line) => lines.push(line) }, forwarder.known());
  const ask = (name: string, type: number = rrType.A) => forwarder.ask({ name: parseName(name), type });
  let ended: Promise<void> | undefined;
  const endUpstream = () => (ended ??= upstream[Symbol.asyncDispose]());
  return {
    ...{ forwarder, names, lines, read, ask, endUpstream },
    async [Symbol.asyncDispose]() {
      forwarder[Symbol.dispose]();
      await endUpstream();
    },
  };
}

const a = (name: string, data: string, ttl = 300): RecordText => ({ name, type: 'A', ttl, data });

test('CNP11: who wants a name hears of its addresses before the asker does, who waits for that no longer than a tenth of a second', async () => {
  await using it = await observed((name) => [a(name, '192.0.2.1')], { holdMs: 10_000 });
  using _ = it.read(['api.example.com']);
  let given = false;
  const asked = it.ask('api.example.com').then(() => (given = true));
  while (it.lines.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(it.lines, [{ seq: 1, name: 'api.example.com', addresses: ['192.0.2.1'], expires: 1_000_000 + 330_000 }]);
  assert.equal(given, false, 'it is not in force yet');
  assert.equal(it.forwarder.cached({ name: parseName('api.example.com'), type: rrType.A }), undefined, 'nor to be had from the cache');
  it.names.seen('me', 1);
  await asked;
  await it.ask('other.example.com');
  assert.equal(it.lines.length, 1, 'others are of no concern, and do not wait');

  await using late = await observed((name) => [a(name, '192.0.2.1')], { holdMs: 20 });
  using __ = late.read(['api.example.com']);
  await late.ask('api.example.com');
  assert.equal(late.lines.length, 1, 'nobody has said that it is in force: it was given all the same');
});

test('CNP11: the asked name and the aliases on the way count, in both families; names without addresses, and those of the cluster, do not', async () => {
  const alias = (name: string, data: string): RecordText => ({ name, type: 'CNAME', ttl: 60, data });
  const says = (name: string, type: string): RecordText[] => {
    if (name === 'none.example.com') return [];
    const chain = [alias(name, 'cdn.example.net'), alias('cdn.example.net', 'edge.example.org')];
    return [...chain, type === 'A' ? a('edge.example.org', '192.0.2.7', 60) : { name: 'edge.example.org', type: 'AAAA', ttl: 60, data: '2001:db8::7' }];
  };
  await using it = await observed(says, { holdMs: 1 });
  using _ = it.read(['www.example.com', '*.example.net', '*.example.com']);
  await it.ask('www.example.com');
  await it.ask('www.example.com', rrType.AAAA);
  await it.ask('none.example.com');
  const told = it.lines.map(({ name, addresses }) => `${name} ${addresses}`);
  assert.deepEqual(told, ['www.example.com 192.0.2.7', 'cdn.example.net 192.0.2.7', 'www.example.com 2001:db8::7', 'cdn.example.net 2001:db8::7']);
  const inside: Answer = { ...failure({ name: parseName('x.example.com'), type: rrType.A }, 5), rcode: 0, negative: false, own: { name: parseName('web.default.svc.cluster.local'), at: 12 } };
  assert.equal(it.names.observe(inside, 5), undefined);
  assert.equal(it.lines.length, 4);
});

test('CNP11: who comes later is told what the cache may give; short TTLs count as thirty seconds; the same is told again only when it holds longer; stale answers are told as they are given', async () => {
  await using it = await observed((name) => [a(name, '192.0.2.1', name.startsWith('short') ? 1 : 100)], { holdMs: 1 });
  await it.ask('a.example.com');
  await it.ask('short.example.com');
  it.forwarder.clock.aheadMs = 500;
  {
    using _ = it.read(['*.example.com']);
    assert.deepEqual(it.lines.map(({ name, expires }) => `${name} ${(expires - 1_000_500) / 1000}`).sort(), ['a.example.com 130', 'short.example.com 60']);
    it.forwarder.clock.aheadMs = 2000;
    await it.ask('short.example.com');
    assert.equal(it.lines.length, 2, 'hardly longer');
    it.forwarder.clock.aheadMs = 20_000;
    await it.ask('short.example.com');
    assert.equal(it.lines.length, 3);
    await it.endUpstream();
    it.forwarder.clock.aheadMs = 300_000;
    assert.equal(await it.forwarder.said({ name: parseName('a.example.com'), type: rrType.A }), '0 1 stale');
    assert.deepEqual(it.lines.at(-1), { seq: 4, name: 'a.example.com', addresses: ['192.0.2.1'], expires: 1_300_000 + 60_000 });
  }
  assert.equal(it.names.observe({ ...failure({ name: parseName('b.example.com'), type: rrType.A }, 5) }, 5), undefined, 'nobody reads any more');
});
