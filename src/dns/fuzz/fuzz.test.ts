import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzz, FuzzFault } from './fuzz.ts';
import { AskTarget } from './ask.ts';
import { questions } from './corpus.ts';
import { SaidTarget } from './said.ts';
import { answers } from './corpus.ts';

test('D18, T32: 100,000 mutated and random packets: no crash, no fault, no answer to an answer, and every answer is well-formed and to its question', async (t) => {
  const result = await fuzz({ seed: 20_261_121, from: 0, count: 100_000 });
  t.diagnostic(JSON.stringify(result));
  const { answered, ignored, later, taken, refused } = result;
  // Each way is gone by many, or nothing would be shown.
  for (const [what, count] of Object.entries({ answered, ignored, later, taken, refused }))
    assert.ok(count > 2000, `only ${count} ${what}`);
  assert.ok(result.slowestMs < 1000, `${result.slowestMs} ms for one packet`);
});

test('what is thrown is worth throwing: unchanged, nearly all of it is answered or taken', () => {
  using ask = new AskTarget();
  for (const message of questions) ask.run(message, 0);
  assert.ok(ask.answered + ask.later === questions.length - 1 && ask.ignored === 1, `${ask.answered} of ${questions.length}`);
  const said = new SaidTarget();
  for (const message of answers) {
    const copy = Buffer.from(message);
    copy.fill(0, 0, 2);
    said.run(copy, 0);
  }
  assert.ok(said.taken >= answers.length - 5, `${said.taken} of ${answers.length}`);
  assert.ok(FuzzFault.length > 0);
});
