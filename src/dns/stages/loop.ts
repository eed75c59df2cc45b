import type { LoopProbe } from '../forward/loop.ts';
import { rcode, rrType } from '../wire/constants.ts';
import type { Stage } from './stage.ts';

/** Recognises our own probes when they come back: then a resolver leads here (R9). */
export const loopDetection = (probe: LoopProbe): Stage => ({
  name: 'loop',
  answer(query, reply) {
    if (query.type !== rrType.HINFO || !probe.active || !probe.sees(query.name())) return 'next';
    reply.finish({ rcode: rcode.SERVFAIL });
    return 'answered';
  },
});
