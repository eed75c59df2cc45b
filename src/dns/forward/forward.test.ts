import assert from 'node:assert/strict';
import { test } from 'node:test';
import { address, asked, name, positive, soa, TestForwarder, until } from '../testkit/forwarder.ts';
import { answer } from '../testkit/message.ts';
import { TestUpstream } from '../testkit/upstream.ts';
import { ClientAddress } from '../wire/client.ts';
import { rcode, rrType } from '../wire/constants.ts';
import { parseMessage } from '../wire/message.ts';
import { parseName } from '../wire/names.ts';

const soon = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const isProbe = ({ type }: { type: string }): boolean => type === 'HINFO' || type === 'NS';

test('a resolver that is not there is known at once by its ICMP error, and the next one is asked; soon the dead one is asked last', async () => {
  const gone = await TestUpstream.listen(positive);
  const dead = gone.server;
  await gone[Symbol.asyncDispose]();
  await using upstream = await TestUpstream.listen(positive);
  using forwarder = new TestForwarder({ servers: [dead, upstream.server], maxFails: 1 });
  assert.equal(await forwarder.said(), '0 1');
  assert.equal(forwarder.metrics.upstreamFailures.ECONNREFUSED, 1);
  assert.deepEqual(
    forwarder.describe().map(({ server, state }) => [server, state]),
    [
      [dead, 'down'],
      [upstream.server, 'up'],
    ],
  );
  await forwarder.said({ ...asked, name: parseName('b.example') });
  assert.equal(forwarder.metrics.upstreamFailures.ECONNREFUSED, 1, 'the dead one is spared');
});

test('a resolver that fails or refuses is left for the next one; when none can, the failure is remembered for a moment (RFC 9520)', async () => {
  await using broken = await TestUpstream.listen((request) => answer(request, { rcode: rcode.SERVFAIL }));
  await using lame = await TestUpstream.listen((request) =>
    answer(request, { authority: [{ name: 'com', type: 'NS', data: 'a.gtld.example' }] }),
  );
  await using upstream = await TestUpstream.listen(positive);
  using three = new TestForwarder({ servers: [broken.server, lame.server, upstream.server] });
  assert.equal(await three.said(), '0 1');
  assert.deepEqual(three.metrics.upstreamFailures, { 'rcode SERVFAIL': 1, lame: 1 });
  assert.deepEqual(
    three.describe().map(({ state }) => state),
    ['up', 'up', 'up'],
    'they live',
  );
  broken.take();
  using one = new TestForwarder({ servers: [broken.server] });
  assert.equal(await one.said(), '2 0');
  assert.equal(one.cached(asked)?.message.rcode, rcode.SERVFAIL);
  assert.equal(broken.asked.length, 1);
  one.clock.aheadMs = 5001;
  assert.equal(one.cached(asked), undefined);
});

test('many that ask for one name at once cause one question, and later ones none', async () => {
  await using upstream = await TestUpstream.listen(positive);
  using forwarder = new TestForwarder({ servers: [upstream.server] });
  const all = await Promise.all(Array.from({ length: 20 }, () => forwarder.resolve(asked)));
  assert.ok(all.every(Boolean));
  assert.ok(forwarder.cached(asked));
  assert.equal(forwarder.cached({ ...asked, type: rrType.AAAA }), undefined);
  assert.equal(upstream.asked.length, 1);
  assert.equal(forwarder.counters.joined, 19);
});

test('closing ends what is being asked: who waits gets no answer, at once', async () => {
  await using silent = await TestUpstream.listen((request, about) => (isProbe(about) ? positive(request, about) : undefined));
  using forwarder = new TestForwarder({ servers: [silent.server], timeoutMs: 60_000, deadlineMs: 60_000 });
  const waiting = forwarder.ask(asked);
  await until(() => silent.asked.length > 0);
  forwarder[Symbol.dispose]();
  assert.equal(await waiting, undefined);
  assert.equal(await forwarder.resolve(asked), undefined);
});

test('R9: a resolver that brings the probe back is not asked, nor is one at the own address', async () => {
  await using looping = await TestUpstream.listen((request, about) => {
    if (about.type === 'HINFO') assert.ok(probing.probe.sees(parseMessage(request).name));
    return positive(request, about);
  });
  using probing = new TestForwarder({ servers: [looping.server] });
  assert.equal(await probing.said(), '2 0');
  assert.equal(looping.asked.length, 0);
  assert.deepEqual(
    probing.describe().map(({ server, looping: loops }) => [server, loops]),
    [[looping.server, true]],
  );
  await using other = await TestUpstream.listen(positive);
  using own = new TestForwarder({ servers: [other.server] }, { own: [other.server] });
  assert.equal(own.probe.active, false);
  assert.equal(await own.said(), '2 0');
  assert.equal(other.asked.length, 0);
});

