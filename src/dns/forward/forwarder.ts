import { isDeepStrictEqual } from 'node:util';
import type { NetNs } from '../../kernel/netns.ts';
import type { Metrics } from '../metrics.ts';
import type { ClientAddress } from '../wire/client.ts';
import { rcode } from '../wire/constants.ts';
import type { Message, Question } from '../wire/message.ts';
import type { WireName } from '../wire/names.ts';
import type { Query } from '../wire/query.ts';
import type { Reply } from '../wire/reply.ts';
import { Admission } from './admission.ts';
import { type Answer, messageOf } from './answer.ts';
import type { Asking } from './asking.ts';
import { AnswerCache, type Entry, keyOf } from './cache.ts';
import { type ForwardCounters, newForwardCounters } from './counters.ts';
import type { Description } from './describe.ts';
import { type KeptAnswer, keptAnswer, restored } from './kept.ts';
import type { LoopProbe } from './loop.ts';
import { type ParsedUpstream, parseUpstreamOptions, type UpstreamOptions } from './options.ts';
import { Resolvers } from './resolvers.ts';
import { writeAnswer } from './write.ts';

export interface ForwarderOptions {
  upstream: UpstreamOptions;
  /** `address:port` that this server listens on: asking them would be asking itself. */
  own?: readonly string[];
  /** Where sockets towards resolvers are born. */
  netns?: NetNs;
  metrics: Metrics;
  /** Monotonic milliseconds. */
  now: () => number;
  /** Names for which no resolver may speak: where aliases lead to one, its zone goes on (T30). */
  isOwn?: (name: WireName) => boolean;
}

/** A stale answer is given when the resolvers have not answered for so long; and is not asked for again for so long (RFC 8767 5). */
const clientTimeoutMs = 1800;
const staleRetryMs = 30_000;
/** What stale records are told to hold, in seconds (RFC 8767 4). */
const staleTtl = 30;
/** Asked for so often within its time, an answer is fetched anew in the last tenth of it. */
const hotHits = 3;

/** So many are left to another process; a few megabytes. */
const mostHot = 10_000;

/** An answer to be written, and how old it is; below 0 it is stale (see writeAnswer). */
export interface Served {
  answer: Answer;
  age: number;
}

/** For those who look into an answer. */
export interface Hit {
  message: Message;
  /** Whole seconds since it came; to be taken off every TTL. */
  age: number;
}

/**
 * Gets answers from upstream resolvers: one question at a time for each name, however many ask for it; the next resolver when one fails.
 *
 *     question ─► cache ─► under way already? ─► resolver 1 ─fail─► resolver 2 ─fail─► … ─► stale answer, or SERVFAIL
 */
export class Forwarder implements Disposable {
  #options: ParsedUpstream;
  readonly #metrics: Metrics;
  readonly #now: () => number;
  readonly cache: AnswerCache;
  readonly counters: ForwardCounters = newForwardCounters();
  readonly #resolvers: Resolvers;
  readonly #admission: Admission;
  readonly #underWay = new Map<string, Promise<Answer | undefined>>();
  #closed = false;
  #turnMs = 0;
  /** Hears of each answer, and for how many seconds it is given, before it is; it may have it wait. */
  observe: ((answer: Answer, ttl: number) => Promise<void> | undefined) | undefined;
  /** Whether the last answer of `answer` was past its end. */
  gaveStale = false;

