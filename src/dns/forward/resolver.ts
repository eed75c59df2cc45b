import { count } from '../metrics.ts';
import { flag, rcode, rcodeName, rrType } from '../wire/constants.ts';
import type { Message, Question } from '../wire/message.ts';
import { rootName } from '../wire/names.ts';
import { ExchangeError } from './errors.ts';
import { Health, type HealthState } from './health.ts';
import { ConnectionPool } from './pool.ts';
import { type Upstream, upstreamText } from './target.ts';
import type { TlsConnector } from './tls.ts';
import { askUdp, type OverTcp, type Surroundings } from './udp.ts';

/** Upper ends of the classes of durations, in seconds; the last class has no end. */
export const durationBounds: readonly number[] = [
  0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096,
];

export interface ResolverCounters {
  requests: number;
  /** Answers by response code, and tries that failed by what went wrong. */
  rcodes: Record<string, number>;
  failures: Record<string, number>;
  probesFailed: number;
  /** Answers by how long they took; see durationBounds. */
  durations: number[];
  seconds: number;
}

export interface ResolverOptions {
  maxFails: number;
  tls: TlsConnector;
  surroundings: Surroundings;
  now: () => number;
  /** `address:port` that this server listens on: asking them would be asking itself. */
  own: ReadonlySet<string>;
}

const probeMs = 1000;
/** How long a server is spared what it does not know: EDNS, the case of names. */
const sparedMs = 600_000;
/** So often in a row the case must have been lost where TCP cannot tell. */
const mostCaseFaults = 3;
/** A try takes no shorter than this, however fast the resolver was: it may have to ask others. */
const leastTryMs = 400;

/** What went wrong here, and says nothing of the resolver: the end of this process, too few descriptors, too little memory. */
const ownFaults = /^(?:(?:tcp|tls) )?(?:closed|EMFILE|ENFILE|ENOBUFS|ENOMEM|EAGAIN|ENOENT)$/;

/** A resolver with all that is known of it: how to ask it, how fast it is, whether it lives. */
export class Resolver {
  readonly upstream: Upstream;
  readonly text: string;
  readonly isOwn: boolean;
  readonly health: Health;
  readonly pool: ConnectionPool;
  readonly counters: ResolverCounters = {
    ...{ requests: 0, rcodes: {}, failures: {}, probesFailed: 0, seconds: 0 },
    durations: new Array<number>(durationBounds.length + 1).fill(0),
  };
  /** Smoothed round-trip time (RFC 6298 2.3); undefined: not known yet. */
  srttMs: number | undefined;
  readonly #options: ResolverOptions;
  #noEdnsUntil = 0;
  #anyCaseUntil = 0;
  #caseFaults = 0;

  constructor(upstream: Upstream, options: ResolverOptions) {
    this.upstream = upstream;
    this.text = upstreamText(upstream);
    this.isOwn = options.own.has(upstreamText({ address: upstream.address, port: upstream.port }));
    this.#options = options;
    this.pool = new ConnectionPool(upstream, options.tls, options.surroundings);
    this.health = new Health({
      maxFails: options.maxFails,
      // Whatever it says of the root, it lives. Asked both ways: some answer only what they may ask others for, some cannot ask others now.
      probe: () =>
        Promise.any([true, false].map((iterative) => this.exchange({ name: rootName, type: rrType.NS, iterative }, probeMs))),
      onProbeFailed: () => this.counters.probesFailed++,
    });
  }

  get state(): HealthState {
    return this.health.state;
  }

  get keepsCase(): boolean {
    return this.#options.now() >= this.#anyCaseUntil;
  }

  /** How long one try may take: some round trips, more with each round. */
  tryMs(mostMs: number, round: number): number {
    return Math.min(mostMs, Math.max(leastTryMs, 4 * (this.srttMs ?? mostMs)) * 2 ** round);
  }

  /** A question of somebody, counted and judged. @throws ExchangeError */
  async ask(question: Question, timeoutMs: number): Promise<Message> {
    const { counters } = this;
    const began = performance.now();
    counters.requests++;
    try {
      const message = await this.exchange(question, timeoutMs);
      const ms = performance.now() - began;
      count(counters.rcodes, rcodeName(message.rcode));
      counters.seconds += ms / 1000;
      const place = durationBounds.findIndex((bound) => ms <= bound * 1000);
      counters.durations[place < 0 ? durationBounds.length : place]!++;
      this.srttMs = this.srttMs === undefined ? ms : this.srttMs + (ms - this.srttMs) / 8;
      this.health.worked();
      return message;
    } catch (error) {
      if (!(error instanceof ExchangeError)) throw error;
      count(counters.failures, error.reason);
      if (error.reason === 'timeout') this.health.late();
      else if (!ownFaults.test(error.reason)) this.health.failed();
      throw error;
    }
  }

  /** One question over whatever leads there; its outcome is not judged. @throws ExchangeError */
  async exchange(question: Question, timeoutMs: number): Promise<Message> {
    const { now } = this.#options;
    const deadline = now() + timeoutMs;
    const edns = now() >= this.#noEdnsUntil;
    const message = await this.#once(question, edns, timeoutMs);
    // A server that does not know EDNS says so without it (RFC 6891 7).
    const unknown = message.rcode === rcode.FORMERR || message.rcode === rcode.NOTIMP;
    if (!edns || !unknown || message.records.some(({ type }) => type === rrType.OPT)) return message;
    const again = await this.#once(question, false, Math.max(deadline - now(), 100));
    if (again.rcode !== rcode.FORMERR && again.rcode !== rcode.NOTIMP) this.#noEdnsUntil = now() + sparedMs;
    return again;
  }

  close(): void {
    this.health.close();
    this.pool.close();
  }

  async #once(question: Question, edns: boolean, timeoutMs: number): Promise<Message> {
    if (this.upstream.protocol !== 'udp') return this.pool.ask(question, { timeoutMs, edns });
    const { surroundings, now } = this.#options;
    const deadline = now() + timeoutMs;
    const { keepsCase } = this;
    const said = await askUdp(this.upstream, question, { timeoutMs, keepsCase, edns }, surroundings);
    if (typeof said !== 'string') {
      // A short name may have come back right by chance.
      if (/(?:[a-z].*){4}/.test(question.name)) this.#caseFaults = 0;
      return said;
    }
    count(surroundings.counters.overTcp, said);
    return this.#overTcp(question, edns, said, Math.max(deadline - now(), leastTryMs));
  }

  /** Nobody but the resolver can answer on a connection, so what it says there also tells whether it keeps the case of names. */
  async #overTcp(question: Question, edns: boolean, why: OverTcp, timeoutMs: number): Promise<Message> {
    try {
      const message = await this.pool.ask(question, { timeoutMs, edns });
      if (why === 'case') this.#anyCase();
      if (!(message.flags & flag.TC)) return message;
      throw new ExchangeError(this.text, 'truncated over tcp');
    } catch (error) {
      // Without TCP, only many in a row tell.
      if (why === 'case' && ++this.#caseFaults >= mostCaseFaults) this.#anyCase();
      throw error;
    }
  }

  #anyCase(): void {
    this.#caseFaults = 0;
    this.#anyCaseUntil = this.#options.now() + sparedMs;
  }
}
