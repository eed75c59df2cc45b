import { performance } from 'node:perf_hooks';
import type { Family } from '../net/ip.ts';
import type { CheckProtocol, VerifyLimits } from './input.ts';
import type { CheckResult, Failure } from './report.ts';

/** What was wrong; undefined when all was as it must be. */
export type Finding = Pick<Failure, 'expected' | 'seen' | 'why'> | undefined;

/** One question to the network. */
export interface Attempt {
  from: string;
  to: string;
  run(): Promise<Finding>;
}

export interface Check {
  id: string;
  title: string;
  family: Family;
  protocol: CheckProtocol;
  /** Asked for when all attempts have ended. */
  note?: string | (() => string | undefined);
  /** An attempt is many connections: its time says nothing about one. */
  untimed?: boolean;
  /** Some attempts wait a while for nothing to come: the next check need not wait for them. */
  waits?: boolean;
  attempts: Attempt[];
}

/** Lets so many run at once; the others wait in the order they came. */
export class Gate {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(size: number) {
    this.#free = size;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }
}

export async function runCheck(check: Check, gate: Gate, { failuresKept }: VerifyLimits): Promise<CheckResult> {
  const times: number[] = [];
  const failures: Failure[] = [];
  let failed = 0;
  const one = async ({ from, to, run }: Attempt): Promise<void> => {
    const begin = performance.now();
    const finding = await run().catch((error: Error) => ({ expected: 'an answer', seen: 'an error', why: error.message }));
    if (!finding) {
      times.push(performance.now() - begin);
      return;
    }
    failed++;
    if (failures.length < failuresKept) failures.push({ from, to, ...finding });
  };
  await Promise.all(check.attempts.map((attempt) => gate.run(() => one(attempt))));
  times.sort((a, b) => a - b);
  const { id, title, family, protocol, untimed, attempts } = check;
  const note = typeof check.note === 'function' ? check.note() : check.note;
  const counts = { attempted: attempts.length, ok: attempts.length - failed, failed };
  return { id, title, family, protocol, ...counts, p50Ms: untimed ? undefined : times[times.length >> 1], note, failures };
}
