import type { KernelThread } from './thread.ts';

/** A thread holds 12 MB, and to start it takes 40 ms of a processor. */
const idleMs = 60_000;

/** A `KernelThread` that is started for its first work, and let go when it has had none for a while. */
export class SpareThread implements Disposable {
  readonly #start: () => KernelThread;
  #thread: KernelThread | undefined;
  #idle: NodeJS.Timeout | undefined;
  /** Of threads that were let go. */
  #ended: Promise<void> = Promise.resolve();

  /** @param start whose answers are the caller's to hear; it then calls `answered` */
  constructor(start: () => KernelThread) {
    this.#start = start;
  }

  post(message: unknown): void {
    clearTimeout(this.#idle);
    this.#thread ??= this.#start();
    this.#thread.post(message);
  }

  /** Everything that was posted is answered: from now on it is idle. */
  answered(): void {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.rest(), idleMs).unref();
  }

  /** Blocks until all that was posted is done. @throws Error when that takes too long */
  waitIdle(timeoutMs: number): void {
    this.#thread?.waitIdle(timeoutMs);
  }

  /** Lets it go at once, as after an error that it may not have survived; the next work starts another. */
  rest(): void {
    clearTimeout(this.#idle);
    if (this.#thread) this.#ended = this.#thread.end();
    this.#thread = undefined;
  }

  /** Fulfilled when nothing of it runs any more; after `rest` or dispose. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  [Symbol.dispose](): void {
    this.rest();
  }
}
