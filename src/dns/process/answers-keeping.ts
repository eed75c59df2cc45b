import { statSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { type KeptAnswer, keptVersion } from '../forward/kept.ts';
import { readLines, writeLines } from './lines-file.ts';

const header = { format: 'podnet-dns-answers', version: keptVersion };
const everyMs = 2000;
/** Writing takes at most this part of a processor. */
const share = 0.01;
const leastMs = 15_000;
const atOnce = 250;

/** The part of a forwarder that is needed. */
export interface Kept {
  /** Counts what came in. */
  readonly kept: number;
  hot(): Iterable<KeptAnswer>;
  restore(kept: KeptAnswer): void;
}

/**
 * Leaves the answers that are asked for again to whoever answers next: the worker that answers writes them down once in a while, and the one that waits reads them when they have changed, so that nothing is
 * to be read in the moment that it must answer. With them come the stale ones: a worker that is replaced while the resolvers are dead knows what the former one did.
 */
export class AnswersKeeping {
  readonly #path: string;
  readonly #forwarder: Kept;
  #serving = false;
  #busy = false;
  #written = 0;
  #read = 0;
  #notBefore = 0;
  #told = false;

  constructor(path: string, forwarder: Kept) {
    this.#path = path;
    this.#forwarder = forwarder;
  }

  /** When it is known who is to be asked for which name. */
  begin(): void {
    void this.look();
    setInterval(() => void this.look(), everyMs).unref();
  }

  setServing(serving: boolean): void {
    this.#serving = serving;
  }

  /** Reads or writes, where there is something. */
  async look(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    try {
      if (this.#read === 0 || !this.#serving) await this.#take();
      if (this.#serving) await this.#leave();
    } catch (error) {
      if (!this.#told) console.error(`dns: cannot keep answers in ${this.#path}: ${(error as Error).message}; a worker that starts begins with an empty cache`);
      this.#told = true;
    } finally {
      this.#busy = false;
    }
  }

  async #take(): Promise<void> {
    const { mtimeMs } = statSync(this.#path, { throwIfNoEntry: false }) ?? { mtimeMs: 1 };
    if (mtimeMs === this.#read) return;
    this.#read = mtimeMs;
    const { lines } = readLines(this.#path, header) ?? { lines: [] };
    for (const [i, line] of lines.entries()) {
      this.#forwarder.restore(JSON.parse(line) as KeptAnswer);
      if (i % atOnce === atOnce - 1) await setImmediate();
    }
  }

  async #leave(): Promise<void> {
    const { kept } = this.#forwarder;
    if (kept === this.#written || performance.now() < this.#notBefore) return;
    const before = process.cpuUsage();
    await writeLines(this.#path, header, this.#forwarder.hot());
    const { user, system } = process.cpuUsage(before);
    this.#written = kept;
    this.#notBefore = performance.now() + Math.max(leastMs, (user + system) / 1000 / share);
  }
}
