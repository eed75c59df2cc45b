import type { DnsServer } from '../index.ts';
import { readNames, touchNames, writeNames } from './names-file.ts';

/** A file that was true so lately is as good as the API server's word, which comes in a moment anyway. */
const freshMs = 60_000;
/** An older one is taken when the API server says nothing for so long. */
const patienceMs = 3000;
/** And none older than this. */
const oldestMs = 24 * 3600_000;
/** Between looks whether there is something to write. */
const everyMs = 5000;
/** Writing takes at most this part of a processor. */
const share = 0.02;

/**
 * Keeps the file of what the names are made of: the worker that waits writes it, or the one that answers when it is alone. A new worker takes it for true until the
 * API server has told it all: while that is away, it must not answer SERVFAIL where another one knew.
 */
export class NamesKeeping {
  readonly #path: string;
  readonly #dns: DnsServer;
  #serving = false;
  #alone = true;
  #written = -1;
  #notBefore = 0;
  #source: string | undefined;

  constructor(path: string, dns: DnsServer) {
    this.#path = path;
    this.#dns = dns;
  }

  /** Where the names come from, unless from the API server. */
  get source(): string | undefined {
    return this.#dns.sources.isSynced ? undefined : this.#source;
  }

  begin(): void {
    const names = readNames(this.#path);
    const take = (): void => {
      if (!names || this.#dns.sources.isSynced) return;
      this.#source = `what another process knew, ${Math.round(names.ageMs / 1000)} s before this one began`;
      this.#dns.remember(names.facts);
      names.facts = [];
    };
    if (names && names.ageMs <= freshMs) take();
    else if (names && names.ageMs <= oldestMs) setTimeout(take, patienceMs).unref();
    setInterval(() => void this.#look(), everyMs).unref();
    // What is known first is what a second worker begins with.
    void this.#dns.sources.synced.then(() => this.#look());
  }

  setServing(serving: boolean): void {
    this.#serving = serving;
  }

  setAlone(alone: boolean): void {
    this.#alone = alone;
  }

  async #look(): Promise<void> {
    const { sources } = this.#dns;
    if ((this.#serving && !this.#alone) || !sources.isSynced || performance.now() < this.#notBefore) return;
    const changes = this.#dns.changes();
    try {
      if (changes !== this.#written) {
        this.#notBefore = Number.POSITIVE_INFINITY;
        const before = process.cpuUsage();
        await writeNames(this.#path, this.#dns.facts());
        const { user, system } = process.cpuUsage(before);
        this.#written = changes;
        this.#notBefore = performance.now() + (user + system) / 1000 / share;
      } else if (sources.isCurrent) touchNames(this.#path);
    } catch (error) {
      this.#notBefore = 0;
      this.#written = -1;
      console.error(`dns: cannot keep the names in ${this.#path}: ${(error as Error).message}; a worker that starts while the API server is away knows none`);
    }
  }
}
