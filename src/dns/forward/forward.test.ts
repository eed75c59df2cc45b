import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { newMetrics } from '../metrics.ts';
import { answer, question, type RecordText } from '../testkit/message.ts';
import { TestUpstream } from '../testkit/upstream.ts';
import { flag, rcode, rrType } from '../wire/constants.ts';
import { parseMessage } from '../wire/message.ts';
import { parseName } from '../wire/names.ts';
import { exchange } from './exchange.ts';
import { Forwarder } from './forwarder.ts';
import { parseResolvConf, parseUpstream, Upstreams, upstreamText } from './upstreams.ts';

const name = 'www.example.com';
const asked = { name: parseName(name), type: rrType.A };
const address: RecordText = { name, type: 'A', data: '192.0.2.1' };
const positive = (request: Buffer): Buffer => answer(request, { answers: [address] });

function forwarderTo(servers: string[], { now = () => performance.now(), timeoutMs = 1500, own = [] as string[] } = {}) {
  const metrics = newMetrics();
  const upstreams = new Upstreams({ servers }, own, now);
  return { metrics, upstreams, forwarder: new Forwarder({ upstreams, metrics, now, timeoutMs }) };
}

test('an answer over UDP is taken; one that was cut is fetched over TCP', async () => {
  await using upstream = await TestUpstream.listen((request, { transport }) =>
    transport === 'udp' ? answer(request, { flags: flag.TC }) : positive(request),
  );
  const got = await exchange(parseUpstream(upstream.server), asked, { timeoutMs: 5000 });
  assert.equal(got.records.filter(({ section }) => section === 'answer').length, 1);
  assert.deepEqual(
    upstream.asked.map(({ transport }) => transport),
    ['udp', 'tcp'],
  );
});

test('T30: an answer with another id or to another question is not taken', async () => {
  await using upstream = await TestUpstream.listen((request) => {
    const wrong = positive(request);
    wrong.writeUInt16BE(wrong.readUInt16BE(0) ^ 1, 0);
    return wrong;
  });
  await assert.rejects(exchange(parseUpstream(upstream.server), asked, { timeoutMs: 300 }), { reason: 'timeout' });
  upstream.behaviour = () => answer(question('evil.example.com'), { answers: [address] });
  await assert.rejects(exchange(parseUpstream(upstream.server), asked, { timeoutMs: 300 }), { reason: 'timeout' });
  assert.equal(upstream.asked.length, 2);
});

test('a resolver that is not there is known at once by its ICMP error, and the next one is asked', async () => {
  const gone = await TestUpstream.listen(positive);
  const dead = gone.server;
  await gone[Symbol.asyncDispose]();
  await assert.rejects(exchange(parseUpstream(dead), asked, { timeoutMs: 10_000 }), { reason: 'ECONNREFUSED' });
  await using upstream = await TestUpstream.listen(positive);
  const { forwarder, upstreams, metrics } = forwarderTo([dead, upstream.server]);
  assert.ok(await forwarder.resolve(asked));
  assert.equal(metrics.upstreamFailures.ECONNREFUSED, 1);
  assert.deepEqual(upstreams.candidates().map(upstreamText), [upstream.server, dead], 'the dead one comes last for a while');
});

test('a resolver that fails or refuses is left for the next one; when none can, there is no answer', async () => {
  await using broken = await TestUpstream.listen((request) => answer(request, { rcode: rcode.SERVFAIL }));
  await using upstream = await TestUpstream.listen(positive);
  assert.ok(await forwarderTo([broken.server, upstream.server]).forwarder.resolve(asked));
  assert.equal(await forwarderTo([broken.server]).forwarder.resolve(asked), undefined);
});

test('many that ask for one name at once cause one question, and later ones none', async () => {
  await using upstream = await TestUpstream.listen(positive);
  const { forwarder } = forwarderTo([upstream.server]);
  const all = await Promise.all(Array.from({ length: 20 }, () => forwarder.resolve(asked)));
  assert.ok(all.every(Boolean));
  assert.ok(forwarder.cached(asked));
  assert.equal(forwarder.cached({ ...asked, type: rrType.AAAA }), undefined);
  assert.equal(upstream.asked.length, 1);
});

test('closing ends what is being asked: who waits gets no answer, at once', async () => {
  await using silent = await TestUpstream.listen((request, { type }) => (type === 'HINFO' ? positive(request) : undefined));
  const { forwarder } = forwarderTo([silent.server], { timeoutMs: 600_000 });
  const waiting = forwarder.resolve(asked);
  while (silent.asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  forwarder[Symbol.dispose]();
  assert.equal(await waiting, undefined);
  assert.equal(await forwarder.resolve(asked), undefined);
});

test('R9: a resolver that brings the probe back is not asked, nor is one at the own address', async () => {
  const { forwarder, upstreams } = forwarderTo([]);
  await using looping = await TestUpstream.listen((request, { type }) => {
    if (type === 'HINFO') assert.ok(probing.forwarder.probe.sees(parseMessage(request).name));
    return positive(request);
  });
  const probing = forwarderTo([looping.server]);
  assert.equal(await probing.forwarder.resolve(asked), undefined);
  assert.equal(looping.asked.length, 0);
  assert.deepEqual(probing.forwarder.describe(), [{ server: looping.server, looping: true }]);
  assert.equal(forwarder.probe.active, false);
  assert.deepEqual(upstreams.candidates(), []);
  assert.deepEqual(forwarderTo(['10.96.0.10'], { own: ['10.96.0.10:53'] }).upstreams.candidates(), []);
});

test('R8: the nameserver lines of resolv.conf count; it is read again when it changes, and kept when it is gone', () => {
  const lines = '# comment\nsearch example.com\nnameserver 192.0.2.53\n nameserver 192.0.2.54\nnameserver fd00::53 # b\nnameserver nonsense\n';
  assert.deepEqual(parseResolvConf(lines).map(upstreamText), ['192.0.2.53:53', '[fd00::53]:53']);
  const path = `/tmp/podnet-test-dns-${process.pid}-resolv.conf`;
  let clock = 0;
  try {
    writeFileSync(path, 'nameserver 192.0.2.1\n');
    const upstreams = new Upstreams({ resolvConf: path }, [], () => clock);
    const servers = (): string[] => upstreams.all.map(upstreamText);
    assert.deepEqual(servers(), ['192.0.2.1:53']);
    rmSync(path);
    clock += 10_000;
    assert.deepEqual(servers(), ['192.0.2.1:53']);
    assert.match(upstreams.fault ?? '', /cannot read/);
    writeFileSync(path, 'nameserver 192.0.2.2\n');
    clock += 10_000;
    assert.deepEqual(servers(), ['192.0.2.2:53']);
    assert.equal(upstreams.fault, undefined);
  } finally {
    rmSync(path, { force: true });
  }
});

test('resolvers are written as addresses, with a port or without', () => {
  const texts = ['1.2.3.4', '1.2.3.4:5353', 'fd00::1', '[fd00::1]:5353', '[fd00::1]'];
  assert.deepEqual(
    texts.map((text) => upstreamText(parseUpstream(text))),
    ['1.2.3.4:53', '1.2.3.4:5353', '[fd00::1]:53', '[fd00::1]:5353', '[fd00::1]:53'],
  );
  for (const wrong of ['', 'dns.example', '1.2.3.4:0', '1.2.3.4:70000', '1.2.3.4:x', '[fd00::1']) {
    assert.throws(() => parseUpstream(wrong), SyntaxError, wrong);
  }
});
