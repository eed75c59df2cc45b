import v8 from 'node:v8';

/**
 * How many bytes of its bytecode have to run until V8 looks at a function again, to compile it better or not. V8's own (132 KB in Node 20, 66 KB later) is made for loops: the
 * calls of an agent are few and far between, and each function takes part in each once.
 */
const budgets = { soon: 20_000, seldom: 1_000_000 };

/** An ADD and a DEL of each of a thousand pods. */
const answersUntilWarm = 2000;

/** Has V8 compile what runs often after the first hundred ADDs instead of the first thousands. For the start of the agent. */
export function compileSoon(): void {
  v8.setFlagsFromString('--no-lazy-feedback-allocation');
  setBudget(budgets.soon);
}

/**
 * Ends that when the agent is warm: all that matters is compiled, and what V8 would still find worth it is one function in every twenty ADDs, each 3 to 5 ms of a
 * thread of its own. Where processors are few an ADD waits for it.
 */
export class Warming {
  readonly #end: () => void;
  #answers = 0;

  constructor(end = () => setBudget(budgets.seldom)) {
    this.#end = end;
  }

  /** A runtime's call was answered. */
  answered(): void {
    if (++this.#answers === answersUntilWarm) this.#end();
  }
}

const setBudget = (bytes: number): void => v8.setFlagsFromString(`--interrupt-budget=${bytes}`);
