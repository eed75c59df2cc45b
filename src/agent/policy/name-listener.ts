import { setTimeout as sleep } from 'node:timers/promises';
import { monotonicMs } from '../../kernel/monotonic.ts';
import { IpAddr } from '../../net/ip.ts';
import { getJson, readLines } from '../../unix/http.ts';

export interface NameListenerOptions {
  /** The health socket of the node's own DNS. */
  socketPath: string;
  /** A name (lower case, without the last dot) has other addresses; the pod that asked gets its answer when the promise is fulfilled, a tenth of a second later at most. */
  onChange: (name: string, addresses: readonly IpAddr[]) => Promise<unknown> | void;
  /** By default `monotonicMs`. */
  now?: () => number;
}

/** A line of src/dns/resolved, or that what was known before has all been told. */
type Line = { seq: number; name: string; addresses: string[]; expires: number } | { synced: true };

/** Enough for any name that is meant (CNP11 asks for 100); what expires first gives way. */
const mostAddresses = 1000;
const againMs = [100, 200, 500, 1000, 2000];
/** Between looks whether the time of an address is over. */
const tickMs = 1000;
/** A start does not wait longer for a DNS that is away. */
const settleMs = 1000;
let count = 0;

/**
 * The addresses of the domain names that policies want, as the node's own DNS gives them to pods (CNP11): a stream of its health socket, opened again when another process answers there. What was told
 * counts until its time is over, whoever answers meanwhile.
 */
export class NameListener implements Disposable {
  readonly #options: Required<NameListenerOptions>;
  readonly #names = new Map<string, Map<string, number>>();
  readonly #id = `agent-${process.pid}-${++count}`;
  #patterns: readonly string[] = [];
  #reading: AbortController | undefined;
  #timer: NodeJS.Timeout | undefined;
  #disposed = false;
  #settled = Promise.resolve();
  #markSettled: () => void = () => {};

  constructor(options: NameListenerOptions) {
    this.#options = { now: monotonicMs, ...options };
  }

  /** What is wanted from now on: names, and `*.` before names for all below them. Nothing: nobody is asked, and nothing is known. */
  want(patterns: Iterable<string>): void {
    const wanted = [...new Set(patterns)].sort();
    if (this.#disposed || wanted.join(' ') === this.#patterns.join(' ')) return;
    this.#patterns = wanted;
    this.#reading?.abort();
    this.#reading = undefined;
    this.#markSettled();
    if (wanted.length === 0) {
      for (const name of [...this.#names.keys()]) this.#forget(name);
      return;
    }
    const reading = (this.#reading = new AbortController());
    this.#settled = new Promise((resolve) => {
      const late = setTimeout(resolve, settleMs);
      this.#markSettled = () => {
        clearTimeout(late);
        resolve();
      };
    });
    void this.#read(wanted, reading.signal);
    this.#timer ??= setInterval(() => this.#expire(), tickMs).unref();
  }

  /** Fulfilled when all has been told that the DNS had of what is wanted; soon in any case. */
  get settled(): Promise<void> {
    return this.#settled;
  }

  /** Each address with the time until when it counts, milliseconds since 1970. */
  resolved(name: string): ReadonlyMap<string, number> {
    return this.#names.get(name) ?? new Map();
  }

  /** All names with the addresses that count. */
  all(): Map<string, IpAddr[]> {
    return new Map([...this.#names].map(([name, known]) => [name, [...known.keys()].map((text) => IpAddr.parse(text))]));
  }

  /** For people: how many names have addresses. */
  get size(): number {
    return this.#names.size;
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#reading?.abort();
    this.#markSettled();
    clearInterval(this.#timer);
  }

  async #read(patterns: readonly string[], signal: AbortSignal): Promise<void> {
    const path = `/resolved/${encodeURIComponent(JSON.stringify({ id: this.#id, patterns }))}`;
    for (let failures = 0; !signal.aborted; failures++) {
      const heard = (line: Line): void => {
        failures = 0;
        if (signal.aborted) return;
        if ('seq' in line) void this.#hear(line);
        else this.#markSettled();
      };
      // The DNS of a node may be away for a while: the next one is told of no matter what.
      await readLines<Line>(this.#options.socketPath, path, heard, signal).catch(() => {});
      await sleep(againMs[Math.min(failures, againMs.length - 1)], undefined, { signal, ref: false }).catch(() => {});
    }
  }

  async #hear({ seq, name, addresses, expires }: Exclude<Line, { synced: true }>): Promise<void> {
    const known = this.#names.get(name) ?? new Map<string, number>();
    this.#names.set(name, known);
    let isNew = false;
    for (const address of addresses) {
      if (!known.has(address)) isNew = true;
      known.set(address, Math.max(expires, known.get(address) ?? 0));
    }
    if (known.size > mostAddresses) {
      const soonest = [...known].sort((a, b) => a[1] - b[1]).slice(0, known.size - mostAddresses);
      for (const [address] of soonest) known.delete(address);
    }
    // A fault of who enforces it is its own; the pod's answer waits no longer than it does for one that is gone.
    if (isNew) await this.#tell(name);
    const path = `/resolved-seen/${encodeURIComponent(JSON.stringify({ id: this.#id, seq }))}`;
    await getJson(this.#options.socketPath, path).catch(() => {});
  }

  async #tell(name: string): Promise<void> {
    const addresses = [...(this.#names.get(name)?.keys() ?? [])].map((text) => IpAddr.parse(text));
    await this.#options.onChange(name, addresses);
  }

  #forget(name: string): void {
    this.#names.delete(name);
    void this.#tell(name);
  }

  #expire(): void {
    const now = this.#options.now();
    for (const [name, known] of this.#names) {
      const over = [...known].filter(([, expires]) => expires <= now);
      for (const [address] of over) known.delete(address);
      if (known.size === 0) this.#forget(name);
      else if (over.length > 0) void this.#tell(name);
    }
  }
}
