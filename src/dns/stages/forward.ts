import type { Forwarder } from '../forward/forwarder.ts';
import { authenticated, writeMessage } from '../forward/write.ts';
import { flag, rcode, rrType } from '../wire/constants.ts';
import type { Question } from '../wire/message.ts';
import type { Query } from '../wire/query.ts';
import type { Reply } from '../wire/reply.ts';
import type { Stage, Verdict } from './stage.ts';

/** Everything else: from the cache, or from the host's resolvers. Cluster names never come so far (T32). */
export class ForwardStage implements Stage {
  readonly name = 'forward';
  readonly #forwarder: Forwarder;

  constructor(forwarder: Forwarder) {
    this.#forwarder = forwarder;
  }

  answer(query: Query, reply: Reply): Verdict {
    // Without RD the asker wants what is here only; and ANY is how forwarders are abused (T31, RFC 8482).
    if (!query.recursionDesired || query.type === rrType.ANY) {
      reply.finish({ rcode: rcode.REFUSED });
      return 'answered';
    }
    const hit = this.#forwarder.cached(questionOf(query));
    if (!hit) return 'later';
    writeMessage(query, reply, hit.message, hit.age);
    reply.finish({ rcode: hit.message.rcode, authenticated: authenticated(query, hit.message) });
    return 'answered';
  }

  async resolve(query: Query, reply: Reply): Promise<void> {
    const message = await this.#forwarder.resolve(questionOf(query));
    if (!message) {
      reply.finish({ rcode: rcode.SERVFAIL });
      return;
    }
    writeMessage(query, reply, message, 0);
    reply.finish({ rcode: message.rcode, authenticated: authenticated(query, message) });
  }
}

const questionOf = (query: Query): Question => ({
  ...{ name: query.name(), type: query.type, dnssecOk: query.dnssecOk },
  checkingDisabled: (query.flags & flag.CD) !== 0,
});

/** The end of a pipeline without resolvers. */
export const notHere: Stage = {
  name: 'not-here',
  answer(_, reply) {
    reply.finish({ rcode: rcode.REFUSED });
    return 'answered';
  },
};
