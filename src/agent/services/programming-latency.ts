import type { Change } from '../../kube/informer.ts';
import type { EndpointSlice } from '../../kube/types.ts';

/** Written by the endpoints controllers: when the pod or Service changed that made them write (RFC 3339). */
export const triggerAnnotation = 'endpoints.kubernetes.io/last-change-trigger-time';

/** Times of the latest changes that percentiles are told of. */
const kept = 1000;
/** What SD29 promises for 99 of 100. */
const promisedMs = 1000;

/** Milliseconds. Percentiles are of the latest 1000 changes, the others of all since the start. */
export interface Latency {
  last: number;
  p50: number;
  p99: number;
  max: number;
  /** How many took longer than a second. */
  overSecond: number;
}

export interface ProgrammingStatus {
  /** Of EndpointSlices, that the kernel holds. */
  changes: number;
  /** From the change of a pod to the kernel: the controller's and the API's share as well, and what the clocks differ. */
  sinceTrigger?: Latency;
  /** From the agent's hearing of it to the kernel. */
  sinceHeard?: Latency;
}

type Heard = { at: number; triggeredAt: number };

/**
 * How long changes of endpoints take to the kernel (SD29), as kube-proxy's network_programming_duration_seconds measures it: for each slice the earliest change that the
 * kernel does not hold yet counts; what was changed before the start does not, nor does a slice that was written again without a newer trigger.
 */
export class ProgrammingLatency {
  readonly #now: () => number;
  readonly #began: number;
  /** By slice: changes that are not in the kernel yet. */
  readonly #waiting = new Map<string, Heard>();
  readonly #sinceTrigger = new Durations();
  readonly #sinceHeard = new Durations();

  /** @param now milliseconds since 1970 */
  constructor(now: () => number = Date.now) {
    this.#now = now;
    this.#began = now();
  }

  heard(changes: readonly Change<EndpointSlice>[]): void {
    for (const { type, key, object, previous } of changes) {
      // What went says when it was last changed, not when it went.
      if (type === 'deleted') continue;
      const trigger = object.metadata.annotations?.[triggerAnnotation];
      if (trigger === undefined || trigger === previous?.metadata.annotations?.[triggerAnnotation]) continue;
      const triggeredAt = Date.parse(trigger);
      if (triggeredAt >= this.#began && !this.#waiting.has(key)) this.#waiting.set(key, { at: this.#now(), triggeredAt });
    }
  }

  /** The kernel holds all that was heard. */
  written(): void {
    if (this.#waiting.size === 0) return;
    const now = this.#now();
    for (const { at, triggeredAt } of this.#waiting.values()) {
      this.#sinceHeard.add(now - at);
      this.#sinceTrigger.add(now - triggeredAt);
    }
    this.#waiting.clear();
  }

  status(): ProgrammingStatus {
    const [sinceTrigger, sinceHeard] = [this.#sinceTrigger.summary(), this.#sinceHeard.summary()];
    return {
      changes: this.#sinceTrigger.count,
      ...(sinceTrigger ? { sinceTrigger } : {}),
      ...(sinceHeard ? { sinceHeard } : {}),
    };
  }
}

class Durations {
  readonly #latest = new Float64Array(kept);
  #last = 0;
  #max = 0;
  #overSecond = 0;
  count = 0;

  /** @param ms below 0 where another machine's clock is ahead */
  add(ms: number): void {
    this.#last = Math.max(0, ms);
    this.#latest[this.count++ % kept] = this.#last;
    this.#max = Math.max(this.#max, this.#last);
    if (this.#last > promisedMs) this.#overSecond++;
  }

  summary(): Latency | undefined {
    if (this.count === 0) return undefined;
    const sorted = this.#latest.slice(0, Math.min(this.count, kept)).sort();
    // The nearest rank: the least that so many of the changes did not exceed.
    const percentile = (share: number): number => sorted[Math.ceil(share * sorted.length) - 1]!;
    return { last: this.#last, p50: percentile(0.5), p99: percentile(0.99), max: this.#max, overSecond: this.#overSecond };
  }
}
