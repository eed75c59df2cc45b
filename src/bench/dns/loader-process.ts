import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Outcome } from './asker.ts';
import { letFirst } from './servers/server.ts';
import type { LoaderOptions, Order, Reply } from './loader.ts';

const program = fileURLToPath(new URL('./loader.js', import.meta.url));

/** Who asks: a process of its own on a processor of its own. */
export class Loader implements AsyncDisposable {
  readonly #process: ChildProcess;

  constructor(options: LoaderOptions) {
    this.#process = fork(program, [JSON.stringify(options)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], serialization: 'advanced', detached: true });
    if (this.#process.pid !== undefined) letFirst(this.#process.pid);
  }

  /** One order at a time. */
  async ask(order: Order): Promise<Outcome> {
    const ended = new AbortController();
    try {
      this.#process.send(order);
      const reply = await Promise.race([
        once(this.#process, 'message', { signal: ended.signal }).then(([message]) => message as Reply),
        once(this.#process, 'exit', { signal: ended.signal }).then(([code, signal]): never => {
          throw new Error(`the load generator ended with ${code ?? signal}`);
        }),
      ]);
      if ('error' in reply) throw new Error(reply.error);
      return reply.outcome;
    } finally {
      ended.abort();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const gone = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await gone;
  }
}
