import { closeSync } from 'node:fs';
import { KernelError } from '../kernel/errors.ts';
import { NetNs } from '../kernel/netns.ts';
import { bindUdp, listenTcp, localEndpoint } from '../kernel/sockets.ts';
import type { Api } from '../kube/api.ts';
import { KubeClient } from '../kube/client.ts';
import type { IpAddr } from '../net/ip.ts';
import { type DnsConfig, type ParsedConfig, parseConfig } from './config.ts';
import { Forwarder } from './forward/forwarder.ts';
import { Upstreams, upstreamText } from './forward/upstreams.ts';
import { newMetrics } from './metrics.ts';
import { serveMetrics } from './monitoring/listen.ts';
import { Monitoring } from './monitoring/monitoring.ts';
import { Pipeline, stagesOf } from './pipeline.ts';
import { type DnsStatus, serveHealth } from './serve/health.ts';
import { serveTcp } from './serve/tcp.ts';
import { serveUdp } from './serve/udp.ts';
import { HostFile } from './search/host-file.ts';
import { SearchLists } from './search/search-lists.ts';
import { Sources } from './sources.ts';
import { ZoneAnswerer } from './zone/answer.ts';
import { ClusterZone } from './zone/cluster.ts';

export type { DnsConfig } from './config.ts';
export type { DnsStatus } from './serve/health.ts';

export interface DnsServer extends AsyncDisposable {
  /** Fulfilled when all objects are known and cluster names are answered. */
  readonly ready: Promise<void>;
  status(): DnsStatus;
  /** Stops answering and watching. */
  close(): Promise<void>;
}

export interface DnsDependencies {
  /** In place of the API server of the configuration. */
  api?: Api;
  /** Where to listen; by default the namespace of the process. */
  netns?: NetNs;
  log?: (line: string) => void;
}

/**
 * Starts the cluster's DNS: answers at once (SERVFAIL for cluster names until all objects are known, D16), and goes on with what it knows when the
 * API server is away.
 * @throws SyntaxError on a wrong configuration, KubeconfigError, KernelError when an address or port cannot be had
 */
export async function startDns(config: DnsConfig, dependencies: DnsDependencies = {}): Promise<DnsServer> {
  const parts = new Parts();
  try {
    return await start(parseConfig(config), dependencies, parts);
  } catch (error) {
    await parts.close();
    throw error;
  }
}

async function start(config: ParsedConfig, dependencies: DnsDependencies, parts: Parts): Promise<DnsServer> {
  const { listen, port, upstream } = config;
  const { log = (line) => console.error(`dns: ${line}`) } = dependencies;
  const metrics = newMetrics();

  const cluster = new ClusterZone({ zone: config.zone, ranges: config.ranges, servers: listen });
  const api = dependencies.api ?? parts.add(clientOf(config.kubeconfig));
  const sources = new Sources(api, cluster, {
    pods: config.pods === 'verified',
    onError: (kind, error) => log(`${kind}: ${error.message}; going on with what is known`),
  });

  const now = (): number => performance.now();
  const own = listen.map((address) => upstreamText({ address, port }));
  const upstreams = upstream && new Upstreams(upstream, own, now);
  const netns = upstream?.netns === undefined ? undefined : parts.add(NetNs.open(upstream.netns));
  const forwarder = upstreams && new Forwarder({
    ...{ upstreams, netns, metrics, now, timeoutMs: upstream?.timeoutMs },
    isOwn: (name) => cluster.zones.apexOf(name) !== undefined,
  });
  if (forwarder) parts.add(forwarder);

  let synced = false;
  const answerer = new ZoneAnswerer(cluster.zones, cluster.ttl);
  const isSynced = (): boolean => synced;
  const monitoring = new Monitoring({ metrics, cluster, isSynced, forwarder, port });
  const { log: logTap, onWalk } = monitoring;
  const search = config.searchWalk ? { cluster, lists: searchListsOf(config, now), onWalk } : undefined;
  const stages = stagesOf({ zones: cluster.zones, answerer, isSynced, forwarder, search });
  const pipeline = new Pipeline(stages, metrics, { recursionAvailable: forwarder !== undefined, log: logTap });

  const listening: string[] = [];
  for (const address of listen) {
    const sockets = openSockets(dependencies.netns, address, port, config.reusePort);
    listening.push(upstreamText(localEndpoint(sockets.udp)));
    parts.add(await serveUdp(sockets.udp, pipeline, metrics));
    parts.add(await serveTcp(sockets.tcp, pipeline, metrics));
  }
  parts.add(sources).start();
  const ready = sources.synced.then(() => {
    synced = true;
  });
  // Learns early whether a resolver leads back here.
  if (forwarder) for (const candidate of upstreams!.candidates()) void forwarder.probe.leadsBack(candidate);

  const status = (): DnsStatus => ({
    ...{ ready: synced, sources: sources.describe(), names: cluster.zones.size, listen: listening, metrics },
    upstreams: forwarder?.describe() ?? [],
    ...(upstreams?.fault ? { upstreamFault: upstreams.fault } : {}),
  });
  if (config.healthSocket !== undefined) parts.add(await serveHealth(config.healthSocket, status, monitoring.paths));
  if (config.metricsListen) parts.add(await serveMetrics(config.metricsListen, () => monitoring.metrics(), dependencies.netns));
  const close = (): Promise<void> => parts.close();
  return { ready, status, close, [Symbol.asyncDispose]: close };
}

/** What was opened, closed in reverse. */
class Parts {
  readonly #all: (Disposable | AsyncDisposable)[] = [];

  add<T extends Disposable | AsyncDisposable>(part: T): T {
    this.#all.push(part);
    return part;
  }

  async close(): Promise<void> {
    for (let part = this.#all.pop(); part; part = this.#all.pop()) {
      if (Symbol.asyncDispose in part) await part[Symbol.asyncDispose]();
      else part[Symbol.dispose]();
    }
  }
}

function searchListsOf({ zone, listen, hostResolvConf, nodeName }: ParsedConfig, now: () => number): SearchLists {
  const host = hostResolvConf === undefined ? undefined : new HostFile(hostResolvConf, now);
  return new SearchLists({ zone, servers: listen.map(String), host, nodeName });
}

const clientOf = (kubeconfig: string | undefined): KubeClient =>
  kubeconfig === undefined
    ? KubeClient.inCluster({ userAgent: 'podnet-dns' })
    : KubeClient.fromKubeconfig(kubeconfig, { userAgent: 'podnet-dns' });

/** A port that is free for UDP need not be so for TCP: how often another one is tried where any will do. */
const portAttempts = 50;

/**
 * The address need not be on an interface (free bind): a `local` route brings the packets here.
 * @param port 0 is any that is free for both protocols
 */
function openSockets(ns: NetNs | undefined, address: IpAddr, port: number, reusePort: boolean): { udp: number; tcp: number } {
  for (let attempt = 1; ; attempt++) {
    const udp = bindUdp(ns, address, port, { freebind: true, reusePort, receiveBufferBytes: 4 << 20, sendBufferBytes: 4 << 20 });
    try {
      const tcp = listenTcp(ns, address, localEndpoint(udp).port, { freebind: true, reusePort });
      return { udp, tcp };
    } catch (error) {
      closeSync(udp);
      const taken = error instanceof KernelError && error.errno === 'EADDRINUSE';
      if (port !== 0 || !taken || attempt === portAttempts) throw error;
    }
  }
}