test('RFC 8767: past its end an answer is given with TTL 30 when the resolvers fail; at once while they are known to be down', async () => {
  let silent = false;
  await using upstream = await TestUpstream.listen((request, about) =>
    silent ? (isProbe(about) ? undefined : answer(request, { rcode: rcode.SERVFAIL })) : positive(request, about),
  );
  using forwarder = new TestForwarder({ servers: [upstream.server], cache: { staleSeconds: 3600 } });
  await forwarder.said();
  forwarder.clock.aheadMs += 61_000;
  assert.equal(forwarder.cached(asked), undefined, 'it is asked for first');
  silent = true;
  assert.equal(await forwarder.said(), '0 1 stale');
  const stale = forwarder.cached(asked);
  assert.deepEqual(
    stale?.message.records.map(({ ttl }) => ttl),
    [30],
  );
  upstream.take();
  for (let i = 0; i < 10; i++) assert.ok(forwarder.cached(asked));
  assert.deepEqual(upstream.take(), [], 'and not asked for again for half a minute');
  silent = false;
  forwarder.clock.aheadMs += 31_000;
  assert.equal(await forwarder.said(), '0 1');
  silent = true;
  forwarder.clock.aheadMs += 60_000 + 3_600_000;
  assert.equal(await forwarder.said(), '2 0', 'not beyond its limit');
});

test('RFC 8767: who has waited 1.8 seconds gets the stale answer, and the fresh one is kept when it comes', async () => {
  let answerIt: (() => void) | undefined;
  let slow = false;
  await using upstream = await TestUpstream.listen(async (request, about) => {
    if (slow && !isProbe(about)) await new Promise<void>((resolve) => (answerIt = resolve));
    return positive(request, about);
  });
  using forwarder = new TestForwarder({ servers: [upstream.server], timeoutMs: 30_000, deadlineMs: 30_000 });
  await forwarder.said();
  // Its tries are longer than the client waits.
  forwarder.clock.aheadMs += 61_000;
  slow = true;
  const began = performance.now();
  assert.equal(await forwarder.said(), '0 1 stale');
  const ms = performance.now() - began;
  assert.ok(ms >= 1750, `${ms} ms`);
  answerIt!();
  slow = false;
  await until(() => forwarder.cached(asked)?.message.records[0]?.ttl === 60);
});

test('an answer that is asked for often is fetched anew in the last tenth of its time, once', async () => {
  await using upstream = await TestUpstream.listen(positive);
  using forwarder = new TestForwarder({ servers: [upstream.server] });
  await forwarder.said();
  upstream.take();
  for (let i = 0; i < 20; i++) forwarder.cached(asked);
  forwarder.clock.aheadMs += 53_000;
  forwarder.cached(asked);
  assert.deepEqual(upstream.asked, []);
  forwarder.clock.aheadMs += 3000;
  for (let i = 0; i < 20; i++) assert.ok(forwarder.cached(asked), 'never a gap');
  await until(() => upstream.asked.length > 0 && forwarder.cached(asked)!.age < 10);
  assert.equal(upstream.asked.length, 1);
  assert.equal(forwarder.counters.prefetches, 1);
  await forwarder.said({ ...asked, name: parseName('rare.example') });
  upstream.take();
  forwarder.clock.aheadMs += 56_000;
  forwarder.cached({ ...asked, name: parseName('rare.example') });
  await soon(20);
  assert.deepEqual(upstream.take(), [], 'what is asked for once is not');
});

test('RFC 2308: absences are kept by type and by name, for as long as SOA says; without SOA not at all', async () => {
  await using upstream = await TestUpstream.listen((request, about) =>
    about.name === 'nosoa.example.'
      ? answer(request, { rcode: rcode.NXDOMAIN })
      : answer(request, { rcode: about.type === 'A' ? rcode.NOERROR : rcode.NXDOMAIN, authority: [soa] }),
  );
  using forwarder = new TestForwarder({ servers: [upstream.server] });
  for (const type of [rrType.A, rrType.AAAA]) {
    await forwarder.ask({ ...asked, type });
    assert.ok(forwarder.cached({ ...asked, type }));
  }
  forwarder.clock.aheadMs += 11_000;
  assert.equal(forwarder.cached(asked), undefined);
  const nosoa = { ...asked, name: parseName('nosoa.example') };
  assert.equal(await forwarder.said(nosoa), '3 0');
  assert.equal(forwarder.cached(nosoa), undefined);
});

test('T31: a source that floods is refused alone; the last quarter of all that may wait is for those who have few', () => {
  using forwarder = new TestForwarder({ servers: ['127.0.0.1:1'], mostUnderWay: 100, mostPerSource: 30 });
  const from = (text: string): ClientAddress => {
    const client = new ClientAddress();
    client.setText(text);
    return client;
  };
  const flood = from('10.244.1.66');
  let admitted = 0;
  for (let i = 0; i < 1000; i++) if (forwarder.admit(flood)) admitted++;
  assert.equal(admitted, 30);
  assert.equal(forwarder.counters.rejectedSource, 970);
  for (let i = 0; i < 45; i++) assert.ok(forwarder.admit(from(`10.244.2.${i}`)));
  const many = from('10.244.3.1');
  for (let i = 0; i < 4; i++) assert.ok(forwarder.admit(many));
  assert.ok(!forwarder.admit(many), 'three quarters are taken');
  assert.ok(forwarder.admit(from('fd00:10:244::9')), 'a newcomer is still let in');
  forwarder.release(flood);
  assert.ok(!forwarder.admit(flood));
  for (let i = 0; i < 29; i++) forwarder.release(flood);
  assert.ok(forwarder.admit(many));
});

