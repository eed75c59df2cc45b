import { readdirSync } from 'node:fs';
import os from 'node:os';

/** A tenth of the usual share, where others of the same group (cgroup, session) want the processor: who waits still hears pings, and follows the cluster. */
const lowerBy = 10;

/**
 * How the workers stand beside each other on a processor that they share: the one that waits hears of every change of the cluster in the same moment as the one that answers, and must not be what
 * that one waits for. Whoever is to answer is put back by who tells it to, as it would hear of it late by itself. Linux keeps a priority for each thread (setpriority(2)).
 */
export class Priority {
  readonly #usual = os.getPriority();
  /** Whether the usual one can be had again: that takes CAP_SYS_NICE or RLIMIT_NICE, and is known by doing it alone (user namespaces). */
  readonly #isFree = this.#usual + lowerBy <= 19 && set([process.pid], this.#usual + 1) && set([process.pid], this.#usual);

  /** For who waits. Does nothing where there would be no way back. */
  lower(pid: number): void {
    if (this.#isFree) set(threadsOf(pid), this.#usual + lowerBy);
  }

  restore(pid: number): void {
    if (this.#isFree) set(threadsOf(pid), this.#usual);
  }
}

/** What it may have been lowered by, without its parent: a process that goes on alone comes back as far as it may. */
export function restoreOwn(usual: number): void {
  set(threadsOf(process.pid), usual);
}

function threadsOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map(Number);
  } catch {
    // It has ended.
    return [];
  }
}

/** @returns whether all could be set; a thread may have ended meanwhile */
function set(tids: readonly number[], priority: number): boolean {
  let done = true;
  for (const tid of tids) {
    try {
      os.setPriority(tid, priority);
    } catch {
      done = false;
    }
  }
  return done;
}
