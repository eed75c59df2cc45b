import type { NetNs } from '../../kernel/netns.ts';
import type { WireName } from '../wire/names.ts';
import { Asking, type AskingOptions } from './asking.ts';
import type { ForwardCounters } from './counters.ts';
import { type Description, describeResolver } from './describe.ts';
import { type Domains, domainsOf } from './domains.ts';
import { LoopProbe } from './loop.ts';
import type { ParsedUpstream } from './options.ts';

export interface ResolversOptions extends Omit<AskingOptions, 'upstream' | 'domains' | 'probe'> {
  own?: readonly string[];
  netns?: NetNs;
  counters: ForwardCounters;
}

/** After its deadline a question has surely ended. */
const leaveMs = 1000;

/** The resolvers of the configuration in force, and those of former ones while questions to them are finished. */
export class Resolvers implements Disposable {
  readonly #options: ResolversOptions;
  #upstream: ParsedUpstream;
  #domains: Domains;
  #asking: Asking;
  /** Former ones, whose questions are finished. */
  readonly #leaving = new Set<() => void>();
  /** Ends what is being asked of resolvers. */
  readonly #exchanges = new Set<() => void>();
  #started = false;
  readonly probe: LoopProbe;

  constructor(upstream: ParsedUpstream, options: ResolversOptions) {
    this.#options = options;
    this.#upstream = upstream;
    this.probe = new LoopProbe(options.now);
    this.#domains = this.#domainsOf(upstream);
    this.#asking = this.#askingOf(upstream);
  }

  /** Who knows which name. */
  get domains(): Domains {
    return this.#domains;
  }

  /** Another one with each configuration. */
  get asking(): Asking {
    return this.#asking;
  }

  #domainsOf(upstream: ParsedUpstream): Domains {
    const { own = [], netns, now, counters } = this.#options;
    return domainsOf(upstream, { now, own: new Set(own), surroundings: { netns, counters, underWay: this.#exchanges } });
  }

  #askingOf(upstream: ParsedUpstream): Asking {
    return new Asking({ ...this.#options, upstream, domains: this.#domains, probe: this.probe });
  }

  /**
   * Others from the next question on; what is being asked is finished as it was begun.
   * @returns whether a name has others now than before
   */
  configure(upstream: ParsedUpstream): (name: WireName) => boolean {
    const [before, asking, { deadlineMs }] = [this.#domains, this.#asking, this.#upstream];
    this.#upstream = upstream;
    const domains = (this.#domains = this.#domainsOf(upstream));
    this.#asking = this.#askingOf(upstream);
    const leave = (): void => {
      clearTimeout(timer);
      this.#leaving.delete(leave);
      asking.close();
      for (const group of before.all) group.close();
    };
    const timer = setTimeout(leave, deadlineMs + leaveMs).unref();
    this.#leaving.add(leave);
    if (this.#started) this.start();
    return (name) => before.of(name).text !== domains.of(name).text;
  }

  /** Learns early whether a resolver leads back here. */
  start(): void {
    this.#started = true;
    for (const group of this.#domains.all) for (const resolver of group.all) void this.probe.leadsBack(group, resolver);
  }

  /** No socket is left. */
  [Symbol.dispose](): void {
    this.#asking.close();
    for (const group of this.#domains.all) group.close();
    for (const leave of [...this.#leaving]) leave();
    for (const cancel of [...this.#exchanges]) cancel();
  }

  /** For people: each resolver with its state. */
  describe(): Description[] {
    const domains = this.#upstream.domains.map(({ name, apexes }) => ({ domain: name, group: this.#domains.of(apexes[0]!) }));
    return [{ domain: undefined, group: this.#domains.default }, ...domains].flatMap(({ domain, group }) =>
      group.all.map((resolver) => describeResolver(resolver, group.isLooping(resolver), domain)),
    );
  }
}
