import type { Transaction } from './strategy.ts';

/** Runs a write; what was taken for it is given back when it fails or was only tried. */
export class UnitOfWork implements Transaction {
  readonly #undo: (() => void)[] = [];
  readonly #act: (() => void)[] = [];

  onAbort(undo: () => void): void {
    this.#undo.push(undo);
  }

  onCommit(act: () => void): void {
    this.#act.push(act);
  }

  static run<T>(dryRun: boolean, write: (work: UnitOfWork) => T): T {
    const work = new UnitOfWork();
    let done = false;
    try {
      const result = write(work);
      done = !dryRun;
      if (done) for (const act of work.#act) act();
      return result;
    } finally {
      if (!done) for (const undo of work.#undo.reverse()) undo();
    }
  }
}
