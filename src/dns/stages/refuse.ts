import { rcode, rrType } from '../wire/constants.ts';
import type { Stage } from './stage.ts';

/** What nobody gets from here: whole zones (D17). */
export const refuse: Stage = {
  name: 'refuse',
  answer(query, reply) {
    if (query.type !== rrType.AXFR && query.type !== rrType.IXFR) return 'next';
    reply.finish({ rcode: rcode.REFUSED });
    return 'answered';
  },
};
