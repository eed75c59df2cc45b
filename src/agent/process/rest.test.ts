import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../testkit/node.ts';
import { Rest } from './rest.ts';

test('memory is collected twice when work has ended, not while it goes on, and not when little was taken', async () => {
  let [collected, bytes] = [0, 100];
  using rest = new Rest({ quietMs: 20, againMs: 20, worthBytes: 50, heapBytes: () => bytes, collect: () => void ((bytes = 60), collected++) });
  const until = performance.now() + 100;
  while (performance.now() < until) {
    rest.worked();
    await sleep(1);
    // The machine may have given this process no time for so long.
    if (collected > 0) return;
  }
  await eventually(() => assert.equal(collected, 2, 'the second time gives back what the first one emptied'));
  bytes = 100;
  rest.worked();
  await sleep(200);
  assert.equal(collected, 2, '40 bytes more are not worth it');
  bytes = 111;
  rest.worked();
  await eventually(() => assert.equal(collected, 4));
  await sleep(200);
  assert.equal(collected, 4, 'and not once more');
});

test('the collection itself works, and leaves nothing that is in use away', async () => {
  const kept = Array.from({ length: 1000 }, (_, i) => ({ i }));
  let looked = 0;
  using rest = new Rest({ quietMs: 1, againMs: 1, worthBytes: 0, heapBytes: () => looked++ });
  rest.worked();
  await eventually(() => assert.ok(looked >= 2, 'the heap is looked at before and after'));
  assert.deepEqual(kept.at(-1), { i: 999 });
});
