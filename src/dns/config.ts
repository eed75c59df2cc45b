import { IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { checkSource, type CustomSourceOptions } from './custom/source.ts';
import { parseUpstreamOptions, type UpstreamOptions } from './forward/options.ts';
import { parseUpstream, type Upstream } from './forward/target.ts';
import { type LimitOptions, type ParsedLimits, parseLimits } from './limits/limits.ts';
import { labelsOf, parseName } from './wire/names.ts';

/** `podnet dns --config FILE`: JSON of this shape. */
export interface DnsConfig {
  /** Path of a kubeconfig; without it, the service account of the pod that this process runs in. */
  kubeconfig?: string;
  /** The addresses to answer on. They need not stand on an interface; a `local` route must lead to them. */
  listen: string[];
  /** Default 53. */
  port?: number;
  /** Default `cluster.local`. */
  zone?: string;
  /** Ranges that have reverse zones here; other reverse names are forwarded. */
  podCidrs: string[];
  serviceCidrs: string[];
  /** `<a-b-c-d>.<namespace>.pod.<zone>`: for pods that exist (default), or for none. */
  pods?: 'verified' | 'disabled';
  /** Seconds that answers about the cluster hold, 0 to 3600. Default 5 (D15). */
  ttl?: number;
  /** Endpoints of headless Services that have no hostname are named as their pods, not by their addresses (D6). */
  endpointPodNames?: boolean;
  /** Hosts and rewrite rules by hand, from a file or a ConfigMap; see custom/. */
  custom?: CustomSourceOptions;
  /** Who is answered, and how often. */
  limits?: LimitOptions;
  /** Without it, other names than the cluster's are refused. */
  upstream?: UpstreamOptions & {
    /** Network namespace that the questions to resolvers are asked from, e.g. `/proc/1/ns/net`. */
    netns?: string;
  };
  /**
   * Walks a pod's search path in its place: one question for each family where ndots:5 makes four and more. Default true; needs `pods: verified`.
   * Who is no pod, or has another search path, gets what it asks for.
   */
  searchWalk?: boolean;
  /** The resolv.conf whose search domains kubelet gives to pods, if any. Default: `upstream.resolvConf`. */
  hostResolvConf?: string;
  /** This node's name: search paths of pods of other nodes, which ask here when their own DNS is not ready, are not walked. */
  nodeName?: string;
  /** `ADDRESS:PORT` for /metrics over HTTP, e.g. `127.0.0.1:9153`; without it they are on the health socket only. */
  metricsListen?: string;
  /** Unix socket for /ready, /health, /status, /metrics, /log and /explain. */
  healthSocket?: string;
  /**
   * Folder (0700) of what processes leave to each other, of which one takes the sockets over from the other: see process/README.md. Without it a new process
   * finds the ports taken as long as another one lives.
   */
  runDir?: string;
  /** A second process that knows all names waits, to go on within a moment when the first one fails. Default true. */
  standby?: boolean;
  /** It is started so long after the first one knows the names, which has the processor for itself until then. Default 5000. */
  standbyAfterMs?: number;
}

export interface ParsedConfig {
  kubeconfig: string | undefined;
  listen: IpAddr[];
  port: number;
  zone: string;
  ranges: Prefix[];
  pods: 'verified' | 'disabled';
  ttl: number | undefined;
  endpointPodNames: boolean;
  custom: CustomSourceOptions | undefined;
  upstream: DnsConfig['upstream'];
  limits: ParsedLimits;
  metricsListen: Upstream | undefined;
  searchWalk: boolean;
  hostResolvConf: string | undefined;
  nodeName: string | undefined;
  healthSocket: string | undefined;
  runDir: string | undefined;
  standby: boolean;
  standbyAfterMs: number;
}

const fields: Record<keyof DnsConfig, true> = {
  ...{ kubeconfig: true, listen: true, port: true, zone: true, podCidrs: true, serviceCidrs: true, pods: true },
  ...{ ttl: true, endpointPodNames: true, custom: true },
  ...{ searchWalk: true, hostResolvConf: true, nodeName: true, metricsListen: true },
  ...{ limits: true, upstream: true, healthSocket: true, runDir: true, standby: true, standbyAfterMs: true },
};

/**
 * Reads and judges a configuration.
 * @throws SyntaxError that names the field, the value seen and what is expected
 */
export function parseConfig(input: DnsConfig): ParsedConfig {
  const unknown = Object.keys(input).find((key) => !(key in fields));
  if (unknown)
    throw new SyntaxError(`dns configuration: unknown field "${unknown}"; known are ${Object.keys(fields).join(', ')}`);
  const { port = 53, zone = 'cluster.local', pods = 'verified', standbyAfterMs = 5000 } = input;
  if (!Number.isInteger(port) || port < 0 || port > 65535)
    throw new SyntaxError(`dns configuration: port must be 0 to 65535, not ${JSON.stringify(port)}`);
  if (!Number.isInteger(standbyAfterMs) || standbyAfterMs < 0)
    throw new SyntaxError(`dns configuration: standbyAfterMs must be a number of milliseconds, not ${JSON.stringify(standbyAfterMs)}`);
  if (pods !== 'verified' && pods !== 'disabled')
    throw new SyntaxError(`dns configuration: pods must be verified or disabled, not ${JSON.stringify(pods)}`);
  const { ttl, endpointPodNames = false } = input;
  if (ttl !== undefined && !(Number.isInteger(ttl) && ttl >= 0 && ttl <= 3600))
    throw new SyntaxError(`dns configuration: ttl must be 0 to 3600, not ${JSON.stringify(ttl)}`);
  if (typeof endpointPodNames !== 'boolean')
    throw new SyntaxError(`dns configuration: endpointPodNames must be true or false, not ${JSON.stringify(endpointPodNames)}`);
  const { searchWalk = pods === 'verified' } = input;
  if (typeof searchWalk !== 'boolean')
    throw new SyntaxError(`dns configuration: searchWalk must be true or false, not ${JSON.stringify(searchWalk)}`);
  if (searchWalk && pods !== 'verified')
    throw new SyntaxError('dns configuration: searchWalk needs pods: verified, which tells who asks');
  if (!Array.isArray(input.listen) || input.listen.length === 0)
    throw new SyntaxError('dns configuration: listen must name at least one address');
  const field = <T>(name: string, parse: () => T): T => {
    try {
      return parse();
    } catch (cause) {
      throw new SyntaxError(`dns configuration: ${name}: ${(cause as Error).message}`, { cause });
    }
  };
  let limits: ParsedLimits;
  try {
    limits = parseLimits(input.limits);
    const { netns: _, ...upstream } = input.upstream ?? {};
    parseUpstreamOptions(upstream);
  } catch (cause) {
    throw new SyntaxError(`dns configuration: ${(cause as Error).message}`, { cause });
  }
  field('zone', () => {
    if (labelsOf(parseName(zone)).length === 0) throw new SyntaxError('the root cannot be the cluster domain');
  });
  return {
    ...{ kubeconfig: input.kubeconfig, port, zone, pods, healthSocket: input.healthSocket },
    ...{ runDir: input.runDir, standby: input.standby ?? true, standbyAfterMs },
    listen: field('listen', () => input.listen.map(IpAddr.parse)),
    ranges: [
      ...field('podCidrs', () => (input.podCidrs ?? []).map(Prefix.parse)),
      ...field('serviceCidrs', () => (input.serviceCidrs ?? []).map(Prefix.parse)),
    ],
    limits,
    upstream: input.upstream,
    ...{ searchWalk, hostResolvConf: input.hostResolvConf ?? input.upstream?.resolvConf, nodeName: input.nodeName },
    ...{ ttl, endpointPodNames, custom: field('custom', () => (input.custom === undefined ? undefined : checkSource(input.custom))) },
    metricsListen: field('metricsListen', () => (input.metricsListen === undefined ? undefined : parseUpstream(input.metricsListen))),
  };
}
