import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { address, asked, name, positive, TestForwarder, until } from '../testkit/forwarder.ts';
import { answer, question } from '../testkit/message.ts';
import { type Asked, TestUpstream } from '../testkit/upstream.ts';
import { flag, rcode, rrType } from '../wire/constants.ts';
import { parseMessage } from '../wire/message.ts';
import { readName } from '../wire/names.ts';
import { Connection } from './connection.ts';
import { newForwardCounters } from './counters.ts';
import { encodeRequest, randomCase } from './request.ts';

const evil = { ...address, data: '203.0.113.66' };
const lower = (message: Buffer): Buffer => {
  const { questionEnd } = parseMessage(message);
  const copy = Buffer.from(message);
  for (let i = 12; i < questionEnd - 4; i++) if (copy[i]! >= 65 && copy[i]! <= 90) copy[i]! |= 32;
  return copy;
};
const withId = (message: Buffer, id: number): Buffer => {
  message.writeUInt16BE(id & 0xffff, 0);
  return message;
};
const isProbe = ({ type }: Asked): boolean => type === 'HINFO' || type === 'NS';
/** As told, except that probes get an ordinary answer. */
const doing = (behaviour: (request: Buffer, about: Asked) => Buffer | Buffer[] | undefined) =>
  TestUpstream.listen((request, about) => (isProbe(about) ? positive(request, about) : behaviour(request, about)));
const addresses = async (forwarder: TestForwarder): Promise<string[] | undefined> => {
  const message = await forwarder.resolve(asked);
  return message?.records.map(({ dataAt, end }) => Buffer.from(message.buffer.subarray(dataAt, end)).join('.'));
};

test('an answer over UDP is taken; one that was cut is fetched over TCP, on a connection that is used again', async () => {
  await using upstream = await doing((request, about) =>
    about.transport === 'udp' ? answer(request, { flags: flag.TC }) : positive(request, about),
  );
  using forwarder = new TestForwarder({ servers: [upstream.server] });
  assert.deepEqual(await addresses(forwarder), ['192.0.2.1']);
  forwarder.clock.aheadMs += 61_000;
  await forwarder.said();
  assert.deepEqual(upstream.take(), [`${name}. A udp`, `${name}. A tcp`, `${name}. A udp`, `${name}. A tcp`]);
  assert.equal(upstream.connections, 1);
  assert.deepEqual(forwarder.counters.overTcp, { truncated: 2 });
});

test('T30: ids, ports and cases differ from question to question', async () => {
  await using upstream = await doing(positive);
  using forwarder = new TestForwarder({ servers: [upstream.server] });
  const ids = new Set<number>();
  const cases = new Set<string>();
  for (let i = 0; i < 30; i++) {
    forwarder.clock.aheadMs += 61_000;
    await forwarder.said();
    const request = upstream.requests[0]!;
    ids.add(request.readUInt16BE(0));
    cases.add(readName(request, 0, 12, request.length).name);
    assert.equal(upstream.take().length, 1);
  }
  // 30 of 65,536: two equal ones once in 150 runs, three never.
  assert.ok(ids.size >= 28, `${ids.size} ids`);
  // 13 letters: 8192 cases.
  assert.ok(cases.size >= 25, `${cases.size} cases`);
  const bits = Array.from({ length: 2000 }, () => randomCase('\x01a\0')).filter((text) => text === '\x01A\0').length;
  assert.ok(bits > 850 && bits < 1150, `${bits} of 2000 upper`);
});

test('T30: a forged answer before the right one is not taken: wrong id, wrong question, wrong type, a question, a stump; all are counted', async () => {
  await using upstream = await doing((request, about) => {
    const id = request.readUInt16BE(0);
    const forged = answer(request, { answers: [evil] });
    const query = Buffer.from(request);
    return [
      withId(Buffer.from(forged), id ^ 1),
      withId(Buffer.from(forged), id + 7),
      withId(answer(question('bank.example'), { answers: [evil] }), id),
      withId(answer(question(name, { type: 'AAAA' }), { answers: [evil] }), id),
      query,
      Buffer.of(1, 2, 3),
      positive(request, about),
    ];
  });
  using forwarder = new TestForwarder({ servers: [upstream.server] });
  assert.deepEqual(await addresses(forwarder), ['192.0.2.1']);
  assert.deepEqual(forwarder.counters.strays, { id: 2, question: 2, 'no answer': 2 });
});

test('T30: somebody who guesses ids gets eight guesses; then TCP is asked, where nobody can', async () => {
  await using upstream = await doing((request, about) =>
    about.transport === 'tcp'
      ? positive(request, about)
      : Array.from({ length: 100 }, (_, i) => withId(answer(request, { answers: [evil] }), request.readUInt16BE(0) + 1 + i)),
  );
  using forwarder = new TestForwarder({ servers: [upstream.server] });
  assert.deepEqual(await addresses(forwarder), ['192.0.2.1']);
  assert.deepEqual(forwarder.counters.overTcp, { guessing: 1 });
  assert.equal(forwarder.counters.strays.id, 8);
});

