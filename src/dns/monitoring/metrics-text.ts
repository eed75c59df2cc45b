import type { Custom } from '../custom/custom.ts';
import type { Forwarder } from '../forward/forwarder.ts';
import { durationBounds } from '../forward/resolver.ts';
import type { LimitCounters } from '../limits/limits.ts';
import type { Metrics } from '../metrics.ts';
import type { ClusterZone } from '../zone/cluster.ts';
import { Exposition } from './exposition.ts';
import type { LogTap } from './log-tap.ts';
import { protocols } from './traffic.ts';

export interface MetricsParts {
  metrics: Metrics;
  cluster: ClusterZone;
  isSynced: () => boolean;
  forwarder?: Forwarder;
  log?: LogTap;
  /** Search paths that were walked, with and without a name at their end. */
  walks: { found: number; nothing: number };
  version: string;
  port: number;
  limits?: LimitCounters;
  custom?: () => Custom | undefined;
}

/** Which of CoreDNS' plugins does what a stage does, so that its dashboards tell the same. */
const plugins: Record<string, string> = {
  ...{ zone: 'kubernetes', forward: 'forward', search: 'autopath', hosts: 'hosts', rewrite: 'rewrite', refuse: 'acl', loop: 'loop' },
};

/**
 * All that can be counted, for Prometheus. Where the meaning is that of a metric of CoreDNS 1.12, it has its name and labels (`server`, `zone` and
 * `view` as of a Corefile with one block for `.`); what only podnet has begins with `podnet_dns_`.
 */
export function metricsText(parts: MetricsParts): string {
  const out = new Exposition();
  const server = { server: `dns://:${parts.port}` };
  requests(out, parts, server);
  cache(out, parts, server);
  upstreams(out, parts);
  entries(out, parts.custom?.());
  own(out, parts);
  aboutProcess(out, parts);
  return out.toString();
}

function requests(out: Exposition, { metrics, walks }: MetricsParts, server: { server: string }): void {
  const { traffic } = metrics;
  const where = { ...server, zone: '.', view: '' };
  out
    .counter(
      'coredns_dns_requests_total',
      'Questions by protocol, family (1: IPv4, 2: IPv6) and type.',
      traffic.requests().map(({ value, ...labels }) => [{ ...where, ...labels }, value]),
    )
    .counter(
      'coredns_dns_responses_total',
      'Answers by response code and by what answered.',
      traffic.responses().map(({ rcode, stage, value }) => [{ ...where, rcode, plugin: plugins[stage] ?? stage }, value]),
    )
    .counter(
      'coredns_dns_do_requests_total',
      'Questions with the DNSSEC OK bit.',
      [[where, protocols.reduce((sum, proto) => sum + traffic.dnssecOk(proto), 0)]],
    )
    .histogram('coredns_dns_request_duration_seconds', 'Time to an answer; of those that are ready at once, one in 32 is timed and counts for all.', [
      [where, traffic.seconds],
    ])
    .histogram('coredns_dns_request_size_bytes', 'Size of questions.', sizes(traffic.requestBytes, where))
    .histogram('coredns_dns_response_size_bytes', 'Size of answers.', sizes(traffic.responseBytes, where))
    .counter('coredns_panics_total', 'Faults of the program while answering; the asker got SERVFAIL.', [[{}, metrics.faults]])
    .counter('coredns_autopath_success_total', 'Search paths walked in place of a pod, with a name found.', [[server, walks.found]]);
}

const sizes = (both: Metrics['traffic']['requestBytes'], where: Record<string, string>) =>
  protocols.map((proto, i) => [{ ...where, proto }, both[i]!] as const);

