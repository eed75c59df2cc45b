import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { patience } from './patience.ts';

/** As a busy machine does. */
function stall(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end; );
}

test('a process that got no turn for longer than the whole time hears what has come before it gives up', async () => {
  let over = false;
  const stop = patience(400, () => (over = true));
  stall(600);
  await sleep(1);
  assert.equal(over, false);
  stop();
  await sleep(450);
  assert.equal(over, false, 'it was ended');
});

test('time passes', async () => {
  const begin = performance.now();
  await new Promise<void>((resolve) => void patience(80, resolve));
  assert.ok(performance.now() - begin >= 79);
});
