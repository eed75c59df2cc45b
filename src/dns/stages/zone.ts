import type { Forwarder } from '../forward/forwarder.ts';
import { writeChain } from '../forward/write.ts';
import { extendedError, rcode, rrType } from '../wire/constants.ts';
import type { Message } from '../wire/message.ts';
import { lowerName } from '../wire/names.ts';
import type { Query } from '../wire/query.ts';
import type { Reply } from '../wire/reply.ts';
import type { Outside, ZoneAnswerer } from '../zone/answer.ts';
import type { Zones } from '../zone/zone.ts';
import type { Stage, Verdict } from './stage.ts';

export interface ZoneStageOptions {
  zones: Zones;
  answerer: ZoneAnswerer;
  /** Until then SERVFAIL, never NXDOMAIN (D16). */
  isSynced: () => boolean;
  /** Without it, aliases to other names are answered alone. */
  forwarder?: Forwarder;
}

/** The cluster's own names. Never asks anybody else, except for what lies beyond an alias to an outside name (D9). */
export class ZoneStage implements Stage {
  readonly name = 'zone';
  readonly #options: ZoneStageOptions;

  constructor(options: ZoneStageOptions) {
    this.#options = options;
  }

  answer(query: Query, reply: Reply): Verdict {
    const { zones, answerer, isSynced, forwarder } = this.#options;
    if (!isSynced()) {
      if (!zones.find(query)) return 'next';
      reply.finish({ rcode: rcode.SERVFAIL, extendedError: extendedError.notReady });
      return 'answered';
    }
    const verdict = answerer.answer(query, reply);
    if (verdict === 'foreign') return 'next';
    if (verdict.outside && forwarder && (query.type === rrType.A || query.type === rrType.AAAA)) {
      const hit = forwarder.cached(questionOf(query, verdict.outside));
      if (!hit) return 'later';
      query.trace?.({ stage: 'forward', text: 'from the cache' });
      this.#finishChain(query, reply, verdict.outside, hit.message, hit.age);
    } else reply.finish({ rcode: verdict.rcode, authoritative: true });
    return 'answered';
  }

  /** The object may change while the resolver is asked: whatever the zone says now is answered. */
  async resolve(query: Query, reply: Reply): Promise<void> {
    const { answerer, forwarder } = this.#options;
    const before = answerer.answer(query, reply);
    const outside = before === 'foreign' ? undefined : before.outside;
    const began = performance.now();
    const message = outside && forwarder ? await forwarder.resolve(questionOf(query, outside)) : undefined;
    query.trace?.({ stage: 'forward', text: `from resolvers, in ${(performance.now() - began).toFixed(1)} ms` });
    reply.restart();
    const now = answerer.answer(query, reply);
    if (now === 'foreign') reply.finish({ rcode: rcode.SERVFAIL });
    else if (!now.outside) reply.finish({ rcode: now.rcode, authoritative: true });
    else if (message && now.outside.target === outside?.target) this.#finishChain(query, reply, now.outside, message, 0);
    else reply.finish({ rcode: rcode.SERVFAIL, authoritative: true });
  }

  #finishChain(query: Query, reply: Reply, outside: Outside, message: Message, age: number): void {
    const { zones, answerer } = this.#options;
    const isOwn = (name: string): boolean => zones.apexOf(name) !== undefined;
    const { own } = writeChain(reply, message, age, query.type, outside, isOwn);
    const code = own ? answerer.writeOwn(own.name, query.type, own.at, reply) : message.rcode;
    reply.finish({ rcode: code, authoritative: true });
  }
}

const questionOf = (query: Query, { target }: Outside) => ({ name: lowerName(target), type: query.type });
