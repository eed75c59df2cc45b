import type { Query } from '../wire/query.ts';
import type { Reply } from '../wire/reply.ts';

/**
 * answered: `reply` is finished. next: not this stage's. later: call `resolve` in the same turn, once, with copies that stay. drop: there is no answer.
 */
export type Verdict = 'answered' | 'next' | 'later' | 'drop';

/** One step of the pipeline. All have the same shape; their order stands in pipeline.ts. */
export interface Stage {
  readonly name: string;
  /** At once, without allocating where it can be avoided. `reply` is begun. */
  answer(query: Query, reply: Reply): Verdict;
  /** After `later`: ends with a finished `reply`. */
  resolve?(query: Query, reply: Reply): Promise<void>;
}
