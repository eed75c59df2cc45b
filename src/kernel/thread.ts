import { parentPort, Worker, workerData } from 'node:worker_threads';
import { forgetHome, NetNs } from './netns.ts';

const ready = 'ready';
const end = 'end';

interface ThreadData {
  /** Of the namespace; means the same file in every thread. */
  path: string;
  /** How many messages have not been worked through. */
  busy: Int32Array;
}

/**
 * A thread for calls of the kernel that take long; `serveThread` is what runs in it. The process lives as long as it is starting, or has something to do.
 *
 * It is asked to end and never terminated: a thread that is stopped while koffi is loaded in it takes the whole process down ("FATAL ERROR: … napi_throw").
 */
export class KernelThread {
  readonly #worker: Worker;
  readonly #onAnswer: (failure: Error | undefined) => void;
  readonly #busy: Int32Array;
  /** Answers that are to come, and the sign of life that the thread begins with. */
  #awaited = 1;
  #ending = false;
  readonly #exited: Promise<void>;

  /**
   * @param onAnswer called for each message that was posted, with what went wrong; after an error that the thread did not survive it is called once more, and
   *   the thread is of no use
   */
  constructor(worker: Worker, onAnswer: (failure: Error | undefined) => void, busy = new Int32Array(new SharedArrayBuffer(4))) {
    this.#worker = worker;
    this.#busy = busy;
    this.#onAnswer = onAnswer;
    worker.on('message', (message: unknown) => this.#onMessage(message));
    worker.on('error', (error) => onAnswer(error as Error));
    this.#exited = new Promise((resolve) => worker.once('exit', () => resolve()));
  }

  /** @param ns must stay open as long as the thread lives */
  static start(script: URL, ns: NetNs, onAnswer: (failure: Error | undefined) => void): KernelThread {
    const busy = new Int32Array(new SharedArrayBuffer(4));
    const data: ThreadData = { path: `/proc/self/fd/${ns.fd}`, busy };
    return new KernelThread(new Worker(script, { workerData: data }), onAnswer, busy);
  }

  post(message: unknown): void {
    this.#awaited++;
    Atomics.add(this.#busy, 0, 1);
    this.#worker.ref();
    this.#worker.postMessage(message);
  }

  /** Blocks until all that was posted is done. @throws Error when that takes too long */
  waitIdle(timeoutMs: number): void {
    const end = performance.now() + timeoutMs;
    for (let busy = Atomics.load(this.#busy, 0); busy > 0; busy = Atomics.load(this.#busy, 0))
      if (Atomics.wait(this.#busy, 0, busy, end - performance.now()) === 'timed-out')
        throw new Error(`a thread was not done after ${timeoutMs} ms`);
  }

  /** Has it end when it has done what it was asked for. @returns fulfilled then; `process.exit` is not to be called before */
  end(): Promise<void> {
    this.#ending = true;
    this.#worker.ref();
    this.#worker.postMessage(end);
    return this.#exited;
  }

  #onMessage(message: unknown): void {
    this.#awaited--;
    if (this.#awaited === 0 && !this.#ending) this.#worker.unref();
    if (message !== ready) this.#onAnswer(message === undefined ? undefined : new Error(String(message)));
  }
}

/** What a thread works by. */
export interface ThreadWork<T> extends Disposable {
  /** What it throws is the answer. */
  work(message: T): void;
}

/**
 * In the thread: does what each message asks for. Descriptors are the process's, not the thread's: they are closed when it ends, also by an error.
 * @param open is given the namespace, and gives what does it
 */
export function serveThread<T>(open: (ns: NetNs) => ThreadWork<T>): void {
  const port = parentPort!;
  const { path, busy } = workerData as ThreadData;
  const ns = NetNs.open(path);
  let worker: ThreadWork<T> | undefined;
  process.once('exit', () => {
    worker?.[Symbol.dispose]();
    ns[Symbol.dispose]();
    forgetHome();
  });
  const { work } = (worker = open(ns));
  port.on('message', (message: T | typeof end) => {
    if (message === end) return port.close();
    let failure: string | undefined;
    try {
      work(message as T);
    } catch (error) {
      failure = (error as Error).message;
    }
    Atomics.sub(busy, 0, 1);
    Atomics.notify(busy, 0);
    port.postMessage(failure);
  });
  port.postMessage(ready);
}
