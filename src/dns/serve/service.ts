/**
 * One socket that questions come by. Between `start` and `stop` it is read from; outside of that questions wait in the socket, whose descriptor is kept, for
 * `start` or for another process that has it too. Answers that are under way are sent in any case.
 */
export interface Service extends AsyncDisposable {
  start(): void;
  /** From here on nothing is taken from the socket. */
  stop(): void;
  /** Fulfilled when nothing is under way any more. Only after `stop`. */
  drained(): Promise<void>;
}

/** Counts what is under way. */
export class UnderWay {
  #count = 0;
  readonly #waiting: (() => void)[] = [];

  begin(): void {
    this.#count++;
  }

  end(): void {
    this.#count--;
    if (this.#count === 0) for (const resolve of this.#waiting.splice(0)) resolve();
  }

  none(): Promise<void> {
    return this.#count === 0 ? Promise.resolve() : new Promise((resolve) => this.#waiting.push(resolve));
  }
}
