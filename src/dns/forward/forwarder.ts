import { isDeepStrictEqual } from 'node:util';
import type { NetNs } from '../../kernel/netns.ts';
import type { Metrics } from '../metrics.ts';
import type { ClientAddress } from '../wire/client.ts';
import { rcode } from '../wire/constants.ts';
import type { Message, Question } from '../wire/message.ts';
import type { WireName } from '../wire/names.ts';
import type { Query } from '../wire/query.ts';
import type { Reply } from '../wire/reply.ts';
import { type Answer, messageOf } from './answer.ts';
import { Asking } from './asking.ts';
import { AnswerCache, type Entry, keyOf } from './cache.ts';
import { type KeptAnswer, keptAnswer, restored } from './kept.ts';
import { type ForwardCounters, newForwardCounters } from './counters.ts';
import { type Domains, domainsOf } from './domains.ts';
import { LoopProbe } from './loop.ts';
import { type ParsedUpstream, parseUpstreamOptions, type UpstreamOptions } from './options.ts';
import { RateTable } from '../limits/rate.ts';
import { WaitingSources } from './sources.ts';
import { type Description, describeResolver } from './describe.ts';
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
/** After its deadline a question has surely ended. */
const leaveMs = 1000;
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
  readonly #given: ForwarderOptions;
  readonly #metrics: Metrics;
  readonly #now: () => number;
  readonly cache: AnswerCache;
  readonly counters: ForwardCounters = newForwardCounters();
  #domains: Domains;
  #asking: Asking;
  /** Former ones, whose questions are finished. */
  readonly #leaving = new Set<() => void>();
  readonly #underWay = new Map<string, Promise<Answer | undefined>>();
  readonly #waiting = new WaitingSources();
  #rate: RateTable;
  /** Ends what is being asked of resolvers. */
  readonly #exchanges = new Set<() => void>();
  #closed = false;
  #started = false;
  #turnMs = 0;
  readonly probe: LoopProbe;
  /** Hears of each answer, and for how many seconds it is given, before it is; it may have it wait. */
  observe: ((answer: Answer, ttl: number) => Promise<void> | undefined) | undefined;
  /** Whether the last answer of `answer` was past its end. */
  gaveStale = false;

  /** @throws SyntaxError */
  constructor(options: ForwarderOptions) {
    const { upstream, metrics, now } = options;
    const parsed = parseUpstreamOptions(upstream);
    this.#given = options;
    this.#options = parsed;
    this.#metrics = metrics;
    this.#rate = new RateTable(parsed.perSourcePerSecond, 2048);
    this.#now = now;
    this.cache = new AnswerCache(parsed.cache);
    this.probe = new LoopProbe(now);
    this.#domains = this.#domainsOf(parsed);
    this.#asking = this.#askingOf(parsed);
  }

  #domainsOf(parsed: ParsedUpstream): Domains {
    const { own = [], netns, now } = this.#given;
    const surroundings = { netns, counters: this.counters, underWay: this.#exchanges };
    return domainsOf(parsed, { now, own: new Set(own), surroundings });
  }

  #askingOf(upstream: ParsedUpstream): Asking {
    return new Asking({ ...this.#given, upstream, domains: this.#domains, probe: this.probe, counters: this.counters });
  }

  /**
   * Other resolvers and settings from the next question on. What is being asked is finished as it was begun; of the cache stays what the same resolvers are for.
   * @throws SyntaxError; nothing is changed then
   */
  configure(upstream: UpstreamOptions): void {
    const parsed = parseUpstreamOptions(upstream);
    if (this.#closed || isDeepStrictEqual(parsed, this.#options)) return;
    const [before, asking] = [this.#domains, this.#asking];
    const { perSourcePerSecond, deadlineMs } = this.#options;
    this.#options = parsed;
    this.#domains = this.#domainsOf(parsed);
    this.#asking = this.#askingOf(parsed);
    if (perSourcePerSecond !== parsed.perSourcePerSecond) this.#rate = new RateTable(parsed.perSourcePerSecond, 2048);
    this.cache.configure(parsed.cache);
    this.cache.forget((name) => before.of(name).text !== this.#domains.of(name).text);
    const leave = (): void => {
      clearTimeout(timer);
      this.#leaving.delete(leave);
      asking.close();
      for (const group of before.all) group.close();
    };
    const timer = setTimeout(leave, deadlineMs + leaveMs).unref();
    this.#leaving.add(leave);
    if (this.#started) this.start();
  }

  /** Learns early whether a resolver leads back here. */
  start(): void {
    this.#started = true;
    for (const group of this.#domains.all) for (const resolver of group.all) void this.probe.leadsBack(group, resolver);
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
    const { mostUnderWay, mostPerSource } = this.#options;
    const waiting = this.#waiting.waiting(client);
    // The last quarter is for those who have few.
    const total = this.#waiting.total >= mostUnderWay - (waiting < 4 ? 0 : mostUnderWay >> 2);
    if (total) this.counters.rejectedTotal++;
    else if (waiting >= mostPerSource || this.#rate.take(client.hash, this.#now()) > 0) this.counters.rejectedSource++;
    else {
      this.#waiting.begin(client);
      return true;
    }
    this.#metrics.overload++;
    return false;
  }

  release(client: ClientAddress): void {
    this.#waiting.end(client);
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
      if (now >= entry.staleUntilMs || !(entry.retryAtMs > now || this.#domains.of(entry.name).allDown)) return undefined;
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
    const asking = this.#asking;
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
    if (asking !== this.#asking) return answer;
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
    this.#asking.close();
    for (const group of this.#domains.all) group.close();
    for (const leave of [...this.#leaving]) leave();
    for (const cancel of [...this.#exchanges]) cancel();
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
      yield keptAnswer(entry, this.#domains.of(entry.name).text, today - now);
    }
  }

  /** Takes one of `hot` of another process, unless others would be asked now. */
  restore(kept: KeptAnswer): void {
    const { answer, question, times, resolvers } = restored(kept, Date.now() - this.#now());
    const { staleUntilMs, storedMs, freshUntilMs } = times;
    if (staleUntilMs <= this.#now() || storedMs > this.#now() + 1000 || this.#domains.of(answer.name).text !== resolvers) return;
    this.cache.restore(question, answer, { now: storedMs, ttlMs: freshUntilMs - storedMs, staleMs: staleUntilMs - freshUntilMs });
  }

  /** Why there may be no resolver, for people. */
  get fault(): string | undefined {
    return this.#domains.default.fault;
  }

  /** For people: each resolver with its state. */
  describe(): Description[] {
    const domains = this.#options.domains.map(({ name, apexes }) => ({ domain: name, group: this.#domains.of(apexes[0]!) }));
    return [{ domain: undefined, group: this.#domains.default }, ...domains].flatMap(({ domain, group }) =>
      group.all.map((resolver) => describeResolver(resolver, group.isLooping(resolver), domain)),
    );
  }

  /** For people: what the cache holds. */
  describeCache(): { entries: number; denials: number; bytes: number; mostBytes: number; underWay: number; waiting: number } {
    const { size: entries, denials, bytes, options } = this.cache;
    return {
      ...{ entries, denials, bytes, mostBytes: options.bytes },
      underWay: this.#underWay.size,
      waiting: this.#waiting.total,
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
