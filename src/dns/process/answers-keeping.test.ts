import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { TestForwarder } from '../testkit/forwarder.ts';
import { answer } from '../testkit/message.ts';
import { TestUpstream } from '../testkit/upstream.ts';
import { rrType } from '../wire/constants.ts';
import { parseName } from '../wire/names.ts';
import { AnswersKeeping } from './answers-keeping.ts';

const folder = mkdtempSync(join(tmpdir(), 'podnet-test-dns-answers-'));
after(() => rmSync(folder, { recursive: true }));
const asked = (name: string) => ({ name: parseName(name), type: rrType.A });

test('who answers next begins with what was asked for again and again, with the time that is left of it, and stale while resolvers are dead', async () => {
  const upstream = await TestUpstream.listen((request, { name }) =>
    name === 'no.example.' ? answer(request, { flags: 0x8183, authority: [{ name: 'example', type: 'SOA', ttl: 20, data: '11' }] }) : answer(request, { answers: [{ name, type: 'A', ttl: 100, data: '192.0.2.1' }] }),
  );
  const path = join(folder, 'answers');
  const { server } = upstream;
  using first = new TestForwarder({ servers: [server] });
  for (const name of ['hot.example', 'hot.example', 'once.example', 'no.example']) if (!first.cached(asked(name))) await first.ask(asked(name));
  first.cached(asked('no.example'));
  first.clock.aheadMs = 40_000;
  first.cached(asked('hot.example'));
  const leaving = new AnswersKeeping(path, first);
  leaving.setServing(true);
  // What it finds first, and then what it has.
  await leaving.look();
  assert.equal(statSync(path).mode & 0o777, 0o600);
  await upstream[Symbol.asyncDispose]();

  using second = new TestForwarder({ servers: [server] });
  second.clock.aheadMs = 40_000;
  const waiting = new AnswersKeeping(path, second);
  await waiting.look();
  assert.equal(second.cached(asked('once.example')), undefined, 'once is not often');
  const hit = second.cached(asked('hot.example'));
  assert.deepEqual([hit?.age, hit?.message.records.length], [40, 1]);
  assert.equal(second.cached(asked('no.example')), undefined, 'its time is over');
  second.clock.aheadMs += 61_000;
  assert.equal(await second.said(asked('hot.example')), '0 1 stale');
  assert.equal(await second.said(asked('no.example')), '3 0 stale');

  using other = new TestForwarder({ servers: ['192.0.2.53'] });
  await new AnswersKeeping(path, other).look();
  assert.equal(other.cache.size, 0, 'somebody else is to be asked: what others said is worth nothing');
  appendFileSync(path, 'half a line');
  using third = new TestForwarder({ servers: [server] });
  await new AnswersKeeping(path, third).look();
  assert.equal(third.cache.size, 0);
});