test('T31: a source whose questions are answered fast is refused alone, too, beyond so many in a second', () => {
  using forwarder = new TestForwarder({ servers: ['127.0.0.1:1'], perSourcePerSecond: 100 });
  const from = (text: string): ClientAddress => {
    const client = new ClientAddress();
    client.setText(text);
    return client;
  };
  let admitted = 0;
  for (let i = 0; i < 1000; i++) {
    if (!forwarder.admit(from('10.244.1.66'))) continue;
    forwarder.release(from('10.244.1.66'));
    admitted++;
  }
  assert.ok(admitted >= 100 && admitted < 150, `${admitted}`);
  assert.ok(forwarder.admit(from('10.244.1.67')));
  forwarder.clock.aheadMs += 1000;
  assert.ok(forwarder.admit(from('10.244.1.66')));
});

test('T32: of random names below one domain, as many are under way as may be; memory stays bounded', async () => {
  await using silent = await TestUpstream.listen((request, about) => (isProbe(about) ? positive(request, about) : undefined));
  using forwarder = new TestForwarder({
    servers: [silent.server],
    mostUnderWay: 50,
    cache: { bytes: 50_000 },
    timeoutMs: 60,
    deadlineMs: 100,
  });
  const all = await Promise.all(
    Array.from({ length: 3000 }, (_, i) => forwarder.ask({ ...asked, name: parseName(`x${i}.${name}`) })),
  );
  assert.equal(all.filter(Boolean).length, 50);
  assert.equal(forwarder.counters.rejectedTotal, 2950);
  assert.ok(forwarder.cache.bytes <= 50_000);
  assert.deepEqual([forwarder.describeCache().underWay, address.name], [0, name]);
});

test('all tries together keep to their budget: the next resolver after one try, more time with each round, then it is over', async () => {
  await using first = await TestUpstream.listen((request, about) => (isProbe(about) ? positive(request, about) : undefined));
  await using second = await TestUpstream.listen((request, about) => (isProbe(about) ? positive(request, about) : undefined));
  using forwarder = new TestForwarder({ servers: [first.server, second.server], timeoutMs: 100, deadlineMs: 700 });
  let tries = [0, 0];
  // Fewer where this process is not given the processor for long.
  for (let asking = 0; asking < 5 && tries.some((count) => count < 2); asking++) {
    const began = performance.now();
    assert.equal(await forwarder.said(), '2 0');
    const ms = performance.now() - began;
    assert.ok(ms >= 390 && ms < 10_000, `${ms} ms`);
    tries = [first.take().length, second.take().length];
  }
  assert.ok(tries[0]! >= 2 && tries[0]! <= 4 && tries[1]! >= 2 && tries[1]! <= 4, `${tries} tries`);
});

test('T32: outside names may not have denied addresses (rebinding); those of a domain of its own may', async () => {
  await using upstream = await TestUpstream.listen((request, about) =>
    isProbe(about)
      ? positive(request, about)
      : answer(request, {
          answers: [
            { name: about.name, type: 'A', data: '10.0.0.7' },
            { name: about.name, type: 'A', data: '192.0.2.1' },
          ],
        }),
  );
  using forwarder = new TestForwarder({
    ...{ servers: [upstream.server], denyAddresses: ['10.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16'] },
    domains: { 'corp.example': { servers: [upstream.server] } },
  });
  assert.equal(await forwarder.said(), '0 1');
  assert.equal(await forwarder.said({ ...asked, name: parseName('intranet.corp.example') }), '0 2');
});

test('T32: a fault while an answer is fetched anew, with nobody waiting, ends nothing; a fetch that failed is not tried again at once', async () => {
  let faulty = false;
  await using upstream = await TestUpstream.listen((request, about) =>
    faulty && !isProbe(about) ? answer(request, { rcode: rcode.SERVFAIL }) : positive(request, about),
  );
  using forwarder = new TestForwarder({ servers: [upstream.server] });
  await forwarder.said();
  faulty = true;
  forwarder.clock.aheadMs += 55_000;
  for (let i = 0; i < 5; i++) forwarder.cached(asked);
  await until(() => forwarder.describeCache().underWay === 0);
  for (let i = 0; i < 5; i++) assert.equal(forwarder.cached(asked)?.message.rcode, rcode.NOERROR);
  assert.equal(forwarder.counters.prefetches, 1);
  using broken = new TestForwarder(
    { servers: [upstream.server] },
    {
      isOwn: () => {
        throw new TypeError('a fault for a test');
      },
    },
  );
  faulty = false;
  const log = console.error;
  console.error = () => {};
  upstream.behaviour = (request, about) =>
    isProbe(about) ? positive(request, about) : answer(request, { answers: [{ name, type: 'CNAME', data: 'b.example' }] });
  try {
    assert.equal(await broken.ask(asked), undefined);
    assert.equal(broken.metrics.faults, 1);
  } finally {
    console.error = log;
  }
});
