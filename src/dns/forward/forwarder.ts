import type { NetNs } from '../../kernel/netns.ts';
import { count, type Metrics } from '../metrics.ts';
import { isUsable, type Message, type Question } from '../wire/message.ts';
import { AnswerCache, cacheKey, type Hit } from './cache.ts';
import { ExchangeError, exchange } from './exchange.ts';
import { LoopProbe } from './loop.ts';
import { type Upstream, type Upstreams, upstreamText } from './upstreams.ts';

export interface ForwarderOptions {
  upstreams: Upstreams;
  netns?: NetNs;
  metrics: Metrics;
  /** Monotonic milliseconds. */
  now: () => number;
  /** For one try. */
  timeoutMs?: number;
  /** For all tries together; libc gives up after 5 s. */
  deadlineMs?: number;
  /** Most questions under way at once; each holds a socket. */
  mostInFlight?: number;
}

/**
 * Gets answers from upstream resolvers: one question at a time for each name, however many ask for it; the next resolver when one fails.
 *
 *     question ─► cache ─► under way already? ─► resolver 1 ─fail─► resolver 2 ─fail─► … ─► undefined (SERVFAIL)
 */
export class Forwarder implements Disposable {
  readonly #options: Required<Omit<ForwarderOptions, 'netns'>> & Pick<ForwarderOptions, 'netns'>;
  readonly #cache: AnswerCache;
  readonly #underWay = new Map<string, Promise<Message | undefined>>();
  /** Ends what is being asked of resolvers. */
  readonly #exchanges = new Set<() => void>();
  #closed = false;
  readonly probe: LoopProbe;

  constructor(options: ForwarderOptions) {
    const { timeoutMs = 1500, deadlineMs = 4500, mostInFlight = 512 } = options;
    this.#options = { ...options, timeoutMs, deadlineMs, mostInFlight };
    this.#cache = new AnswerCache(options.now);
    this.probe = new LoopProbe(options.upstreams, options.netns, options.now, this.#exchanges);
  }

  cached(question: Question): Hit | undefined {
    const hit = this.#cache.get(cacheKey(question));
    if (hit) this.#options.metrics.cacheHits++;
    return hit;
  }

  /** @returns undefined when no resolver gave a usable answer in time */
  resolve(question: Question): Promise<Message | undefined> {
    const { metrics, mostInFlight } = this.#options;
    const key = cacheKey(question);
    if (this.#closed) return Promise.resolve(undefined);
    const running = this.#underWay.get(key);
    if (running) return running;
    if (this.#underWay.size >= mostInFlight) {
      metrics.overload++;
      return Promise.resolve(undefined);
    }
    metrics.cacheMisses++;
    const asked = this.#ask(question)
      .then((message) => {
        if (message && isUsable(message)) this.#cache.set(key, message);
        return message;
      })
      .finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, asked);
    return asked;
  }

  async #ask(question: Question): Promise<Message | undefined> {
    const { upstreams, netns, metrics, now, timeoutMs, deadlineMs } = this.#options;
    const deadline = now() + deadlineMs;
    // Two rounds: a datagram may get lost on the way to a resolver that is well.
    for (let round = 0; round < 2; round++) {
      for (const upstream of upstreams.candidates()) {
        const left = deadline - now();
        if (left <= 0 || this.#closed) return undefined;
        try {
          if ((await this.probe.leadsBack(upstream)) || this.#closed) continue;
          metrics.forwarded++;
          const message = await exchange(upstream, question, {
            ...{ netns, timeoutMs: Math.min(timeoutMs, left), underWay: this.#exchanges },
          });
          if (isUsable(message)) {
            upstreams.worked(upstream);
            return message;
          }
          // It lives, but cannot or will not say: perhaps another one can.
          count(metrics.upstreamFailures, `rcode ${message.rcode}`);
        } catch (error) {
          if (!(error instanceof ExchangeError)) throw error;
          count(metrics.upstreamFailures, error.reason);
          upstreams.failed(upstream);
        }
      }
    }
    return undefined;
  }

  /** Who waits for an answer gets none; no socket is left. */
  [Symbol.dispose](): void {
    this.#closed = true;
    for (const cancel of [...this.#exchanges]) cancel();
  }

  /** For people: each resolver with its state. */
  describe(): { server: string; looping: boolean }[] {
    const { upstreams } = this.#options;
    return upstreams.all.map((upstream: Upstream) => ({
      server: upstreamText(upstream),
      looping: upstreams.isLooping(upstream),
    }));
  }
}
