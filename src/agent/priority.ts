import os from 'node:os';
import v8 from 'node:v8';

/** As a nice value (setpriority(2)). */
const ahead = -5;

/**
 * Lets this process's main thread go first where processors are scarce: a runtime waits for its ADD while threads of V8, which compile and collect beside it, do not
 * mind to. On Linux a priority is a thread's own; those that are there already keep theirs.
 * @returns false without the right to (CAP_SYS_NICE)
 */
export function goFirst(): boolean {
  try {
    os.setPriority(process.pid, ahead);
    return true;
  } catch {
    return false;
  }
}

/**
 * Has V8 compile what runs often after the first hundred ADDs instead of the first thousands: the calls of an agent are few and far between, each function takes
 * part in each once, and V8's budget until a function counts as hot (132 KB of its bytecode that ran) is made for loops.
 */
export function compileSoon(): void {
  v8.setFlagsFromString('--no-lazy-feedback-allocation');
  v8.setFlagsFromString('--interrupt-budget=20000');
}
