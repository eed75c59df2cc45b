import type { Answer } from '../forward/answer.ts';
import type { Forwarder } from '../forward/forwarder.ts';
import { mayTellAuthenticated, writeAnswer } from '../forward/write.ts';
import { extendedError, flag, rcode, rrType } from '../wire/constants.ts';
import type { Question } from '../wire/message.ts';
import type { Query } from '../wire/query.ts';
import type { Reply } from '../wire/reply.ts';
import type { ZoneAnswerer } from '../zone/answer.ts';
import type { Stage, Verdict } from './stage.ts';

export interface ForwardStageOptions {
  forwarder: Forwarder;
  /** For aliases that lead from outside to a name of our own. */
  answerer: ZoneAnswerer;
  isSynced: () => boolean;
}

/** Everything else: from the cache, or from resolvers. Cluster names never come so far (T32). */
export class ForwardStage implements Stage {
  readonly name = 'forward';
  readonly #options: ForwardStageOptions;

  constructor(options: ForwardStageOptions) {
    this.#options = options;
  }

  answer(query: Query, reply: Reply): Verdict {
    // Without RD the asker wants what is here only; and ANY is how forwarders are abused (T31, RFC 8482).
    if (!query.recursionDesired || query.type === rrType.ANY) {
      reply.finish({ rcode: rcode.REFUSED });
      return 'answered';
    }
    const { forwarder } = this.#options;
    const ready = forwarder.answer(query, reply);
    if (ready) {
      query.trace?.({ stage: this.name, text: `from the cache${ready.from === undefined ? '' : `; ${ready.from} said it`}` });
      this.#finish(query, reply, ready, forwarder.gaveStale);
      return 'answered';
    }
    if (forwarder.admit(query.client)) return 'later';
    reply.finish({ rcode: rcode.REFUSED, extendedError: extendedError.prohibited });
    return 'answered';
  }

  async resolve(query: Query, reply: Reply): Promise<void> {
    const { forwarder } = this.#options;
    try {
      const began = performance.now();
      const served = await forwarder.ask(questionOf(query));
      query.trace?.({ stage: this.name, text: asked(served?.answer.from, began) });
      if (served) {
        writeAnswer(reply, served.answer, served.age, forwarder.cache.options);
        this.#finish(query, reply, served.answer, served.age < 0);
      } else reply.finish({ rcode: rcode.SERVFAIL });
    } finally {
      forwarder.release(query.client);
    }
  }

  #finish(query: Query, reply: Reply, answer: Answer, stale: boolean): void {
    const { answerer, isSynced } = this.#options;
    let code = answer.rcode;
    // Aliases lead to our own zone: it goes on there, with what is true now (T30).
    if (answer.own && !reply.truncated)
      code = isSynced() ? answerer.writeOwn(answer.own.name, query.type, answer.own.at, reply) : rcode.SERVFAIL;
    ending.extendedError = -1;
    if (stale) ending.extendedError = code === rcode.NXDOMAIN ? extendedError.staleNxdomain : extendedError.staleAnswer;
    else if (answer.rcode === rcode.SERVFAIL) ending.extendedError = extendedError.noReachableAuthority;
    ending.rcode = code;
    ending.authenticated = answer.authenticated && !answer.own && mayTellAuthenticated(query);
    reply.finish(ending);
  }
}

/** Used again for every answer. */
const ending = { rcode: 0, authenticated: false, extendedError: -1 };

const questionOf = (query: Query): Question => ({
  ...{ name: query.name(), type: query.type, dnssecOk: query.dnssecOk },
  checkingDisabled: (query.flags & flag.CD) !== 0,
});

/** For people: who was asked, and how long it took. */
const asked = (resolver: string | undefined, beganMs: number): string =>
  `${resolver === undefined ? 'no resolver answered' : `from resolver ${resolver}`}, in ${(performance.now() - beganMs).toFixed(1)} ms`;

/** The end of a pipeline without resolvers. */
export const notHere: Stage = {
  name: 'not-here',
  answer(_, reply) {
    reply.finish({ rcode: rcode.REFUSED });
    return 'answered';
  },
};
