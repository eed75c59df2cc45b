import { count, type Metrics } from '../metrics.ts';
import { rcode } from '../wire/constants.ts';
import type { Question } from '../wire/message.ts';
import { lowerName, type WireName } from '../wire/names.ts';
import { type Answer, failure, type Judgement, reduceAnswer, type Unusable } from './answer.ts';
import type { ForwardCounters } from './counters.ts';
import { deniedBy } from './deny.ts';
import type { Domains } from './domains.ts';
import { ExchangeError } from './errors.ts';
import type { Group } from './group.ts';
import type { LoopProbe } from './loop.ts';
import type { ParsedUpstream } from './options.ts';
import type { Resolver } from './resolver.ts';

/** Failures are remembered (RFC 9520): shortly when nobody answered, longer when somebody said so. Seconds. */
const silenceTtl = 1;
const failureTtl = 5;
/** While every resolver is down, nobody waits longer for one of them. */
const hopelessMs = 1000;
const mostRounds = 4;

export interface AskingOptions {
  upstream: ParsedUpstream;
  domains: Domains;
  probe: LoopProbe;
  metrics: Metrics;
  counters: ForwardCounters;
  now: () => number;
  isOwn?: (name: WireName) => boolean;
}

/** Asks resolvers one after the other until one gives an answer that is of use, or time is over. */
export class Asking {
  readonly #options: AskingOptions;
  /** For names of no domain of their own: those are trusted with any address. */
  readonly #strict: Judgement;
  readonly #trusting: Judgement;
  #closed = false;

  constructor(options: AskingOptions) {
    this.#options = options;
    const { isOwn, upstream } = options;
    this.#trusting = { isOwn };
    this.#strict = { isOwn, isDenied: deniedBy(upstream.deny) };
  }

  close(): void {
    this.#closed = true;
  }

  /** @returns SERVFAIL when none could say, REFUSED when nobody is to be asked */
  async ask(question: Question): Promise<Answer> {
    const { domains, counters, now, upstream } = this.#options;
    const group = domains.of(lowerName(question.name));
    if (group !== domains.default && group.all.length === 0) return { ...failure(question, 0), rcode: rcode.REFUSED };
    const deadline = now() + upstream.deadlineMs;
    const hopeless = group.allDown;
    if (hopeless) counters.allDown++;
    // Several rounds: a datagram may get lost on the way to a resolver that is well, and one that must ask others may take its time.
    for (let round = 0; round < mostRounds; round++) {
      const got = await this.#round(group, question, { round, deadline, hopeless });
      if (typeof got !== 'string') return got;
      // Asked again, they would say the same.
      if (got === 'said') return failure(question, failureTtl);
      if (got === 'nobody' || hopeless) break;
    }
    return failure(question, silenceTtl);
  }

  async #round(
    group: Group,
    question: Question,
    { round, deadline, hopeless }: { round: number; deadline: number; hopeless: boolean },
  ): Promise<Answer | 'said' | 'silence' | 'nobody'> {
    const { probe, metrics, now, upstream, domains } = this.#options;
    let outcome: 'said' | 'silence' | 'nobody' = 'nobody';
    for (const resolver of group.candidates()) {
      if ((await probe.leadsBack(group, resolver)) || this.#closed) continue;
      const left = deadline - now();
      if (left <= 0) break;
      metrics.forwarded++;
      const most = Math.min(upstream.timeoutMs, left, hopeless ? hopelessMs : left);
      const judgement = group === domains.default ? this.#strict : this.#trusting;
      const answer = await this.#one(resolver, question, resolver.tryMs(most, round), judgement);
      if (typeof answer !== 'string') return answer;
      if (answer !== 'none') outcome = 'said';
      else if (outcome === 'nobody') outcome = 'silence';
      if (hopeless) break;
    }
    return outcome;
  }

  /** @returns why the answer is of no use; `none`: there was none */
  async #one(
    resolver: Resolver,
    question: Question,
    timeoutMs: number,
    judgement: Judgement,
  ): Promise<Answer | Unusable | 'none'> {
    const { metrics } = this.#options;
    try {
      const answer = reduceAnswer(await resolver.ask(question, timeoutMs), question, judgement);
      // It lives, but cannot or will not say: perhaps another one can.
      if (typeof answer === 'string') count(metrics.upstreamFailures, answer);
      else answer.from = resolver.text;
      return answer;
    } catch (error) {
      // RangeError: data of an answer are not what their type says.
      if (!(error instanceof ExchangeError) && !(error instanceof RangeError)) throw error;
      count(metrics.upstreamFailures, error instanceof ExchangeError ? error.reason : 'malformed');
      return 'none';
    }
  }
}
