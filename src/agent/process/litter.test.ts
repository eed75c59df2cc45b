import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Litter } from './litter.ts';

async function call(litter: Litter): Promise<void> {
  litter.began();
  litter.answered();
  await turn();
}

test('what calls left behind is collected after every twenty-fifth, in the turn after its answer', async () => {
  let collected = 0;
  const litter = new Litter(() => collected++);
  for (let i = 0; i < 24; i++) await call(litter);
  assert.equal(collected, 0);
  litter.began();
  litter.answered();
  assert.equal(collected, 0, 'the answer goes first');
  await turn();
  assert.equal(collected, 1);
  for (let i = 0; i < 50; i++) await call(litter);
  assert.equal(collected, 3);
});

test('never while a call is in hand', async () => {
  let collected = 0;
  const litter = new Litter(() => collected++);
  litter.began();
  for (let i = 0; i < 60; i++) await call(litter);
  assert.equal(collected, 0);
  litter.answered();
  await turn();
  assert.equal(collected, 1);
});
