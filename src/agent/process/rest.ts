import v8 from 'node:v8';
import { collector } from './collector.ts';

export interface RestOptions {
  /**
   * So long nothing was done before memory is looked at: a collection also takes code that was compiled for what is called now and then, and the next pods would wait for it to be
   * compiled again.
   */
  quietMs?: number;
  /** Between the first collection and the second. */
  againMs?: number;
  /** A collection is worth its time (about 12 ms of CPU for each 10 MB that is alive) when the heap has grown by so much since the last one. */
  worthBytes?: number;
  /** Tests count instead. */
  collect?: () => void;
  heapBytes?: () => number;
}

/**
 * Gives memory back to the machine while the agent rests. V8 keeps what a burst of work made it take (a young generation of 32 MB, garbage that is not worth a
 * collection as long as nothing is allocated), and has no reason to look again while nothing happens: an agent that attached 1,500 pods and has nothing to do would keep
 * 60 MB for good. A collection that finds little being allocated shrinks the young generation and returns free pages.
 */
export class Rest implements Disposable {
  readonly #options: Required<RestOptions>;
  #worked = 0;
  #timer: NodeJS.Timeout | undefined;
  /** After the last collection. */
  #heapBytes = 0;
  #isHalfDone = false;

  constructor({
    quietMs = 60_000,
    againMs = 5000,
    worthBytes = 12 << 20,
    collect = collector(),
    heapBytes = heapSize,
  }: RestOptions = {}) {
    this.#options = { quietMs, againMs, worthBytes, collect, heapBytes };
  }

  /** Something was done. Cheap; called for each call and each sync. */
  worked(): void {
    this.#worked = performance.now();
    this.#timer ??= setTimeout(() => this.#look(), this.#options.quietMs).unref();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #look(): void {
    const { quietMs, againMs, worthBytes, collect, heapBytes } = this.#options;
    const leftMs = this.#worked + (this.#isHalfDone ? againMs : quietMs) - performance.now();
    this.#timer = leftMs > 0 ? setTimeout(() => this.#look(), leftMs).unref() : undefined;
    if (leftMs > 0 || !(this.#isHalfDone || heapBytes() >= this.#heapBytes + worthBytes)) return;
    collect();
    this.#heapBytes = heapBytes();
    // Only the next collection gives back what the first one emptied.
    this.#isHalfDone = !this.#isHalfDone;
    if (this.#isHalfDone) this.#timer = setTimeout(() => this.#look(), againMs).unref();
  }
}

/** What V8 has taken for the heap, garbage and room included. */
const heapSize = (): number => v8.getHeapStatistics().total_heap_size;
