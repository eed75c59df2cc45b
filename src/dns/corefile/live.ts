import type { DnsConfig, ParsedConfig } from '../config.ts';
import type { Forwarder } from '../forward/forwarder.ts';
import { parseUpstreamOptions, type UpstreamOptions } from '../forward/options.ts';
import type { TranslatedConfig, TranslatedUpstream, Translation } from './translation.ts';

export interface LiveOptions {
  /** What this process was started with. */
  config: ParsedConfig;
  /** Undefined: it forwards nothing. */
  forwarder: Forwarder | undefined;
  /** Seconds that answers about the cluster hold. */
  setTtl(ttl: number | undefined): void;
}

/** What a Corefile says beside hosts and rewrite, ready to be put in force. */
export interface Prepared {
  /** Of lines that are not in force, or mean something else. */
  notes: string[];
  apply(): void;
}

type Translated = Pick<Translation, 'config' | 'notes' | 'lines'>;

/** Fields that take a new process, and what this one does without them being said. */
const started: { readonly [K in Exclude<keyof TranslatedConfig, 'upstream' | 'ttl'>]-?: (config: ParsedConfig) => DnsConfig[K] } = {
  kubeconfig: ({ kubeconfig }) => kubeconfig,
  port: ({ port }) => port,
  zone: ({ zone }) => zone.replace(/\.$/, ''),
  pods: ({ pods }) => pods,
  endpointPodNames: ({ endpointPodNames }) => endpointPodNames,
  searchWalk: ({ searchWalk }) => searchWalk,
  metricsListen: ({ metricsListen: to }) => to && `${to.address.family === 'ipv6' ? `[${to.address}]` : to.address}:${to.port}`,
};

/**
 * Follows a Corefile while the process runs: resolvers, stub domains, the cache's settings and the TTL of cluster names are as it says from the next question on, before what the process was
 * configured with. What takes a new process is named, where it is not what is in force.
 */
export class LiveCorefile {
  readonly #options: LiveOptions;

  constructor(options: LiveOptions) {
    this.#options = options;
  }

  /**
   * @param translated undefined: there is no Corefile (any more), and the configuration alone counts
   * @throws SyntaxError when it says what is not possible
   */
  prepare(translated: Translated | undefined): Prepared {
    const { config, forwarder, setTtl } = this.#options;
    const { upstream, ttl } = translated?.config ?? {};
    const merged = mergedUpstream(config.upstream, upstream);
    parseUpstreamOptions(merged);
    return {
      notes: translated ? this.#notes(translated) : [],
      apply: () => {
        forwarder?.configure(merged);
        setTtl(ttl ?? config.ttl);
      },
    };
  }

  #notes({ config, notes, lines }: Translated): string[] {
    const own = this.#options.config;
    const all = notes.map(({ line, text, why }) => ({ line, text, why }));
    const note = (field: keyof TranslatedConfig, why: string): void => {
      const { line = 0, words = [] } = lines.get(field) ?? {};
      all.push({ line, text: words.join(' '), why });
    };
    for (const field of Object.keys(started) as (keyof typeof started)[]) {
      const [said, is] = [config[field], started[field](own)];
      if (said !== undefined && said !== is) note(field, `taken at the start only: this process has ${field} ${JSON.stringify(is ?? 'unset')}; podnet dns translate says what to start it with`);
    }
    if (config.upstream?.servers ?? config.upstream?.resolvConf ?? config.upstream?.domains)
      if (!this.#options.forwarder) note('upstream', 'this process forwards nothing: its configuration has no upstream');
    return all.sort((a, b) => a.line - b.line).map(({ line, text, why }) => `Corefile:${line}: ${text}: ${why}`);
  }
}

/** Resolvers that a Corefile names replace those of the configuration, domains come beside; which file the host's resolvers stand in, the node knows better (R9). */
function mergedUpstream({ netns: _, ...own }: NonNullable<DnsConfig['upstream']> = {}, said: TranslatedUpstream = {}): UpstreamOptions {
  const { servers, resolvConf, policy, ...rest } = own;
  const names = said.servers !== undefined || said.resolvConf !== undefined;
  const others = names
    ? { servers: said.servers, policy: said.policy, ...(said.resolvConf === undefined ? {} : { resolvConf: resolvConf ?? said.resolvConf }) }
    : { servers, resolvConf, policy };
  return {
    ...rest,
    ...said,
    ...others,
    domains: { ...own.domains, ...said.domains },
    cache: { ...own.cache, ...said.cache },
  };
}
