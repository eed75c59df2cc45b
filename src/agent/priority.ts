import v8 from 'node:v8';
import { schedule } from '../kernel/scheduling.ts';

/**
 * Lets this process's main thread go first where processors are scarce: a runtime waits for its ADD while threads of V8, which compile and collect beside it, do not
 * mind to. It gets no more of the processor by its short slice, it is let in sooner when it wakes: not after the 3 ms of somebody who only computes.
 * @returns false without the right to (CAP_SYS_NICE)
 */
export const goFirst = (): boolean => schedule({ nice: -5, sliceUs: 200 });

/**
 * Has V8 compile what runs often after the first hundred ADDs instead of the first thousands: the calls of an agent are few and far between, each function takes
 * part in each once, and V8's budget until a function counts as hot (132 KB of its bytecode that ran) is made for loops.
 */
export function compileSoon(): void {
  v8.setFlagsFromString('--no-lazy-feedback-allocation');
  v8.setFlagsFromString('--interrupt-budget=20000');
}
