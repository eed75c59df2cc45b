import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ApiError } from '../kube/api.ts';
import { slowStart } from './children.ts';
import { eventually } from './harness.ts';
import { WorkQueue } from './queue.ts';

describe('WorkQueue', () => {
  test('a key runs once however often it was added, never twice at a time, and again when it was added meanwhile', async () => {
    let running = 0;
    let runs = 0;
    let release = (): void => {};
    const queue = new WorkQueue({
      work: async () => {
        assert.equal(++running, 1);
        runs++;
        if (runs === 1) await new Promise<void>((resolve) => (release = resolve));
        running--;
      },
    });
    queue.add('a');
    queue.add('a');
    queue.start();
    await eventually(() => assert.equal(runs, 1));
    queue.add('a');
    queue.add('a');
    release();
    await eventually(() => assert.ok(runs === 2 && queue.isIdle));
    queue.stop();
  });

  test('no more keys than allowed run side by side', async () => {
    let running = 0;
    let most = 0;
    let done = 0;
    const queue = new WorkQueue({
      concurrency: 3,
      work: async () => {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setImmediate(resolve));
        running--;
        done++;
      },
    });
    for (let i = 0; i < 20; i++) queue.add(String(i));
    queue.start();
    await eventually(() => assert.equal(done, 20));
    assert.equal(most, 3);
    queue.stop();
  });

  test('what fails runs again, ever later; conflicts are not reported; success forgets', async () => {
    const waits: number[] = [];
    let runs = 0;
    const queue = new WorkQueue({
      work: async () => {
        runs++;
        if (runs <= 2) throw new Error('bad');
        if (runs === 3) throw new ApiError(409, 'Conflict', 'again');
      },
      onError: (_, __, ms) => waits.push(ms),
    });
    queue.start();
    queue.add('a');
    await eventually(() => assert.equal(runs, 4));
    assert.equal(waits.length, 2);
    assert.ok(waits[0]! <= 10 && waits[1]! <= 20);
    queue.stop();
  });

  test('what is gone once is the race of a watch and not reported; gone twice in a row is', async () => {
    for (const [times, reported] of [
      [1, 0],
      [2, 1],
    ]) {
      const told: string[] = [];
      let runs = 0;
      const queue = new WorkQueue({
        work: async () => {
          if (++runs <= times!) throw new ApiError(404, 'NotFound', 'gone');
        },
        onError: (_, error) => told.push(error.message),
      });
      queue.start();
      queue.add('a');
      await eventually(() => assert.equal(runs, times! + 1));
      assert.equal(told.length, reported);
      queue.stop();
    }
  });

  test('of several waits for a key the shortest counts', async () => {
    let runs = 0;
    const queue = new WorkQueue({ work: async () => void runs++ });
    queue.start();
    queue.addAfter('a', 60_000);
    queue.addAfter('a', 1);
    queue.addAfter('a', 60_000);
    await eventually(() => assert.equal(runs, 1));
    queue.stop();
  });
});

test('slowStart makes one call of a hopeless task, not hundreds', async () => {
  let calls = 0;
  await assert.rejects(
    slowStart(300, async () => {
      calls++;
      throw new Error('quota');
    }),
    /quota/,
  );
  assert.equal(calls, 1);
  assert.deepEqual(await slowStart(5, async (i) => i), [0, 1, 2, 3, 4]);
});
