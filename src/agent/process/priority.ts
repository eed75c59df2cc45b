import { schedule } from '../../kernel/scheduling.ts';

/**
 * Lets this process's main thread go first where processors are scarce: a runtime waits for its ADD while threads of V8, which compile and collect beside it, do not
 * mind to. It gets no more of the processor by its short slice, it is let in sooner when it wakes: not after the 3 ms of somebody who only computes.
 * @returns false without the right to (CAP_SYS_NICE)
 */
export const goFirst = (): boolean => schedule({ nice: -5, sliceUs: 200 });
