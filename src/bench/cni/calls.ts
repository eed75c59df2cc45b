import type { NetNs } from '../../kernel/netns.ts';
import { ShortProgram } from '../../kernel/short-programs.ts';
import type { Call } from './contender.ts';

/** What one call took, from before its first program was started until its last had ended. */
export interface CallCost {
  ms: number;
  /** Of the programs and those that they started. */
  cpuUs: number;
}

/**
 * Runs calls in a namespace, all of them at once, as a runtime does that attaches several pods. Blocks this thread: nothing else is measured along.
 * @throws Error of the first that failed, when all have ended
 */
export function runCalls(ns: NetNs, calls: readonly Call[]): CallCost[] {
  // The cast: what runs inside is synchronous.
  return ns.enter(() => runHere(calls));
}

function runHere(calls: readonly Call[]): CallCost[] {
  const costs: CallCost[] = calls.map(() => ({ ms: Number.NaN, cpuUs: 0 }));
  const running = new Map<ShortProgram, { index: number; begin: number }>();
  let failure: unknown;
  const step = (index: number, begin: number, advance: () => ReturnType<Call['next']>): void => {
    try {
      const { done, value } = advance();
      if (done) costs[index]!.ms = performance.now() - begin;
      else running.set(ShortProgram.start(value), { index, begin });
    } catch (error) {
      failure ??= error;
    }
  };
  calls.forEach((call, index) => {
    step(index, performance.now(), () => call.next());
  });
  while (running.size > 0)
    for (const { program, end } of ShortProgram.endOfAny([...running.keys()])) {
      const { index, begin } = running.get(program)!;
      running.delete(program);
      costs[index]!.cpuUs += end.cpuUs;
      step(index, begin, () => calls[index]!.next(end));
    }
  if (failure !== undefined) throw failure;
  return costs;
}
