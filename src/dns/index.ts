import { NetNs } from '../kernel/netns.ts';
import { localEndpoint } from '../kernel/sockets.ts';
import type { Api } from '../kube/api.ts';
import { KubeClient } from '../kube/client.ts';
import { addressBits, type IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { type DnsConfig, type ParsedConfig, parseConfig } from './config.ts';
import { LiveCorefile } from './corefile/live.ts';
import { Custom } from './custom/custom.ts';
import { CustomSource } from './custom/source.ts';
import { Explainer } from './explain/explain.ts';
import { explainPaths } from './explain/paths.ts';
import { Forwarder } from './forward/forwarder.ts';
import { upstreamText } from './forward/target.ts';
import { Limits, loopback } from './limits/limits.ts';
import { NodeClients } from './limits/nodes.ts';
import { newMetrics } from './metrics.ts';
import { serveMetrics } from './monitoring/listen.ts';
import { Monitoring } from './monitoring/monitoring.ts';
import { Pipeline, stagesOf } from './pipeline.ts';
import { resolvedPaths } from './resolved/paths.ts';
import { ResolvedNames } from './resolved/resolved-names.ts';
import { HostFile } from './search/host-file.ts';
import { SearchLists } from './search/search-lists.ts';
import { type DnsStatus, serveHealth } from './serve/health.ts';
import type { Service } from './serve/service.ts';
import { SharedListener } from './serve/shared-listener.ts';
import { type AddressSockets, listenForMetrics, openSockets } from './serve/sockets.ts';
import { TcpService } from './serve/tcp.ts';
import { UdpService } from './serve/udp.ts';
import { type Fact, Sources } from './sources.ts';
import type { ClientAddress } from './wire/client.ts';
import { ZoneAnswerer } from './zone/answer.ts';
import { ClusterZone } from './zone/cluster.ts';

export type { DnsConfig } from './config.ts';

export interface DnsServer extends AsyncDisposable {
  /** Fulfilled when all objects are known and cluster names are answered. */
  readonly ready: Promise<void>;
  /** Where the objects come from. */
  readonly sources: Sources;
  /** Undefined: nothing is forwarded. */
  readonly forwarder: Forwarder | undefined;
  /** All that the API server has told, to be remembered by another process (process/names-file.ts); and a number that changes with it. */
  facts(): Iterable<Fact>;
  readonly changes: () => number;
  status(): DnsStatus;
  /** Takes questions, from here on or again. */
  start(): void;
  /** Takes no question any more; they wait in the sockets. Answers under way are still sent. */
  stop(): void;
  /** After `stop`: fulfilled when none is under way any more. */
  drained(): Promise<void>;
  /** Takes what another process knew for true, until the API server has told all: cluster names are answered from now on (D16). */
  remember(facts: readonly Fact[]): void;
  /** Stops answering and watching. */
  close(): Promise<void>;
}

export interface DnsDependencies {
  /** In place of the API server of the configuration. */
  api?: Api;
  /** Where to listen; by default the namespace of the process. */
  netns?: NetNs;
  /** Opened by another process: for each address of `listen` its sockets, and those that listen for the health paths and for metrics. Owned from now on. */
  sockets?: { addresses: readonly AddressSockets[]; health?: number; metrics?: number };
  /** Not to take questions before `start`. */
  stopped?: boolean;
  /** More for the status. */
  describe?: () => object;
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

  const cluster = new ClusterZone({ zone: config.zone, ranges: config.ranges, servers: listen, ttl: config.ttl });
  const api = dependencies.api ?? parts.add(clientOf(config.kubeconfig));
  const sources = new Sources(api, cluster, {
    pods: config.pods === 'verified',
    endpointPodNames: config.endpointPodNames,
    onError: (kind, error) => log(`${kind}: ${error.message}; going on with what is known`),
  });

  const now = (): number => performance.now();
  const own = listen.map((address) => upstreamText({ address, port }));
  const netns = upstream?.netns === undefined ? undefined : parts.add(NetNs.open(upstream.netns));
  const { netns: _, ...upstreamOptions } = upstream ?? {};
  const forwarder = upstream && new Forwarder({
    ...{ upstream: upstreamOptions, own, netns, metrics, now },
    isOwn: (name) => cluster.zones.apexOf(name) !== undefined,
  });
  if (forwarder) parts.add(forwarder);

  let isKnown = false;
  const answerer = new ZoneAnswerer(cluster.zones, cluster.ttl);
  const isSynced = (): boolean => isKnown;
  // On loopback nobody but this machine asks.
  const nodes = config.limits.clients || listen.every(isLoopback) ? undefined : parts.add(new NodeClients(api, onNodesError(log)));
  // Pods may have addresses outside of the ranges.
  const clients = nodes && { has: (client: ClientAddress) => cluster.pods.knows(client) || nodes.has(client) };
  const limits = new Limits(config.limits, [...config.ranges, ...listen.map(onlyThis)], now, clients);
  const monitoring = new Monitoring({ metrics, cluster, isSynced, forwarder, port, limits: limits.counters, custom: () => custom });
  const { log: logTap, onWalk } = monitoring;
  const lists = searchListsOf(config, now);
  const search = config.searchWalk ? { cluster, lists, onWalk } : undefined;
  const custom = config.custom && new Custom(config.custom.file ?? `ConfigMap ${config.custom.configMap}`, log);
  const setTtl = (ttl: number | undefined): void => {
    cluster.setTtl(ttl);
    answerer.setTtl(cluster.ttl);
  };
  const live = new LiveCorefile({ config, forwarder, setTtl });
  const customSource = custom && parts.add(new CustomSource(custom, live, config.custom!, api));
  const stages = stagesOf({ zones: cluster.zones, answerer, isSynced, forwarder, search, custom });
  const pipeline = new Pipeline(stages, metrics, { recursionAvailable: forwarder !== undefined, log: logTap, limits });

  const services: Service[] = [];
  const serve = <S extends Service>(service: S): S => {
    services.push(parts.add(service));
    return service;
  };
  const listening: string[] = [];
  for (const [i, address] of listen.entries()) {
    const { udp, tcp } = dependencies.sockets?.addresses[i] ?? openSockets(dependencies.netns, address, port);
    listening.push(upstreamText(localEndpoint(udp)));
    serve(new UdpService(udp, pipeline, metrics));
    serve(new TcpService(tcp, pipeline, metrics));
  }
  customSource?.start();
  nodes?.start();
  parts.add(sources).start();
  let markReady = (): void => {};
  const ready = new Promise<void>((resolve) => {
    markReady = () => {
      isKnown = true;
      resolve();
    };
  });
  const customRead = customSource?.read;
  void Promise.all([sources.synced, customRead]).then(markReady);

  const status = (): DnsStatus => ({
    ...{ ready: isKnown, sources: sources.describe(), names: cluster.zones.size, listen: listening, metrics },
    upstreams: forwarder?.describe() ?? [],
    limits: { ...limits.counters, clients: clientsText(config, nodes) },
    ...(custom ? { custom: custom.status() } : {}),
    ...(forwarder ? { cache: forwarder.describeCache(), forward: forwarder.counters } : {}),
    ...(forwarder?.fault ? { upstreamFault: forwarder.fault } : {}),
    ...dependencies.describe?.(),
  });
  const resolved = new ResolvedNames();
  if (forwarder) forwarder.observe = (answer, ttl) => resolved.observe(answer, ttl);
  const resolving = resolvedPaths(resolved, () => forwarder?.known() ?? []);
  const paths = { ...monitoring.paths, ...resolving, ...explainPaths(new Explainer({ cluster, lists, stages })) };
  const { health, metrics: forMetrics } = dependencies.sockets ?? {};
  if (health !== undefined) serve(new SharedListener(health, (fd) => serveHealth({ fd }, status, paths)));
  else if (config.healthSocket !== undefined) parts.add(await serveHealth(config.healthSocket, status, paths));
  const text = (): string => monitoring.metrics();
  if (forMetrics !== undefined) serve(new SharedListener(forMetrics, (fd) => serveMetrics(fd, text)));
  else if (config.metricsListen) parts.add(await serveMetrics(listenForMetrics(config.metricsListen, dependencies.netns), text));
  const close = (): Promise<void> => parts.close();
  const server: DnsServer = {
    ...{ ready, sources, forwarder, status, close, [Symbol.asyncDispose]: close },
    *facts() {
      yield* sources.facts();
      if (customSource) yield* customSource.facts();
    },
    changes: () => sources.changes + (customSource?.changes ?? 0),
    start: () => {
      services.forEach((service) => service.start());
      // Learns early whether a resolver leads back here; one that does not listen would not see it.
      forwarder?.start();
    },
    stop: () => services.forEach((service) => service.stop()),
    drained: () => Promise.all(services.map((service) => service.drained())).then(() => undefined),
    remember: (facts) => {
      customSource?.remember(facts);
      sources.remember(facts);
      // Entries by hand come before the cluster's names.
      if (customRead) void customRead.then(markReady);
      else markReady();
    },
  };
  if (!dependencies.stopped) server.start();
  return server;
}

const isLoopback = (address: IpAddr): boolean => loopback.some((range) => range.contains(address));
const onlyThis = (address: IpAddr): Prefix => Prefix.parse(`${address}/${addressBits(address.family)}`);

/** Once: what is tried again and again says the same. */
function onNodesError(log: (line: string) => void): (error: Error) => void {
  let told = false;
  return (error) => {
    if (!told) log(`Nodes: ${error.message}; whoever can reach this server is answered until they are known, or limits.clients says who is`);
    told = true;
  };
}

/** Who is answered beside pods and this machine, for people. */
function clientsText({ limits: { clients } }: ParsedConfig, nodes: NodeClients | undefined): string {
  if (clients) return clients.join(' ');
  if (!nodes) return 'this machine';
  return nodes.isKnown ? `${nodes.size} Nodes` : `everybody, as the Nodes are not known yet${nodes.error ? `: ${nodes.error.message}` : ''}`;
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
