import assert from 'node:assert/strict';
import { test } from 'node:test';
import { question, read } from '../testkit/message.ts';
import { rcode, rrType } from '../wire/constants.ts';
import { formatName, parseName } from '../wire/names.ts';
import { Query } from '../wire/query.ts';
import { Reply } from '../wire/reply.ts';
import { type Answer, failure } from './answer.ts';
import { AnswerCache, type CacheOptions } from './cache.ts';
import { writeAnswer } from './write.ts';

const asked = (name: string) => ({ name: parseName(name), type: rrType.A });

/** One A record behind the question. */
function address(name: string, ttl = 60, data = '\xc0\x00\x02\x01'): Answer {
  const seconds = Buffer.alloc(4);
  seconds.writeUInt32BE(ttl);
  const records = `\xc0\x0c\0\x01\0\x01${seconds.toString('latin1')}\0\x04${data}`;
  return { ...failure(asked(name), ttl), rcode: 0, negative: false, answers: 1, records, marks: String.fromCharCode(6, 16) };
}

const keep = (cache: AnswerCache, name: string, { ttl = 60, now = 0 } = {}) => cache.set(asked(name), address(name, ttl), now);

function query(name: string, options: Parameters<typeof question>[1] = {}): Query {
  const query = new Query();
  const message = question(name, options);
  assert.equal(query.parse(message, 0, message.length, 'udp'), rcode.NOERROR);
  return query;
}

test('an answer is found by name without case, type, DO and CD, by a question and by a received message alike', () => {
  const cache = new AnswerCache();
  const entry = keep(cache, 'www.example.com');
  assert.equal(cache.find(query('wWw.Example.com')), entry);
  assert.equal(cache.get(asked('WWW.example.com')), entry);
  for (const other of [
    query('www.example.co'),
    query('ww.example.com'),
    query('www.example.com', { type: 'AAAA' }),
    query('www.example.com', { edns: 1232, dnssecOk: true }),
    query('www.example.com', { flags: 0x0110 }),
  ])
    assert.equal(cache.find(other), undefined);
  cache.set({ ...asked('www.example.com'), dnssecOk: true }, address('www.example.com'), 0);
  assert.ok(cache.find(query('www.example.com', { edns: 1232, dnssecOk: true })));
  assert.equal(cache.size, 2);
});

test('TTLs count down between the bounds that are configured; a stale answer says how long until it is asked for anew', () => {
  const told = (ttl: number, age: number, options: Partial<CacheOptions> = {}): number => {
    const { options: rule } = new AnswerCache(options);
    const reply = new Reply();
    const buffer = Buffer.alloc(512);
    reply.begin(query('Www.Example.com'), buffer, 0);
    writeAnswer(reply, address('www.example.com', ttl), age, rule);
    const { answers } = read(buffer.subarray(0, reply.finish({ rcode: 0 })));
    const [name, seconds] = (answers[0] ?? '').split(' ');
    assert.equal(name, 'www.example.com.');
    return Number(seconds);
  };
  assert.equal(told(60, 0), 60);
  assert.equal(told(60, 13), 47);
  assert.equal(told(60, 60), 0);
  assert.equal(told(86_400, 10), 3590, 'an hour at most');
  assert.equal(told(86_400, 10, { maxTtl: 100 }), 90);
  assert.equal(told(1, 3, { minTtl: 5 }), 2);
  assert.equal(told(60, -30), 30);
});

test('how long an answer is kept: its TTL within the bounds, absences at most their own bound, a failure never beyond its end', () => {
  const cache = new AnswerCache({ minTtl: 5, maxTtl: 100, maxNegativeTtl: 30, staleSeconds: 10 });
  const until = (answer: Answer) => {
    const entry = cache.set(asked('a.example'), answer, 1000);
    return entry && [entry.freshUntilMs, entry.staleUntilMs];
  };
  assert.deepEqual(until(address('a.example', 60)), [61_000, 71_000]);
  assert.deepEqual(until(address('a.example', 1)), [6000, 16_000]);
  assert.deepEqual(until(address('a.example', 9999)), [101_000, 111_000]);
  assert.deepEqual(until({ ...address('a.example', 9999), negative: true }), [31_000, 41_000]);
  assert.deepEqual(until(failure(asked('a.example'), 5)), [6000, 6000]);
  assert.equal(until(failure(asked('a.example'), 0)), undefined);
  assert.equal(cache.size, 0, 'what is not to be kept pushes out what was there');
});

test('T32: a flood of names that are asked once pushes nothing out that is asked for again, and the bytes stay bounded', () => {
  const cache = new AnswerCache({ bytes: 400_000 });
  const hot = Array.from({ length: 300 }, (_, i) => `hot${i}.example.com`);
  for (const name of hot) keep(cache, name);
  for (let i = 0; i < 50_000; i++) {
    keep(cache, `x${i}.flood.example`);
    // Some hundred of others come between two questions for the same.
    if (i % 100 === 0) for (const name of hot) cache.find(query(name));
    assert.ok(cache.bytes <= 400_000);
  }
  const left = hot.filter((name) => cache.find(query(name)));
  assert.equal(left.length, hot.length);
  assert.ok(cache.size < 1300, `${cache.size} entries`);
  assert.ok(cache.evictions.success > 48_000);
});

test('T32: names whose hashes are equal by intent take no more than a bucket', () => {
  const cache = new AnswerCache();
  // Names of 8 random letters until 40 share the low ten bits of the place: all in one bucket of the table as it is when it is small.
  const sample = keep(cache, 'a.example')!;
  let collisions = 0;
  for (let i = 0; collisions < 40; i++) {
    const name = `n${i}.example`;
    const entry = keep(new AnswerCache(), name)!;
    if (((entry.hash ^ sample.hash) & 1023) !== 0) continue;
    keep(cache, name);
    collisions++;
  }
  assert.ok(cache.size <= 8, `${cache.size} in one bucket`);
});

test('whatever is set, found and pushed out: what is found is what was set last, and the counts are right', () => {
  const cache = new AnswerCache({ bytes: 60_000 });
  const model = new Map<string, number>();
  let seed = 12345;
  const random = (below: number): number => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) % below;
  let found = 0;
  for (let i = 0; i < 20_000; i++) {
    const name = `n${random(400)}.example`;
    if (random(3) > 0) {
      const entry = cache.find(query(name));
      if (!entry) continue;
      found++;
      assert.equal(formatName(entry.name), `${name}.`);
      assert.equal(entry.storedMs, model.get(name));
    } else {
      keep(cache, name, { now: i });
      model.set(name, i);
    }
  }
  assert.ok(found > 1000);
  let size = 0;
  let bytes = 0;
  for (let i = 0; i < 400; i++) {
    const entry = cache.get(asked(`n${i}.example`));
    if (!entry) continue;
    size++;
    bytes += entry.bytes;
  }
  assert.deepEqual([cache.size, cache.bytes], [size, bytes]);
});
