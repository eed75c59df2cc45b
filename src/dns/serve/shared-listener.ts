import { closeSync } from 'node:fs';
import { duplicate } from '../../kernel/pass-fds.ts';
import type { Service } from './service.ts';

/** A listening socket that several processes have, of which one answers; for what is answered on connections besides DNS. */
export class SharedListener implements Service {
  readonly #fd: number;
  readonly #serve: (fd: number) => Promise<AsyncDisposable>;
  #served: Promise<AsyncDisposable> | undefined;
  #closed = false;

  /**
   * @param fd owned from now on
   * @param serve begins to answer; owns the descriptor it is given
   */
  constructor(fd: number, serve: (fd: number) => Promise<AsyncDisposable>) {
    this.#fd = fd;
    this.#serve = serve;
  }

  start(): void {
    if (!this.#closed) this.#served ??= this.#serve(duplicate(this.#fd));
  }

  /** Closes the connections as well, so that whoever holds one asks again, and finds who answers now. */
  stop(): void {
    void this.#end();
  }

  async drained(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#end();
    closeSync(this.#fd);
  }

  async #end(): Promise<void> {
    const served = this.#served;
    this.#served = undefined;
    await (await served)?.[Symbol.asyncDispose]();
  }
}
