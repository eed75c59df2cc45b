import { CniError, cniCode } from '../../cni/errors.ts';

/** Whether pods can be attached, and why not; waits until they can. */
export class Gate {
  #why: string | undefined;
  /** It was open once: pods may be running. */
  #wasOpen = false;
  #unfit: string | undefined;
  #waiting = new Set<() => void>();
  #closed = false;

  constructor(why: string) {
    this.#why = why;
  }

  /** Why it is shut; undefined when it is open. */
  get why(): string | undefined {
    return this.#why;
  }

  /**
   * Why the node should get no more pods, though they can be attached: something else stops their packets. STATUS tells it; ADD goes on, since pods that
   * are there already lack nothing more by a further one, and all are well again once the other thing is mended.
   */
  get unfit(): string | undefined {
    return this.#unfit;
  }

  setUnfit(why: string | undefined): void {
    this.#unfit = why;
  }

  get wasOpen(): boolean {
    return this.#wasOpen;
  }

  set(why: string | undefined): void {
    if (this.#closed) return;
    this.#why = why;
    if (why !== undefined) return;
    this.#wasOpen = true;
    for (const go of this.#waiting) go();
  }

  /** Shut for good: nobody waits any more. */
  close(why: string): void {
    this.#closed = true;
    this.#why = why;
    for (const go of this.#waiting) go();
  }

  /** @throws CniError 11 when it is still shut after so long, or at once when it is shut for good */
  async pass(waitMs: number): Promise<void> {
    if (this.#why === undefined) return;
    if (!this.#closed) await this.#opened(waitMs);
    if (this.#why === undefined) return;
    throw new CniError(
      cniCode.tryAgainLater,
      `the node's network is not ready: ${this.#why}`,
      "'podnet status' tells more; the runtime tries again by itself",
    );
  }

  async #opened(waitMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, waitMs);
      this.#waiting.add(done);
    });
  }
}