test('T30: an answer from another address or port than the one that was asked never comes in', async () => {
  await using attacker = await doing(positive);
  const forge = (await import('node:dgram')).createSocket('udp4');
  // From every port near the question's own: the attacker knows the address and guesses the port right, for sure.
  await using upstream = await TestUpstream.listen((request, about) => (isProbe(about) ? positive(request, about) : undefined));
  using forwarder = new TestForwarder({ servers: [upstream.server], timeoutMs: 300, deadlineMs: 500 });
  try {
    upstream.behaviour = (request, about) => {
      if (isProbe(about)) return positive(request, about);
      forge.send(answer(request, { answers: [evil] }), upstream.lastPort, '127.0.0.1');
      return undefined;
    };
    assert.equal(await forwarder.resolve(asked), undefined);
    assert.ok(upstream.asked.length > 0);
    assert.deepEqual(forwarder.counters.strays, {}, 'the kernel keeps it from the socket');
  } finally {
    await new Promise<void>((resolve) => forge.close(resolve));
  }
  assert.equal(attacker.asked.length, 0);
});

test('0x20: an answer in another case is asked for again over TCP; a resolver that loses the case there too is asked without', async () => {
  await using upstream = await doing((request, about) => lower(positive(request, about)));
  using forwarder = new TestForwarder({ servers: [upstream.server] });
  assert.deepEqual(await addresses(forwarder), ['192.0.2.1']);
  assert.deepEqual(upstream.take(), [`${name}. A udp`, `${name}. A tcp`]);
  forwarder.clock.aheadMs += 61_000;
  await forwarder.said();
  assert.deepEqual(upstream.take(), [`${name}. A udp`]);
  assert.equal(forwarder.describe()[0]!.anyCase, true);
});

test('0x20: without TCP, three questions in a row whose case was lost tell that the resolver does not keep it', async () => {
  await using upstream = await TestUpstream.listen((request, about) =>
    about.transport === 'tcp' ? undefined : lower(positive(request, about)),
  );
  using forwarder = new TestForwarder({ servers: [upstream.server], timeoutMs: 100, deadlineMs: 2000, maxFails: 1000 });
  for (let i = 0; i < 3 && forwarder.describe()[0]!.anyCase !== true; i++) {
    await forwarder.said();
    forwarder.clock.aheadMs += 2000;
  }
  assert.equal(await forwarder.said(), '0 1');
});

test('an answer of more bytes than were asked for came in pieces: it is asked for again over TCP', async () => {
  const many = Array.from({ length: 90 }, (_, i) => ({ ...address, data: `192.0.2.${i}` }));
  await using upstream = await doing((request) => answer(request, { answers: many }));
  using forwarder = new TestForwarder({ servers: [upstream.server] });
  assert.equal((await addresses(forwarder))?.length, 90);
  assert.deepEqual(forwarder.counters.overTcp, { oversized: 1 });
});

test('a malformed answer with the right id is asked for again over TCP; malformed there, the next resolver is asked', async () => {
  await using broken = await doing((request) => answer(request, { answers: [address] }).subarray(0, -20));
  await using upstream = await doing(positive);
  using forwarder = new TestForwarder({ servers: [broken.server, upstream.server] });
  assert.deepEqual(await addresses(forwarder), ['192.0.2.1']);
  assert.deepEqual(broken.take(), [`${name}. A udp`, `${name}. A tcp`]);
  assert.equal(forwarder.metrics.upstreamFailures.malformed, 1);
});

test('RFC 6891: a server that does not know EDNS is asked without it, and from then on at once', async () => {
  await using upstream = await doing((request, about) => {
    if (parseMessage(request).records.length === 0) return positive(request, about);
    const refusal = Buffer.from(request.subarray(0, 12));
    refusal.writeUInt16BE(0x8181, 2);
    refusal.fill(0, 4);
    return refusal;
  });
  using forwarder = new TestForwarder({ servers: [upstream.server] });
  assert.deepEqual(await addresses(forwarder), ['192.0.2.1']);
  assert.equal(upstream.take().length, 2);
  forwarder.clock.aheadMs += 61_000;
  assert.equal(await forwarder.said(), '0 1');
  assert.equal(upstream.take().length, 1);
});

test('what is asked says our own EDNS size, DO and CD of the asker, AD, and nothing else of the asker', () => {
  const asks = encodeRequest({ ...asked, dnssecOk: true, checkingDisabled: true }, { id: 0xabcd });
  assert.equal(asks.readUInt16BE(0), 0xabcd);
  assert.equal(asks.readUInt16BE(2), flag.RD | flag.AD | flag.CD);
  const { records } = parseMessage(asks);
  assert.deepEqual(
    records.map(({ type, class: size, ttl, dataLength }) => [type, size, ttl, dataLength]),
    [[rrType.OPT, 1232, 0x8000, 0]],
  );
  assert.equal(parseMessage(encodeRequest(asked, { id: 1, edns: false })).records.length, 0);
  const padded = encodeRequest(asked, { id: 1, padTo: 128 });
  assert.equal(padded.length, 128);
  const [opt] = parseMessage(padded).records;
  assert.deepEqual([padded.readUInt16BE(opt!.dataAt), padded.readUInt16BE(opt!.dataAt + 2)], [12, opt!.dataLength - 4]);
});

