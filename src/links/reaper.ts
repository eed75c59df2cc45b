import { Worker } from 'node:worker_threads';
import type { NetNs } from '../kernel/netns.ts';

/** So many ms are waited for more links: the first of a group costs 20 ms, each further one 0.4 ms. */
const gatherMs = 30;
/** The thread is let go after this long without work: it holds some megabytes. */
const idleMs = 10_000;

/**
 * Deletes the links of the deletion group in a thread of its own, since the kernel lets the deleter wait for RCU. Most are gone by then, with the namespace
 * of their pod.
 */
export class Reaper implements Disposable {
  readonly #ns: NetNs;
  #worker: Worker | undefined;
  #timer: NodeJS.Timeout | undefined;
  #idle: NodeJS.Timeout | undefined;
  /** A request is under way; another is wanted after it. */
  #busy = false;
  #again = false;
  #waiting: { resolve: () => void; reject: (error: Error) => void }[] = [];
  #failure: Error | undefined;
  #disposed = false;

  constructor(ns: NetNs) {
    this.#ns = ns;
  }

  /** Links have been put into the group. */
  schedule(): void {
    if (this.#disposed) return;
    this.#again = true;
    this.#timer ??= setTimeout(() => this.#start(), gatherMs).unref();
  }

  /** Waits until all links that were in the group when it was called are gone. @throws what the last deletion failed with */
  drain(): Promise<void> {
    if (!this.#busy && !this.#again) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#worker?.ref();
      this.#start();
    });
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#idle);
    void this.#worker?.terminate();
    this.#settle();
  }

  #start(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#busy || !this.#again || this.#disposed) return;
    this.#busy = true;
    this.#again = false;
    clearTimeout(this.#idle);
    this.#worker ??= this.#open();
    if (this.#waiting.length > 0) this.#worker.ref();
    this.#worker.postMessage('delete');
  }

  #open(): Worker {
    // The descriptor stays open as long as this object is used; the path means the same file in every thread.
    const worker = new Worker(new URL('./reaper-worker.js', import.meta.url), { workerData: `/proc/self/fd/${this.#ns.fd}` });
    worker.unref();
    worker.on('message', (failure: string | undefined) => this.#done(failure === undefined ? undefined : new Error(failure)));
    worker.on('error', (error) => {
      this.#worker = undefined;
      this.#done(error as Error);
    });
    return worker;
  }

  #done(failure: Error | undefined): void {
    this.#busy = false;
    this.#failure = failure;
    if (this.#again) return this.#start();
    this.#worker?.unref();
    this.#settle();
    this.#idle = setTimeout(() => this.#rest(), idleMs).unref();
  }

  #rest(): void {
    void this.#worker?.terminate();
    this.#worker = undefined;
  }

  #settle(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { resolve, reject } of waiting) this.#failure ? reject(this.#failure) : resolve();
  }
}
