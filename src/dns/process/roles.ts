/** What the parent does to workers; each has a number. */
export interface RoleActions {
  spawn(): void;
  serve(worker: number): void;
  pause(worker: number): void;
  ping(worker: number): void;
  kill(worker: number, why: string): void;
}

export interface RoleOptions {
  standby: boolean;
  /** From the moment that the first worker knows the names: a cluster's start has other things to do. */
  standbyAfterMs: number;
  /** Somebody else answers until a worker knows the names. */
  patient: boolean;
  /** Between two pings of the worker that answers; the standby is asked an eighth as often. */
  pingMs: number;
}

interface Worker {
  since: number;
  /** It can serve. */
  up: boolean;
  /** It knows the cluster's names. */
  known: boolean;
  /** Pings without an answer. */
  unanswered: number;
  /** Since when it has been out of turn; another one answers meanwhile. */
  suspectSince?: number;
}

/** So often in a row a worker may owe an answer. One that still syncs is never in question: reading 100,000 endpoints takes its time. */
const mostUnanswered = 2;
/** A worker that is out of turn for so long does not come back. */
const killAfterMs = 3000;
/** One that is never up is of no use. */
const startLimitMs = 30_000;
/** Waits between starts after failures: the first comes at once. One that lived for a minute did not fail. */
const waits = [0, 200, 500, 1000, 2000, 5000];
const settledMs = 60_000;

/**
 * Which worker answers, and when another one is started or ended. Pure: told of what happened and what time it is, it says what to do.
 *
 *     starting ──up──► up ──known──► known            one of them serves: the first that knows the names, else the first that is up
 *                                      │ two pings unanswered: out of turn, and the standby serves
 *                                      ├─ answers again: is the standby now
 *                                      └─ not for three seconds: killed, and another one is started
 */
export class Roles {
  readonly #actions: RoleActions;
  readonly #options: RoleOptions;
  readonly #workers = new Map<number, Worker>();
  #patient: boolean;
  #serving: number | undefined;
  #failures = 0;
  #startAt = 0;
  #knownSince: number | undefined;
  #ticks = 0;

  constructor(options: RoleOptions, actions: RoleActions) {
    this.#options = options;
    this.#actions = actions;
    this.#patient = options.patient;
  }

  get serving(): number | undefined {
    return this.#serving;
  }

  started(worker: number, now: number): void {
    this.#workers.set(worker, { since: now, up: false, known: false, unanswered: 0 });
  }

  up(worker: number, now: number): void {
    const of = this.#workers.get(worker);
    if (of) of.up = true;
    this.#decide(now);
  }

  known(worker: number, now: number): void {
    const of = this.#workers.get(worker);
    if (of) of.known = true;
    this.#knownSince ??= now;
    this.#decide(now);
  }

  answered(worker: number, now: number): void {
    const of = this.#workers.get(worker);
    if (!of) return;
    of.unanswered = 0;
    of.suspectSince = undefined;
    this.#decide(now);
  }

  /** It has ended. */
  gone(worker: number, now: number): void {
    const of = this.#workers.get(worker);
    if (!of) return;
    this.#workers.delete(worker);
    if (this.#serving === worker) this.#serving = undefined;
    if (now - of.since > settledMs) this.#failures = 0;
    this.#startAt = now + waits[Math.min(this.#failures, waits.length - 1)]!;
    this.#failures++;
    this.#decide(now);
  }

  /** Nobody else answers any more. */
  alone(now: number): void {
    this.#patient = false;
    this.#decide(now);
  }

  /** To be called every `pingMs`. */
  tick(now: number): void {
    this.#ticks++;
    for (const [id, worker] of this.#workers) {
      if (!worker.up) {
        if (now - worker.since > startLimitMs) this.#actions.kill(id, `it was not up after ${startLimitMs / 1000} s`);
        continue;
      }
      if (worker.suspectSince !== undefined) {
        if (now - worker.suspectSince >= killAfterMs) this.#actions.kill(id, `it gave no sign of life for ${killAfterMs / 1000} s`);
        continue;
      }
      if (worker.known && worker.unanswered >= mostUnanswered) {
        worker.suspectSince = now;
        continue;
      }
      if (id !== this.#serving && this.#ticks % 8 > 0) continue;
      worker.unanswered++;
      this.#actions.ping(id);
    }
    this.#decide(now);
  }

  #decide(now: number): void {
    this.#choose();
    this.#start(now);
  }

  #choose(): void {
    const able = [...this.#workers].filter(([, { up, suspectSince }]) => up && suspectSince === undefined);
    const current = able.find(([id]) => id === this.#serving);
    if (current?.[1].known) return;
    const best = able.find(([, { known }]) => known) ?? (this.#patient ? undefined : (current ?? able[0]));
    if (!best || best[0] === this.#serving) return;
    const before = this.#serving;
    this.#serving = best[0];
    // First the one, then the other: there is no moment without.
    this.#actions.serve(best[0]);
    if (before !== undefined && this.#workers.has(before)) this.#actions.pause(before);
  }

  #start(now: number): void {
    const wanted = this.#options.standby ? 2 : 1;
    if (this.#workers.size >= wanted || now < this.#startAt) return;
    const some = this.#workers.size > 0;
    const early = this.#knownSince === undefined || now - this.#knownSince < this.#options.standbyAfterMs;
    if (some && early) return;
    this.#actions.spawn();
  }
}