function cache(out: Exposition, { forwarder }: MetricsParts, server: { server: string }): void {
  if (!forwarder) return;
  const { counters } = forwarder;
  const where = { ...server, zones: '.', view: '' };
  const held = forwarder.describeCache();
  const hits = counters.hitsSuccess + counters.hitsDenial;
  out
    .counter('coredns_cache_requests_total', 'Questions that the cache was asked for.', [[where, hits + counters.misses]])
    .counter('coredns_cache_hits_total', 'Answers out of the cache.', [
      [{ ...where, type: 'success' }, counters.hitsSuccess],
      [{ ...where, type: 'denial' }, counters.hitsDenial],
    ])
    .counter('coredns_cache_misses_total', 'Questions that the cache could not answer.', [[where, counters.misses]])
    .gauge('coredns_cache_entries', 'Answers in the cache.', [
      [{ ...where, type: 'success' }, held.entries - held.denials],
      [{ ...where, type: 'denial' }, held.denials],
    ])
    .counter('coredns_cache_evictions_total', 'Answers thrown away to make room.', [
      [{ ...where, type: 'success' }, forwarder.cache.evictions.success],
      [{ ...where, type: 'denial' }, forwarder.cache.evictions.denial],
    ])
    .gauge('podnet_dns_cache_bytes', 'What the cache takes.', [[{}, held.bytes]])
    .counter('coredns_cache_prefetch_total', 'Answers fetched anew before their end.', [[where, counters.prefetches]])
    .counter('coredns_cache_served_stale_total', 'Answers given past their end.', [[where, counters.servedStale]]);
}

function upstreams(out: Exposition, { forwarder, metrics }: MetricsParts): void {
  if (!forwarder) return;
  const { counters } = forwarder;
  const byReason = (counts: Record<string, number>): [Record<string, string>, number][] =>
    Object.entries(counts).map(([reason, count]) => [{ reason }, count]);
  // A resolver that stands in several groups is told once.
  const all = [...new Map(forwarder.describe().map((resolver) => [resolver.server, resolver])).values()];
  const perResolver = <T>(value: (resolver: (typeof all)[number]) => T): [{ to: string }, T][] => all.map((one) => [{ to: one.server }, value(one)]);
  const perProxy = <T>(value: (resolver: (typeof all)[number]) => T): [Record<string, string>, T][] =>
    all.map((one) => [{ proxy_name: 'forward', to: one.server }, value(one)]);
  out
    .counter('coredns_forward_requests_total', 'Questions sent to resolvers.', perResolver(({ counters: { requests } }) => requests))
    .counter(
      'coredns_forward_responses_total',
      'Answers of resolvers.',
      all.flatMap(({ server, counters: { rcodes } }) => Object.entries(rcodes).map(([rcode, count]) => [{ to: server, rcode }, count] as const)),
    )
    .counter('coredns_forward_healthcheck_failures_total', 'Probes of resolvers that failed.', perResolver(({ counters: { probesFailed } }) => probesFailed))
    .counter('coredns_proxy_healthcheck_failures_total', 'The same, by its newer name.', perProxy(({ counters: { probesFailed } }) => probesFailed))
    .histogram(
      'coredns_proxy_request_duration_seconds',
      'Time to answers of resolvers.',
      perProxy(({ counters: { durations: counts, seconds: sum } }) => ({ bounds: durationBounds, counts, sum })),
    )
    .counter('coredns_proxy_conn_cache_hits_total', 'Questions over a connection that was there.', perProxy(({ connections: { reused } }) => reused))
    .counter('coredns_proxy_conn_cache_misses_total', 'Connections made to resolvers.', perProxy(({ connections: { made } }) => made))
    .gauge('podnet_dns_resolver_up', '1: asked first; 0: failed lately.', perResolver(({ state }) => (state === 'up' ? 1 : 0)))
    .counter('coredns_forward_max_concurrent_rejects_total', 'Refused: too many questions under way.', [
      [{}, counters.rejectedTotal + counters.rejectedSource],
    ])
    .counter('coredns_forward_healthcheck_broken_total', 'Every resolver was down when one was asked all the same.', [[{}, counters.allDown]])
    .counter('podnet_dns_forward_failures_total', 'Tries at resolvers that failed.', byReason(metrics.upstreamFailures))
    .counter('podnet_dns_forward_joined_total', 'Questions that waited for an equal one under way.', [[{}, counters.joined]])
    .counter('podnet_dns_forward_rejected_total', 'Refused by limit.', [
      [{ limit: 'total' }, counters.rejectedTotal],
      [{ limit: 'source' }, counters.rejectedSource],
    ])
    .counter('podnet_dns_forward_strays_total', 'Datagrams that came as answers and were none.', byReason(counters.strays))
    .counter('podnet_dns_forward_tcp_total', 'Questions asked again over TCP.', byReason(counters.overTcp));
}

