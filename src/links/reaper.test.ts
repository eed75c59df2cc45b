import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { NetNs } from '../kernel/netns.ts';
import { KernelThread } from '../kernel/thread.ts';
import { TestWorld } from '../testing/netns.ts';
import { needsRoot } from '../testing/root.ts';
import { Reaper } from './reaper.ts';

/** A thread that counts in `shared[0]` how often it was asked, and fails so often as `shared[1]` says. */
const failing = (shared: Int32Array): Worker =>
  new Worker(
    `const { parentPort, workerData } = require('node:worker_threads');
     parentPort.postMessage('ready');
     parentPort.on('message', (message) => message === 'end' ? parentPort.close() : parentPort.postMessage(Atomics.add(workerData, 0, 1) < workerData[1] ? 'RTM_DELLINK: ENOBUFS' : undefined));`,
    { eval: true, workerData: shared },
  );

function reaper(t: TestContext, failures: number, retryMs: number): { reaper: Reaper; asked: () => number } {
  const shared = new Int32Array(new SharedArrayBuffer(8));
  shared[1] = failures;
  const ns = NetNs.current();
  const one = new Reaper(ns, { open: (_, onAnswer) => new KernelThread(failing(shared), onAnswer), retryMs });
  t.after(() => {
    one[Symbol.dispose]();
    ns[Symbol.dispose]();
  });
  return { reaper: one, asked: () => Atomics.load(shared, 0) };
}

const until = async (check: () => boolean): Promise<void> => {
  while (!check()) await sleep(5);
};

test('a deletion that fails is tried again without another DEL, and told until it succeeds', { timeout: 60_000 }, async (t) => {
  const { reaper: one, asked } = reaper(t, 2, 200);
  one.schedule();
  await until(() => one.failure !== undefined);
  assert.match(one.failure!.message, /ENOBUFS/);
  await until(() => one.failure === undefined);
  assert.equal(asked(), 3);
  await one.drain();
  assert.equal(asked(), 3, 'nothing is left to try');
});

test('who waits for deletion after a failure has it tried at once, and hears of the next failure', {
  timeout: 60_000,
}, async (t) => {
  const { reaper: one, asked } = reaper(t, 2, 3_600_000);
  one.schedule();
  await assert.rejects(one.drain(), /ENOBUFS/);
  await assert.rejects(one.drain(), /ENOBUFS/);
  await one.drain();
  assert.deepEqual([asked(), one.failure], [3, undefined]);
});

test('the next DEL does not wait for the retry', { timeout: 60_000 }, async (t) => {
  const { reaper: one, asked } = reaper(t, 1, 3_600_000);
  one.schedule();
  await until(() => one.failure !== undefined);
  one.schedule();
  await until(() => one.failure === undefined);
  assert.equal(asked(), 2);
});

test('threads that are started and let go, again and again, leave no descriptor of theirs in the process', needsRoot, async () => {
  using world = new TestWorld('links');
  const { ns } = world.namespace('a');
  const descriptors = (): number => readdirSync('/proc/self/fd').length;
  const life = async (): Promise<void> => {
    let thread!: KernelThread;
    const failure = await new Promise<Error | undefined>((resolve) => {
      thread = KernelThread.start(new URL('./reaper-worker.js', import.meta.url), ns, resolve);
      thread.post('delete');
    });
    assert.equal(failure, undefined);
    await thread.end();
  };
  await life();
  const before = descriptors();
  for (let i = 0; i < 5; i++) await life();
  for (const end = performance.now() + 20_000; descriptors() > before && performance.now() < end; ) await sleep(10);
  assert.ok(descriptors() <= before, `${descriptors()} descriptors, ${before} before`);
});
