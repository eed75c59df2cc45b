import type { Ipam, ToForget } from '../../ipam/index.ts';
import type { NetNs } from '../../kernel/netns.ts';
import { SpareThread } from '../../kernel/spare-thread.ts';
import { KernelThread } from '../../kernel/thread.ts';
import type { IpAddr } from '../../net/ip.ts';

/** A burst of deletions is one pass. */
const firstMs = 100;
/** What the passes take of a processor at most: the kernel walks its whole table for one, some milliseconds even when there is little in it. */
const share = 0.05;
const retryMs = 1000;
/** How long an ADD that needs one of the addresses waits for a pass at most. */
const waitMs = 5000;

export interface ForgetterOptions {
  onError: (error: Error) => void;
  /** Forgets what only this thread can: podnet's own nftables table has one owner. */
  also: (addresses: readonly IpAddr[]) => void;
}

/**
 * Has the node forget the users of addresses that were given back (T19, F54), off DEL's way, at once for all that came together, and in a thread of its own: a pass
 * over the connection table takes the kernel longer than ten ADDs, which would wait for it. An address is not given again before, whatever the time is; `Ipam`
 * sees to that.
 */
export class Forgetter implements Disposable {
  readonly #ipam: Ipam;
  readonly #options: ForgetterOptions;
  readonly #thread: SpareThread;
  #timer: NodeJS.Timeout | undefined;
  #pass: { what: ToForget; begin: number } | undefined;
  #again = false;
  #waitMs = firstMs;
  #disposed = false;

  /** @param ns the node's; stays the caller's */
  constructor(ipam: Ipam, ns: NetNs, options: ForgetterOptions) {
    this.#ipam = ipam;
    this.#options = options;
    const script = new URL('./forgetter-worker.js', import.meta.url);
    this.#thread = new SpareThread(() => KernelThread.start(script, ns, (error) => this.#end(error)));
  }

  /** Addresses have been given back. */
  schedule(): void {
    if (this.#disposed) return;
    if (this.#pass) this.#again = true;
    else this.#timer ??= setTimeout(() => this.#begin(), this.#waitMs).unref();
  }

  /** Fulfilled when nothing of it runs any more; after dispose. */
  get ended(): Promise<void> {
    return this.#thread.ended;
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    clearTimeout(this.#timer);
    this.#thread.rest();
  }

  #begin(): void {
    this.#timer = undefined;
    const what = this.#ipam.toForget(() => this.#thread.waitIdle(waitMs));
    if (what.addresses.length === 0) {
      what.done();
      return;
    }
    this.#pass = { what, begin: performance.now() };
    this.#thread.post(what.addresses.map(String));
  }

  #end(error: Error | undefined): void {
    const pass = this.#pass;
    this.#pass = undefined;
    if (!pass || this.#disposed) return;
    this.#thread.answered();
    error ??= this.#alsoForget(pass.what);
    if (error) {
      // The thread may not have survived it.
      this.#thread.rest();
      this.#options.onError(error);
      pass.what.failed(error.message);
      this.#waitMs = retryMs;
    } else {
      pass.what.done();
      this.#waitMs = Math.max(firstMs, (performance.now() - pass.begin) / share);
    }
    if (this.#again || error) this.schedule();
    this.#again = false;
  }

  #alsoForget(what: ToForget): Error | undefined {
    try {
      this.#options.also(what.left());
      return undefined;
    } catch (error) {
      return error as Error;
    }
  }
}