function entries(out: Exposition, custom: Custom | undefined): void {
  if (!custom) return;
  const { hosts, rewrites, error } = custom.status();
  out
    .gauge('coredns_hosts_entries', 'Names and addresses with an entry by hand.', [[{}, hosts]])
    .gauge('podnet_dns_rewrite_rules', 'Rules for names by hand.', [[{}, rewrites]])
    .counter('podnet_dns_custom_reloads_total', 'Times that entries by hand were put in force, and were refused.', [
      [{ result: 'ok' }, custom.reloads],
      [{ result: 'failed' }, custom.failures],
    ])
    .gauge('podnet_dns_custom_failing', '1 while what there is now is not in force.', [[{}, error === undefined ? 0 : 1]]);
}

function own(out: Exposition, { metrics, cluster, isSynced, log, walks, limits }: MetricsParts): void {
  out
    .gauge('podnet_dns_synced', '1 once all objects of the cluster are known.', [[{}, isSynced() ? 1 : 0]])
    .gauge('podnet_dns_names', 'Names of the cluster.', [[{}, cluster.zones.size]])
    .gauge('podnet_dns_pods', 'Pods that are known by their address.', [[{}, cluster.pods.size]])
    .counter('podnet_dns_search_walks_total', 'Search paths walked in place of a pod.', [
      [{ found: 'true' }, walks.found],
      [{ found: 'false' }, walks.nothing],
    ])
    .counter('podnet_dns_ignored_total', 'Messages that are no question: answers, and what has no header.', [[{}, metrics.ignored]])
    .counter('podnet_dns_truncated_total', 'Answers that did not fit into a datagram.', [[{}, metrics.truncated]])
    .counter('podnet_dns_udp_errors_total', 'Batches of datagrams that the kernel would not take or give.', [[{}, metrics.udpErrors]])
    .counter('podnet_dns_tcp_connections_total', 'Connections accepted.', [[{}, metrics.tcpConnections]])
    .counter('podnet_dns_tcp_refused_total', 'Connections refused by limit.', [[{}, metrics.tcpRefused]])
    .counter('podnet_dns_strangers_total', 'Questions of those who are not answered here.', [[{}, limits?.strangers ?? 0]])
    .counter('podnet_dns_rate_limited_total', 'Equal answers above the rate, by what became of them: an empty one with TC, or none.', [
      [{ ruling: 'slip' }, limits?.slipped ?? 0],
      [{ ruling: 'drop' }, limits?.dropped ?? 0],
    ])
    .counter('podnet_dns_log_dropped_total', 'Entries that readers of the log were too slow for.', [[{}, log?.dropped ?? 0]]);
}

function aboutProcess(out: Exposition, { version }: MetricsParts): void {
  const { user, system } = process.cpuUsage();
  out
    .gauge('podnet_dns_build_info', 'Which program this is.', [[{ version, node: process.version }, 1]])
    .counter('process_cpu_seconds_total', 'User and system time.', [[{}, (user + system) / 1e6]])
    .gauge('process_resident_memory_bytes', 'Resident memory.', [[{}, process.memoryUsage.rss()]])
    .gauge('process_start_time_seconds', 'Since 1970.', [[{}, Math.round(Date.now() / 1000 - process.uptime())]]);
}
