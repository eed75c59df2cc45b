import { ResolvConf } from './resolv-conf.ts';
import { Resolver, type ResolverOptions } from './resolver.ts';
import { parseUpstream, type Upstream, upstreamText } from './target.ts';

/** In which order the healthy ones are asked. fastest: by their smoothed round-trip times. */
export const policies = ['ordered', 'random', 'roundRobin', 'fastest'] as const;
export type Policy = (typeof policies)[number];

export interface GroupOptions extends ResolverOptions {
  servers: readonly string[];
  resolvConf?: string;
  policy: Policy;
}

/** What is lost of a round-trip time each time another is asked: a slow one gets its chance again. */
const forget = 0.98;

/** Resolvers that know the same. */
export class Group {
  readonly #options: GroupOptions;
  readonly #resolvConf: ResolvConf | undefined;
  readonly #configured: readonly Upstream[];
  readonly #looping = new Map<string, number>();
  #all: Resolver[] = [];
  #turn = 0;

  constructor(options: GroupOptions) {
    this.#options = options;
    this.#configured = options.servers.map(parseUpstream);
    this.#resolvConf = options.resolvConf === undefined ? undefined : new ResolvConf(options.resolvConf, options.now);
    this.#set(this.#configured);
    this.#read();
  }

  /** The same for groups of the same resolvers: what one of them said, the other one would. */
  get text(): string {
    return [...this.#configured.map(upstreamText), this.#options.resolvConf ?? ''].join(' ');
  }

  /** Why there may be none, for people. */
  get fault(): string | undefined {
    return this.#resolvConf?.fault;
  }

  /** All that are configured, also failing ones. */
  get all(): readonly Resolver[] {
    this.#read();
    return this.#all;
  }

  /** None is worth waiting for. */
  get allDown(): boolean {
    for (const resolver of this.#all) if (resolver.state !== 'down' && !this.isLooping(resolver)) return false;
    return true;
  }

  /** In the order to try: those that are up as the policy says, then the suspect, then those that are down. */
  candidates(): Resolver[] {
    const usable = this.all.filter((resolver) => !this.isLooping(resolver));
    const inState = (state: Resolver['state']) => usable.filter((resolver) => resolver.state === state);
    return [...this.#ordered(inState('up')), ...inState('suspect'), ...inState('down')];
  }

  isLooping(resolver: Resolver): boolean {
    if (resolver.isOwn) return true;
    const until = this.#looping.get(resolver.text);
    return until !== undefined && until > this.#options.now();
  }

  /** What was asked there came back here (R9). It is left alone for a while. */
  loops(resolver: Resolver, forMs: number): void {
    this.#looping.set(resolver.text, this.#options.now() + forMs);
  }

  close(): void {
    for (const resolver of this.#all) resolver.close();
  }

  #ordered(up: Resolver[]): Resolver[] {
    const { policy } = this.#options;
    if (up.length < 2 || policy === 'ordered') return up;
    if (policy === 'fastest') {
      // One whose time is not known yet is asked to learn it.
      up.sort((a, b) => (a.srttMs ?? 0) - (b.srttMs ?? 0));
      for (const other of up.slice(1)) if (other.srttMs !== undefined) other.srttMs *= forget;
      return up;
    }
    const first = policy === 'random' ? Math.floor(Math.random() * up.length) : this.#turn++ % up.length;
    return [...up.slice(first), ...up.slice(0, first)];
  }

  #read(): void {
    const listed = this.#resolvConf?.changed();
    if (listed) this.#set([...this.#configured, ...listed]);
  }

  /** One that stays keeps what is known of it. */
  #set(upstreams: readonly Upstream[]): void {
    const before = new Map(this.#all.map((resolver) => [resolver.text, resolver]));
    const texts = new Set<string>();
    this.#all = [];
    for (const upstream of upstreams) {
      const text = upstreamText(upstream);
      if (texts.has(text)) continue;
      texts.add(text);
      this.#all.push(before.get(text) ?? new Resolver(upstream, this.#options));
    }
    for (const [text, resolver] of before) if (!texts.has(text)) resolver.close();
  }
}