  /** @throws SyntaxError */
  constructor(options: ForwarderOptions) {
    const { upstream, metrics, now } = options;
    this.#options = parseUpstreamOptions(upstream);
    this.#metrics = metrics;
    this.#now = now;
    this.cache = new AnswerCache(this.#options.cache);
    this.#resolvers = new Resolvers(this.#options, { ...options, counters: this.counters });
    this.#admission = new Admission(this.#options, { metrics, counters: this.counters });
  }

  /** Which resolvers lead back here. */
  get probe(): LoopProbe {
    return this.#resolvers.probe;
  }

  /**
   * Other resolvers and settings from the next question on. What is being asked is finished as it was begun; of the cache stays what the same resolvers are for.
   * @throws SyntaxError; nothing is changed then
   */
  configure(upstream: UpstreamOptions): void {
    const parsed = parseUpstreamOptions(upstream);
    if (this.#closed || isDeepStrictEqual(parsed, this.#options)) return;
    this.#options = parsed;
    this.#admission.configure(parsed);
    this.cache.configure(parsed.cache);
    this.cache.forget(this.#resolvers.configure(parsed));
  }

  /** Learns early whether a resolver leads back here. */
  start(): void {
    this.#resolvers.start();
  }

  /** Writes what is in the cache, where it can be given at once. Allocates nothing. */
  answer(query: Query, reply: Reply): Answer | undefined {
    const entry = this.cache.find(query);
    if (!entry) return undefined;
    const age = this.#ageToServe(entry, this.#turn());
    if (age === undefined) return undefined;
    this.gaveStale = age < 0;
    writeAnswer(reply, entry, age, this.cache.options);
    return entry;
  }

  /** Whether a question of this source may wait for a resolver; then `ask` it and `release` the source when it is answered. */
  admit(client: ClientAddress): boolean {
    return this.#admission.admit(client, this.#now());
  }

  release(client: ClientAddress): void {
    this.#admission.release(client);
  }

  cached(question: Question): Hit | undefined {
    const entry = this.cache.get(question);
    const age = entry && this.#ageToServe(entry, this.#now());
    return entry && age !== undefined ? hitOf({ answer: entry, age }) : undefined;
  }

  /** @returns undefined when no resolver gave a usable answer in time */
  async resolve(question: Question): Promise<Message | undefined> {
    const served = await this.ask(question);
    return served && served.answer.rcode !== rcode.SERVFAIL ? hitOf(served).message : undefined;
  }

  /** Asks resolvers, unless somebody does already. @returns undefined when too much is under way, or all has ended */
  async ask(question: Question): Promise<Served | undefined> {
    this.counters.misses++;
    this.#metrics.cacheMisses++;
    const stale = this.cache.get(question);
    const asked = this.#join(question);
    if (!stale || this.#now() >= stale.staleUntilMs) return served(await asked);
    const answer = await before(asked, clientTimeoutMs);
    if (answer && answer.rcode !== rcode.SERVFAIL) return served(answer);
    this.counters.servedStale++;
    await this.observe?.(stale, staleTtl);
    return { answer: stale, age: -staleTtl };
  }

  /** @returns undefined when it must not be given (yet) */
  #ageToServe(entry: Entry, now: number): number | undefined {
    const { counters } = this;
    if (now >= entry.freshUntilMs) {
      if (now >= entry.staleUntilMs || !(entry.retryAtMs > now || this.#resolvers.domains.of(entry.name).allDown)) return undefined;
      if (!entry.refreshing && entry.retryAtMs <= now) this.#refresh(entry);
      counters.servedStale++;
      void this.observe?.(entry, staleTtl);
    } else if (
      ++entry.hits >= hotHits &&
      !entry.refreshing &&
      entry.retryAtMs <= now &&
      entry.freshUntilMs - now < (entry.freshUntilMs - entry.storedMs) / 10
    ) {
      counters.prefetches++;
      this.#refresh(entry);
    }
    if (entry.negative) counters.hitsDenial++;
    else counters.hitsSuccess++;
    this.#metrics.cacheHits++;
    return now >= entry.freshUntilMs ? -staleTtl : Math.floor((now - entry.storedMs) / 1000);
  }

  /** The time when this turn of the process began to ask: one look at the clock for a whole batch of questions. */
  #turn(): number {
    if (this.#turnMs === 0) {
      this.#turnMs = this.#now();
      queueMicrotask(this.#endTurn);
    }
    return this.#turnMs;
  }

  readonly #endTurn = (): void => {
    this.#turnMs = 0;
  };

  #refresh(entry: Entry): void {
    entry.refreshing = true;
    void this.#join(entry.question).finally(() => {
      entry.refreshing = false;
    });
  }

  #join(question: Question): Promise<Answer | undefined> {
    const key = keyOf(question);
    if (this.#closed) return Promise.resolve(undefined);
    const running = this.#underWay.get(key);
    if (running) {
      this.counters.joined++;
      return running;
    }
    if (this.#underWay.size >= this.#options.mostUnderWay) {
      this.#metrics.overload++;
      this.counters.rejectedTotal++;
      return Promise.resolve(undefined);
    }
    const { asking } = this.#resolvers;
    const asked = asking
      .ask(question)
      .then((answer) => {
        const { minTtl, maxTtl } = this.cache.options;
        const held = answer.negative ? undefined : this.observe?.(answer, Math.min(Math.max(answer.ttl, minTtl), maxTtl));
        return held ? held.then(() => this.#keep(question, answer, asking)) : this.#keep(question, answer, asking);
      })
      .catch((error: unknown) => this.#failed(error))
      .finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, asked);
    return asked;
  }

  /** No question may end the process (T32), nor one that is asked anew with nobody waiting for it. */
  #failed(error: unknown): undefined {
    if (this.#metrics.faults++ % 1000 === 0) console.error('dns: a fault while forwarding:', error);
  }

  #keep(question: Question, answer: Answer, asking: Asking): Answer | undefined {
    if (this.#closed) return undefined;
    // Others are to be asked by now.
    if (asking !== this.#resolvers.asking) return answer;
    const now = this.#now();
    const present = answer.rcode === rcode.SERVFAIL ? this.cache.get(question) : undefined;
    // A failure does not push out what can still be given.
    if (present && present.rcode !== rcode.SERVFAIL && present.staleUntilMs > now) present.retryAtMs = now + staleRetryMs;
    else this.cache.set(question, answer, now);
    return answer;
  }

  /** Who waits for an answer gets none; no socket is left. */
  [Symbol.dispose](): void {
    this.#closed = true;
    this.#resolvers[Symbol.dispose]();
  }

  /** Counts answers that came. */
  get kept(): number {
    return this.counters.misses + this.counters.prefetches;
  }

  /** All that may be given without asking, and for how many seconds. */
  *known(): Generator<readonly [answer: Answer, ttl: number]> {
    const now = this.#now();
    for (const entry of this.cache.all()) if (entry.freshUntilMs > now) yield [entry, Math.ceil((entry.freshUntilMs - now) / 1000)];
  }

  /** What is asked for again and again, for another process. */
  *hot(): Generator<KeptAnswer> {
    const [now, today] = [this.#now(), Date.now()];
    let left = mostHot;
    for (const entry of this.cache.hot()) {
      if (entry.rcode === rcode.SERVFAIL || entry.staleUntilMs <= now) continue;
      if (left-- === 0) return;
      yield keptAnswer(entry, this.#resolvers.domains.of(entry.name).text, today - now);
    }
  }

  /** Takes one of `hot` of another process, unless others would be asked now. */
  restore(kept: KeptAnswer): void {
    const { answer, question, times, resolvers } = restored(kept, Date.now() - this.#now());
    const { staleUntilMs, storedMs, freshUntilMs } = times;
    if (staleUntilMs <= this.#now() || storedMs > this.#now() + 1000 || this.#resolvers.domains.of(answer.name).text !== resolvers) return;
    this.cache.restore(question, answer, { now: storedMs, ttlMs: freshUntilMs - storedMs, staleMs: staleUntilMs - freshUntilMs });
  }

  /** Why there may be no resolver, for people. */
  get fault(): string | undefined {
    return this.#resolvers.domains.default.fault;
  }

  /** For people: each resolver with its state. */
  describe(): Description[] {
    return this.#resolvers.describe();
  }

  /** For people: what the cache holds. */
  describeCache(): { entries: number; denials: number; bytes: number; mostBytes: number; underWay: number; waiting: number } {
    const { size: entries, denials, bytes, options } = this.cache;
    return {
      ...{ entries, denials, bytes, mostBytes: options.bytes },
      underWay: this.#underWay.size,
      waiting: this.#admission.waiting,
    };
  }
}

const served = (answer: Answer | undefined): Served | undefined => answer && { answer, age: 0 };

const hitOf = ({ answer, age }: Served): Hit =>
  age < 0 ? { message: messageOf(answer, -age), age: 0 } : { message: messageOf(answer), age };

/** @returns undefined when it takes longer */
async function before<T>(promise: Promise<T>, timeoutMs: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, undefined);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
