import { Prefix } from '../../net/prefix.ts';
import { lowerName, parseName, rootName, type WireName } from '../wire/names.ts';
import { reverseZones } from '../zone/reverse.ts';
import { type CacheOptions, cacheDefaults } from './cache.ts';
import { policies, type Policy } from './group.ts';
import { parseUpstream } from './target.ts';

/** Resolvers for the names of one domain. */
export interface DomainOptions {
  /** `1.2.3.4`, `1.2.3.4:5353`, `fd00::1`, `[fd00::1]:5353`, `tcp://1.2.3.4`, `tls://1.2.3.4#dns.example`. None: these names are refused. */
  servers: readonly string[];
  /** Default `ordered`. */
  policy?: Policy;
}

/** How names that are not the cluster's are looked up: `upstream` of the configuration. */
export interface UpstreamOptions {
  /** As in DomainOptions. Asked before those of `resolvConf`. */
  servers?: readonly string[];
  /** Path of a resolv.conf; read again when it changes. */
  resolvConf?: string;
  policy?: Policy;
  /** Other resolvers for a domain and all below it (stub domains), the longest that fits; a key such as `10.0.0.0/8` means the reverse names of a range. */
  domains?: Readonly<Record<string, DomainOptions>>;
  /** Certificates (PEM) of the authorities for `tls://`; default: those that the machine trusts. */
  tlsCa?: string;
  /** One try at most, and all tries together (libc gives up after 5 s). Milliseconds; default 1500 and 4500. */
  timeoutMs?: number;
  deadlineMs?: number;
  /** Failures in a row after which a resolver is down. Default 2. */
  maxFails?: number;
  cache?: Partial<CacheOptions>;
  /** Questions that wait for resolvers at once: of all, and of one source. Default 1024 and 128. */
  mostUnderWay?: number;
  mostPerSource?: number;
  /** Questions of one source that go on to resolvers in a second: above, it is refused, so that its flood does not take the time of others. Default 2000. */
  perSourcePerSecond?: number;
  /** Ranges whose addresses outside names may not have: they are left out of answers (rebinding). `domains` are trusted. Default none. */
  denyAddresses?: readonly string[];
}

export interface ParsedUpstream {
  servers: readonly string[];
  resolvConf: string | undefined;
  policy: Policy;
  domains: { name: string; apexes: WireName[]; servers: readonly string[]; policy: Policy }[];
  tlsCa: string | undefined;
  timeoutMs: number;
  deadlineMs: number;
  maxFails: number;
  cache: CacheOptions;
  mostUnderWay: number;
  mostPerSource: number;
  perSourcePerSecond: number;
  deny: Prefix[];
}

const fields: Record<keyof UpstreamOptions, true> = {
  ...{
    servers: true,
    resolvConf: true,
    policy: true,
    domains: true,
    tlsCa: true,
    timeoutMs: true,
    deadlineMs: true,
    maxFails: true,
  },
  ...{ cache: true, mostUnderWay: true, mostPerSource: true, perSourcePerSecond: true, denyAddresses: true },
};

/** Smallest and largest value of each number. */
const ranges: Record<string, [number, number]> = {
  ...{
    timeoutMs: [50, 60_000],
    deadlineMs: [100, 600_000],
    maxFails: [1, 1000],
    mostUnderWay: [1, 16_384],
    mostPerSource: [1, 16_384],
  },
  ...{
    'cache.bytes': [0, 2 ** 32],
    'cache.minTtl': [0, 3600],
    'cache.maxTtl': [0, 604_800],
    'cache.maxNegativeTtl': [0, 86_400],
  },
  ...{ perSourcePerSecond: [1, 1_000_000] },
  ...{ 'cache.staleSeconds': [0, 604_800] },
};

/**
 * Reads and judges `upstream`.
 * @throws SyntaxError that names the field, the value seen and what is expected; the field is told from `upstream` on
 */
export function parseUpstreamOptions(input: UpstreamOptions = {}): ParsedUpstream {
  known('upstream', input, Object.keys(fields));
  known('upstream.cache', input.cache ?? {}, Object.keys(cacheDefaults));
  const cache = { ...cacheDefaults, ...input.cache };
  const numbers = {
    ...{ timeoutMs: input.timeoutMs ?? 1500, deadlineMs: input.deadlineMs ?? 4500, maxFails: input.maxFails ?? 2 },
    ...{
      mostUnderWay: input.mostUnderWay ?? 1024,
      mostPerSource: input.mostPerSource ?? 128,
      perSourcePerSecond: input.perSourcePerSecond ?? 2000,
    },
  };
  const all = { ...numbers, ...Object.fromEntries(Object.entries(cache).map(([key, value]) => [`cache.${key}`, value])) };
  for (const [key, value] of Object.entries<unknown>(all)) {
    const [least, most] = ranges[key]!;
    if (!Number.isInteger(value) || (value as number) < least || (value as number) > most)
      throw new SyntaxError(`upstream.${key} must be a whole number from ${least} to ${most}, not ${JSON.stringify(value)}`);
  }
  for (const key of ['resolvConf', 'tlsCa'] as const)
    if (input[key] !== undefined && typeof input[key] !== 'string')
      throw new SyntaxError(`upstream.${key} must be a path, not ${JSON.stringify(input[key])}`);
  return {
    ...numbers,
    cache,
    servers: serversOf('upstream.servers', input.servers ?? []),
    policy: policyOf('upstream.policy', input.policy),
    ...{ resolvConf: input.resolvConf, tlsCa: input.tlsCa },
    domains: Object.entries(input.domains ?? {}).map(([name, domain]) => parseDomain(name, domain)),
    deny: field('upstream.denyAddresses', () => (input.denyAddresses ?? []).map(Prefix.parse)),
  };
}

function parseDomain(name: string, domain: DomainOptions): ParsedUpstream['domains'][number] {
  const at = `upstream.domains["${name}"]`;
  known(at, domain, ['servers', 'policy']);
  return {
    name,
    apexes: field(at, () => (name.includes('/') ? reverseZones(Prefix.parse(name)) : [apexOf(name)])),
    servers: serversOf(`${at}.servers`, domain.servers),
    policy: policyOf(`${at}.policy`, domain.policy),
  };
}

function apexOf(name: string): WireName {
  const apex = lowerName(parseName(name));
  if (apex === rootName) throw new SyntaxError('the root is not a domain of its own: name its resolvers in upstream.servers');
  return apex;
}

function serversOf(at: string, servers: readonly string[]): readonly string[] {
  if (!Array.isArray(servers)) throw new SyntaxError(`${at} must be a list of resolvers, not ${JSON.stringify(servers)}`);
  field(at, () => servers.map((text) => parseUpstream(String(text))));
  return servers;
}

function policyOf(at: string, policy: Policy = 'ordered'): Policy {
  if (!policies.includes(policy))
    throw new SyntaxError(`${at} must be one of ${policies.join(', ')}, not ${JSON.stringify(policy)}`);
  return policy;
}

function known(at: string, input: object, names: readonly string[]): void {
  if (typeof input !== 'object' || input === null || Array.isArray(input))
    throw new SyntaxError(`${at} must be an object, not ${JSON.stringify(input)}`);
  const unknown = Object.keys(input).find((key) => !names.includes(key));
  if (unknown !== undefined) throw new SyntaxError(`unknown field "${at}.${unknown}"; known are ${names.join(', ')}`);
}

function field<T>(at: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    throw new SyntaxError(`${at}: ${(cause as Error).message}`, { cause });
  }
}
