import { RateTable } from '../limits/rate.ts';
import type { Metrics } from '../metrics.ts';
import type { ClientAddress } from '../wire/client.ts';
import type { ForwardCounters } from './counters.ts';
import type { ParsedUpstream } from './options.ts';
import { WaitingSources } from './sources.ts';

type Limits = Pick<ParsedUpstream, 'mostUnderWay' | 'mostPerSource' | 'perSourcePerSecond'>;

const ratePlaces = 2048;

/** Whose questions may wait for resolvers: a bound for all, for each source, and for how many a source sends on in a second (T31). */
export class Admission {
  #limits: Limits;
  readonly #counters: ForwardCounters;
  readonly #metrics: Metrics;
  readonly #waiting = new WaitingSources();
  #rate: RateTable;

  constructor(limits: Limits, { counters, metrics }: { counters: ForwardCounters; metrics: Metrics }) {
    this.#limits = limits;
    this.#counters = counters;
    this.#metrics = metrics;
    this.#rate = new RateTable(limits.perSourcePerSecond, ratePlaces);
  }

  /** Other limits from the next question on. */
  configure(limits: Limits): void {
    const { perSourcePerSecond } = this.#limits;
    this.#limits = limits;
    if (perSourcePerSecond !== limits.perSourcePerSecond) this.#rate = new RateTable(limits.perSourcePerSecond, ratePlaces);
  }

  /** So many questions wait. */
  get waiting(): number {
    return this.#waiting.total;
  }

  /** @returns whether it may wait; then `release` is due when it is answered */
  admit(client: ClientAddress, now: number): boolean {
    const { mostUnderWay, mostPerSource } = this.#limits;
    const waiting = this.#waiting.waiting(client);
    // The last quarter is for those who have few.
    const total = this.#waiting.total >= mostUnderWay - (waiting < 4 ? 0 : mostUnderWay >> 2);
    if (total) this.#counters.rejectedTotal++;
    else if (waiting >= mostPerSource || this.#rate.take(client.hash, now) > 0) this.#counters.rejectedSource++;
    else {
      this.#waiting.begin(client);
      return true;
    }
    this.#metrics.overload++;
    return false;
  }

  release(client: ClientAddress): void {
    this.#waiting.end(client);
  }
}
