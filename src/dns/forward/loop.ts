import { randomBytes } from 'node:crypto';
import type { NetNs } from '../../kernel/netns.ts';
import { rrType } from '../wire/constants.ts';
import { nameOf, type WireName } from '../wire/names.ts';
import { exchange } from './exchange.ts';
import { type Upstream, type Upstreams, upstreamText } from './upstreams.ts';

const quietMs = 30_000;
const probeMs = 400;

/**
 * Finds resolvers that lead back to this server, e.g. a host whose resolv.conf names the cluster's DNS (R9). Before a resolver is used for the first
 * time, and every half minute while it is in use, it is asked for a name that nobody else can know, as CoreDNS' loop plugin does; when that question
 * arrives here, the resolver is left alone for a while.
 *
 * Telling the resolvers apart, each gets a name of its own.
 */
export class LoopProbe {
  readonly #upstreams: Upstreams;
  readonly #netns: NetNs | undefined;
  readonly #now: () => number;
  /** Name asked for → the resolver that was asked. */
  readonly #sent = new Map<WireName, Upstream>();
  readonly #checked = new Map<string, { atMs: number; result: Promise<boolean> }>();

  readonly #underWay: Set<() => void>;

  /** @param underWay see ExchangeOptions */
  constructor(upstreams: Upstreams, netns: NetNs | undefined, now: () => number, underWay: Set<() => void>) {
    this.#upstreams = upstreams;
    this.#netns = netns;
    this.#now = now;
    this.#underWay = underWay;
  }

  /** Whether anything is being looked for: the name need not be read out of each question otherwise. */
  get active(): boolean {
    return this.#sent.size > 0;
  }

  /** A question came in. @returns true when it is one of our own, come back */
  sees(name: WireName): boolean {
    const upstream = this.#sent.get(name);
    if (!upstream) return false;
    this.#upstreams.loops(upstream, quietMs);
    return true;
  }

  /** The first call for a resolver waits for the probe; later ones are answered from it, while it is made anew in the background. */
  async leadsBack(upstream: Upstream): Promise<boolean> {
    const key = upstreamText(upstream);
    const last = this.#checked.get(key);
    if (last && this.#now() < last.atMs + quietMs) {
      await last.result;
      return this.#upstreams.isLooping(upstream);
    }
    const result = this.#probe(upstream);
    this.#checked.set(key, { atMs: this.#now(), result });
    if (!last) await result;
    return this.#upstreams.isLooping(upstream);
  }

  async #probe(upstream: Upstream): Promise<boolean> {
    const name = nameOf([randomBytes(8).toString('hex'), randomBytes(8).toString('hex')]);
    this.#sent.set(name, upstream);
    try {
      await exchange(upstream, { name, type: rrType.HINFO }, { netns: this.#netns, timeoutMs: probeMs, underWay: this.#underWay });
    } catch {
      // What it answers is of no concern, nor whether it does.
    } finally {
      this.#sent.delete(name);
    }
    return this.#upstreams.isLooping(upstream);
  }
}
