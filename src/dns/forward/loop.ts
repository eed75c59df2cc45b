import { randomBytes } from 'node:crypto';
import { rrType } from '../wire/constants.ts';
import { nameOf, type WireName } from '../wire/names.ts';
import type { Group } from './group.ts';
import type { Resolver } from './resolver.ts';

const quietMs = 30_000;
const probeMs = 400;
/** A probe may come back later than anybody waits for it: two servers that forward to each other wait for each other first. */
const rememberMs = 5000;

/**
 * Finds resolvers that lead back to this server, e.g. a host whose resolv.conf names the cluster's DNS (R9). Before a resolver is used for the first
 * time, and every half minute while it is in use, it is asked for a name that nobody else can know, as CoreDNS' loop plugin does; when that question
 * arrives here, the resolver is left alone for a while.
 *
 * Telling the resolvers apart, each gets a name of its own.
 */
export class LoopProbe {
  readonly #now: () => number;
  /** Name asked for → the resolver that was asked. */
  readonly #sent = new Map<WireName, { group: Group; resolver: Resolver; untilMs: number }>();
  readonly #checked = new WeakMap<Resolver, { atMs: number; result: Promise<void>; done: boolean }>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Whether anything is being looked for: the name need not be read out of each question otherwise. */
  get active(): boolean {
    return this.#sent.size > 0;
  }

  /** A question came in. @returns true when it is one of our own, come back */
  sees(name: WireName): boolean {
    const sent = this.#sent.get(name);
    if (!sent || sent.untilMs < this.#now()) return false;
    sent.group.loops(sent.resolver, quietMs);
    return true;
  }

  /** The first call for a resolver waits for the probe; later ones are answered from it, while it is made anew in the background. */
  async leadsBack(group: Group, resolver: Resolver): Promise<boolean> {
    const last = this.#checked.get(resolver);
    if (last && this.#now() < last.atMs + quietMs) {
      if (!last.done) await last.result;
      return group.isLooping(resolver);
    }
    const check = { atMs: this.#now(), result: Promise.resolve(), done: false };
    check.result = this.#probe(group, resolver).then(() => {
      check.done = true;
    });
    this.#checked.set(resolver, check);
    if (!last) await check.result;
    return group.isLooping(resolver);
  }

  async #probe(group: Group, resolver: Resolver): Promise<void> {
    const now = this.#now();
    for (const [name, { untilMs }] of this.#sent) if (untilMs < now) this.#sent.delete(name);
    const name = nameOf([randomBytes(8).toString('hex'), randomBytes(8).toString('hex')]);
    this.#sent.set(name, { group, resolver, untilMs: now + rememberMs });
    try {
      await resolver.exchange({ name, type: rrType.HINFO }, probeMs);
      // It was answered, and did not come here before that.
      this.#sent.delete(name);
    } catch {
      // What it answers is of no concern, nor whether it does.
    }
  }
}
