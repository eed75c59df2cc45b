import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeyQueue } from './key-queue.ts';

/** Work that ends when it is told to. */
function work(log: string[], name: string): { run: () => Promise<string>; end: (error?: Error) => void } {
  let end!: (error?: Error) => void;
  const ended = new Promise<void>((resolve, reject) => {
    end = (error) => (error ? reject(error) : resolve());
  });
  const run = async (): Promise<string> => {
    log.push(`${name} begins`);
    await ended;
    log.push(`${name} ends`);
    return name;
  };
  return { run, end };
}
const soon = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('CNI15: work of one key runs one after the other, of different keys at once', async () => {
  const log: string[] = [];
  const queue = new KeyQueue();
  const [a, b, other] = ['a', 'b', 'other'].map((name) => work(log, name));
  const results = [queue.run('key', a!.run), queue.run('key', b!.run), queue.run('other', other!.run)];
  await soon();
  assert.deepEqual(log, ['a begins', 'other begins']);
  b!.end();
  a!.end();
  other!.end();
  assert.deepEqual(await Promise.all(results), ['a', 'b', 'other']);
  assert.deepEqual(log.slice(-2), ['b begins', 'b ends']);
});

test('work that fails holds nobody up', async () => {
  const queue = new KeyQueue();
  const failed = queue.run('key', () => Promise.reject(new Error('no')));
  const next = queue.run('key', async () => 'done');
  await assert.rejects(failed, /^Error: no$/);
  assert.equal(await next, 'done');
  assert.equal(await queue.run('key', async () => 'again'), 'again');
});
