import { parentPort, Worker, workerData } from 'node:worker_threads';
import { NetNs } from './netns.ts';

const ready = 'ready';
const end = 'end';

/**
 * A thread for calls of the kernel that take long; `serveThread` is what runs in it. The process lives as long as it is starting, or has something to do.
 *
 * It is asked to end and never terminated: a thread that is stopped while koffi is loaded in it takes the whole process down ("FATAL ERROR: … napi_throw").
 */
export class KernelThread {
  readonly #worker: Worker;
  readonly #onAnswer: (failure: Error | undefined) => void;
  /** Answers that are to come, and the sign of life that the thread begins with. */
  #awaited = 1;
  #ending = false;
  readonly #exited: Promise<void>;

  /**
   * @param onAnswer called for each message that was posted, with what went wrong; after an error that the thread did not survive it is called once more, and
   *   the thread is of no use
   */
  constructor(worker: Worker, onAnswer: (failure: Error | undefined) => void) {
    this.#worker = worker;
    this.#onAnswer = onAnswer;
    worker.on('message', (message: unknown) => this.#onMessage(message));
    worker.on('error', (error) => onAnswer(error as Error));
    this.#exited = new Promise((resolve) => worker.once('exit', () => resolve()));
  }

  /** @param ns must stay open as long as the thread lives */
  static start(script: URL, ns: NetNs, onAnswer: (failure: Error | undefined) => void): KernelThread {
    // The path means the same file in every thread.
    return new KernelThread(new Worker(script, { workerData: `/proc/self/fd/${ns.fd}` }), onAnswer);
  }

  post(message: unknown): void {
    this.#awaited++;
    this.#worker.ref();
    this.#worker.postMessage(message);
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

/** In the thread: does what each message asks for. @param open is given the namespace, and gives the function that does it; what that throws is the answer */
export function serveThread<T>(open: (ns: NetNs) => (message: T) => void): void {
  const port = parentPort!;
  const ns = NetNs.open(workerData as string);
  const work = open(ns);
  port.on('message', (message: T | typeof end) => {
    if (message === end) return port.close();
    try {
      work(message as T);
      port.postMessage(undefined);
    } catch (error) {
      port.postMessage((error as Error).message);
    }
  });
  port.postMessage(ready);
}
