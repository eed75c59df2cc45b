import v8 from 'node:v8';
import { collector } from './collector.ts';

/** 130 KB of garbage come with an ADD and its DEL, so this is a collection of about 1.5 MB: less than a millisecond. */
const answersPerRound = 25;

/**
 * Collects what calls left behind in the turn after an answer, while the runtime does its own part. V8 would do it when its young generation is full: after a hundred
 * ADDs, for 2 to 6 ms, in the midst of one.
 */
export class Litter {
  readonly #collect: () => void;
  #inHand = 0;
  #answers = 0;

  constructor(collect: () => void = youngCollection()) {
    this.#collect = collect;
  }

  began(): void {
    this.#inHand++;
  }

  answered(): void {
    this.#inHand--;
    if (++this.#answers >= answersPerRound && this.#inHand === 0) setImmediate(() => this.#sweep());
  }

  #sweep(): void {
    // Another call has come, or another turn was first.
    if (this.#inHand > 0 || this.#answers < answersPerRound) return;
    this.#answers = 0;
    this.#collect();
  }
}

function youngCollection(): () => void {
  const gc = collector();
  return () => {
    // So little is done sooner than other threads are woken.
    v8.setFlagsFromString('--no-parallel-scavenge');
    gc({ type: 'minor' });
    v8.setFlagsFromString('--parallel-scavenge');
  };
}
