import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Clock, Runner } from './runner.ts';

/** Time that passes when told to. */
class FakeClock implements Clock {
  time = 0;
  readonly #timers = new Set<{ at: number; fn: () => void }>();

  now(): number {
    return this.time;
  }

  after(ms: number, fn: () => void): () => void {
    const timer = { at: this.time + ms, fn };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  /** Lets time pass, timer by timer. */
  pass(ms: number): void {
    for (const end = this.time + ms; ; ) {
      const [next] = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      this.time = next?.at ?? end;
      if (!next) return;
      this.#timers.delete(next);
      next.fn();
    }
  }
}

/** When it ran: `100` or, in full, `100 full`. */
function started(outcome: (run: number) => boolean = () => true): {
  clock: FakeClock;
  runner: Runner;
  runs: string[];
  errors: unknown[];
} {
  const clock = new FakeClock();
  const runs: string[] = [];
  const errors: unknown[] = [];
  const runner = new Runner(
    (full) => {
      runs.push(`${clock.time}${full ? ' full' : ''}`);
      return outcome(runs.length);
    },
    { clock, minIntervalMs: 10, maxIntervalMs: 30_000, retryMs: 100, maxRetryMs: 1000, onError: (error) => errors.push(error) },
  );
  runner.start();
  return { clock, runner, runs, errors };
}

test('it begins with a full check, and checks in full again at the longest interval', () => {
  const { clock, runs } = started();
  clock.pass(65_000);
  assert.deepEqual(runs, ['0 full', '30000 full', '60000 full']);
});

test('work that comes soon after a run waits for the shortest interval and is done together', () => {
  const { clock, runner, runs } = started();
  clock.pass(100);
  for (let i = 0; i < 5; i++) runner.trigger();
  clock.pass(0);
  runner.trigger();
  clock.pass(3);
  runner.trigger();
  clock.pass(100);
  assert.deepEqual(runs, ['0 full', '100', '110']);
});

test('what fails is tried again, ever later up to a limit, and success forgets', () => {
  const { clock, runner, runs } = started((run) => run >= 7 && run !== 8);
  clock.pass(5000);
  assert.deepEqual(runs, ['0 full', '100', '300', '700', '1500', '2500', '3500']);
  runner.trigger();
  clock.pass(300);
  assert.deepEqual(runs.slice(7), ['5000', '5100']);
});

test('new work does not wait for the next try', () => {
  const { clock, runner, runs } = started((run) => run >= 5);
  clock.pass(750);
  runner.trigger();
  clock.pass(1);
  assert.deepEqual(runs, ['0 full', '100', '300', '700', '750']);
});

test('an exception is told and tried again; it never ends the loop', () => {
  const { clock, runs, errors } = started((run) => {
    if (run === 1) throw new Error('boom');
    return true;
  });
  clock.pass(200);
  assert.deepEqual([runs, errors.map(String)], [['0 full', '100'], ['Error: boom']]);
});

test('once stopped it does nothing, whatever comes', () => {
  const { clock, runner, runs } = started(() => false);
  clock.pass(50);
  runner.trigger();
  runner.stop();
  runner.trigger();
  clock.pass(100_000);
  assert.deepEqual(runs, ['0 full']);
});