test('tcp://: questions go one behind the other over one connection, answers come in any order', async () => {
  const held: (() => void)[] = [];
  await using upstream = await TestUpstream.listen(async (request, about) => {
    if (!isProbe(about)) await new Promise<void>((resolve) => held.push(resolve));
    return positive(request, about);
  });
  using forwarder = new TestForwarder({ servers: [`tcp://${upstream.server}`] });
  await forwarder.resolve({ ...asked, type: rrType.HINFO });
  const all = Array.from({ length: 10 }, (_, i) => forwarder.resolve({ ...asked, name: `\x02n${i}${asked.name}` }));
  await until(() => held.length === 10);
  for (const answerIt of held.reverse()) answerIt();
  for (const [i, message] of (await Promise.all(all)).entries()) assert.equal(message?.name, `\x02n${i}${asked.name}`);
  assert.equal(upstream.connections, 1);
  assert.ok(upstream.take().every((text) => text.endsWith('tcp')));
});

test('RFC 7766: a connection that the resolver closed while idle is made anew, without a failure', async () => {
  await using upstream = await TestUpstream.listen(positive);
  using forwarder = new TestForwarder({ servers: [`tcp://${upstream.server}`] });
  assert.equal(await forwarder.said(), '0 1');
  for (let i = 0; i < 3; i++) {
    upstream.closeConnections();
    forwarder.clock.aheadMs += 61_000;
    assert.equal(await forwarder.said(), '0 1');
  }
  assert.equal(upstream.connections, 4);
  assert.deepEqual(forwarder.metrics.upstreamFailures, {});
});

test('a resolver that answers none of the questions on a connection is left for the next', async () => {
  await using silent = await TestUpstream.listen((request, about) => (isProbe(about) ? positive(request, about) : undefined));
  await using upstream = await doing(positive);
  using forwarder = new TestForwarder({ servers: [`tcp://${silent.server}`, upstream.server], timeoutMs: 200 });
  assert.equal(await forwarder.said(), '0 1');
  assert.equal(forwarder.metrics.upstreamFailures.timeout, 1);
  assert.equal(parseMessage(answer(question(name), { rcode: rcode.NOERROR })).rcode, 0);
});

for (const [family, at] of [
  ['ipv4', '127.0.0.1'],
  ['ipv6', '::1'],
] as const) {
  test(`a resolver on ${family} is asked over UDP and TCP; when it is gone, its ICMP error and its RST are known at once`, async () => {
    const upstream = await TestUpstream.listen(positive, at);
    const { server } = upstream;
    try {
      for (const text of [server, `tcp://${server}`]) {
        using forwarder = new TestForwarder({ servers: [text] });
        assert.equal(await forwarder.said(), '0 1');
      }
      assert.deepEqual(upstream.take(), [`${name}. A udp`, `${name}. A tcp`]);
    } finally {
      await upstream[Symbol.asyncDispose]();
    }
    for (const text of [server, `tcp://${server}`]) {
      using forwarder = new TestForwarder({ servers: [text], timeoutMs: 30_000, deadlineMs: 60_000 });
      const began = performance.now();
      assert.equal(await forwarder.said(), '2 0');
      assert.ok(performance.now() - began < 5000);
      assert.match(Object.keys(forwarder.metrics.upstreamFailures).join(), /^(tcp )?ECONNREFUSED$/);
    }
  });
}

test('RFC 7766: a connection on which nothing was asked for a while is closed, not before the last answer', async () => {
  let answerIt: (() => void) | undefined;
  await using upstream = await TestUpstream.listen(async (request, about) => {
    await new Promise<void>((resolve) => {
      answerIt = resolve;
    });
    return positive(request, about);
  });
  const stream = net.connect(Number(upstream.server.split(':')[1]), '127.0.0.1');
  let closed = false;
  const connection = new Connection(stream, {
    ...{ server: upstream.server, counters: newForwardCounters(), idleMs: 50 },
    onClose: () => {
      closed = true;
    },
  });
  const answered = connection.ask(asked, { timeoutMs: 10_000, edns: true });
  await until(() => answerIt !== undefined);
  await new Promise((resolve) => setTimeout(resolve, 150));
  assert.equal(closed, false, 'an answer is waited for');
  answerIt!();
  assert.equal((await answered).rcode, rcode.NOERROR);
  await until(() => closed);
  await assert.rejects(connection.ask(asked, { timeoutMs: 1000, edns: true }), { reason: 'ended' });
});
