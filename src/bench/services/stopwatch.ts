import { Nft } from '../../kernel/nftables/index.ts';
import { timeSocketCalls } from '../../kernel/call-times.ts';
import { Reconciler, type SyncResult } from '../../reconcile/index.ts';
import { ServicePlanner } from '../../services/index.ts';

/** What was done since the last `reset`, microseconds. */
export interface Spent {
  /** From objects to items. */
  planUs: number;
  /** From items to a transaction's bytes. */
  writeUs: number;
  /** Inside of the transaction's system calls: sending it, and asking for its errors. What the way to a system call costs is `writeUs`. */
  kernelUs: number;
  elements: number;
  transactions: number;
}

const none = (): Spent => ({ planUs: 0, writeUs: 0, kernelUs: 0, elements: 0, transactions: 0 });

/** Times the steps of the agent in this process. Its code is not changed for it: the methods are wrapped. */
export class Stopwatch {
  #spent = none();
  #waiting: ((result: SyncResult) => void)[] = [];
  #reconciler: Reconciler | undefined;

  constructor() {
    this.#wrapChanges();
    this.#wrap(Reconciler.prototype, 'contribute', (us) => void (this.#spent.planUs += us));
    this.#wrap(Reconciler.prototype, 'sync', (us, result, reconciler) => {
      this.#reconciler = reconciler;
      this.#spent.writeUs += us;
      for (const resolve of this.#waiting.splice(0)) resolve(result as SyncResult);
    });
    this.#wrapTransactions();
  }

  reset(): void {
    this.#spent = none();
  }

  get spent(): Spent {
    const { writeUs, kernelUs } = this.#spent;
    return { ...this.#spent, writeUs: Math.max(0, writeUs - kernelUs) };
  }

  /** Fulfilled, within the same turn, when the next sync has written. */
  nextSync(): Promise<SyncResult> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Writes what has been planned, without waiting for the agent's pause between transactions. @throws what the kernel refused */
  write(): void {
    const [failure] = this.#reconciler?.sync().failures ?? [];
    if (failure) throw failure.error;
  }

  /** The next sync is a full check. */
  readEverything(): void {
    this.#reconciler?.markAll();
  }

  /** Owners are planned one by one, while somebody takes them. */
  #wrapChanges(): void {
    const changes = ServicePlanner.prototype.changes;
    const plan = (us: number): void => void (this.#spent.planUs += us);
    ServicePlanner.prototype.changes = function* (this: ServicePlanner): ReturnType<ServicePlanner['changes']> {
      const iterator = changes.call(this)[Symbol.iterator]();
      for (;;) {
        const begin = performance.now();
        const next = iterator.next();
        plan((performance.now() - begin) * 1000);
        if (next.done) return;
        yield next.value;
      }
    };
  }

  /** The kernel works inside of the socket's calls. Nobody else sends while a transaction is under way: there is one thread. */
  #wrapTransactions(): void {
    let isOpen = false;
    timeSocketCalls(
      () => isOpen,
      (us) => void (this.#spent.kernelUs += us),
    );
    const spent = (): Spent => this.#spent;
    const transaction = Nft.prototype.transaction;
    Nft.prototype.transaction = function (this: Nft, ...args: Parameters<Nft['transaction']>): ReturnType<Nft['transaction']> {
      isOpen = true;
      try {
        const size = transaction.apply(this, args);
        const now = spent();
        now.elements += size.elements;
        now.transactions++;
        return size;
      } finally {
        isOpen = false;
      }
    };
  }

  #wrap<T extends object>(of: T, name: keyof T, note: (us: number, result: unknown, of: T) => void): void {
    const method = of[name] as (...args: unknown[]) => unknown;
    of[name] = function (this: T, ...args: unknown[]): unknown {
      const begin = performance.now();
      const result = method.apply(this, args);
      note((performance.now() - begin) * 1000, result, this);
      return result;
    } as T[keyof T];
  }
}
