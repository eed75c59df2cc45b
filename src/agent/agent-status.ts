import type { Ipam } from '../ipam/index.ts';
import type { Attacher } from '../links/index.ts';
import type { Reconciler } from '../reconcile/index.ts';
import { formerRange } from './addresses/former-range.ts';
import type { PodAttachments } from './attach/attachments.ts';
import type { Door } from './attach/door.ts';
import type { Gate } from './attach/gate.ts';
import type { HostPorts } from './attach/hostports.ts';
import type { NetworkConfig } from './attach/network-config.ts';
import type { DnsReadiness } from './dns/readiness.ts';
import type { Foreigners } from './foreign.ts';
import type { ConntrackLimits } from './node/conntrack-limits.ts';
import { reducedProblems } from './node/reduced.ts';
import type { NodeNetwork } from './node/network.ts';
import type { PolicyPath } from './policy/path.ts';
import type { Announcements } from './services/announcements.ts';
import type { HealthPorts } from './services/health-ports.ts';
import type { Entrances } from './entrances/entrances.ts';
import type { ServicePath } from './services/path.ts';
import type { ProxyHealth } from './services/proxy-health.ts';
import type { TakenNodePorts } from './services/taken-node-ports.ts';
import type { Settings } from './settings.ts';
import { type AgentStatus, scarce, summarize, unwritable } from './status.ts';
import type { Sources } from './watch/sources.ts';
import type { NodeView } from './watch/views.ts';

/** The parts of an agent that have something to tell. */
export interface Tellers {
  settings: Settings;
  gate: Gate;
  network: NodeNetwork;
  peers: ReadonlyMap<string, NodeView>;
  sources: Sources;
  reconciler: Reconciler;
  counts: Pick<AgentStatus['reconciler'], 'syncs' | 'fullChecks' | 'operations'>;
  lastDrift: string | undefined;
  attachments: PodAttachments;
  attacher: Attacher;
  ipam: Ipam;
  door: Door;
  foreigners: Foreigners;
  networkConfig: NetworkConfig;
  hostPorts: HostPorts;
  healthPorts: HealthPorts;
  proxyHealth: ProxyHealth;
  takenNodePorts: TakenNodePorts;
  conntrackLimits: ConntrackLimits | undefined;
  policies: PolicyPath;
  entrances: Entrances;
  /** Of the writer of nftables. */
  reduced: ReadonlyMap<string, string>;
  /** These are there once everything is known. */
  services: ServicePath | undefined;
  announcements: Announcements | undefined;
  dns: DnsReadiness | undefined;
}

/** What the agent answers to whoever asks how it is. */
export function agentStatus(parts: Tellers): AgentStatus {
  const { settings, gate, network, sources, reconciler, ipam, services, announcements, dns, lastDrift } = parts;
  const { nodeName, families, attach } = settings;
  const { facts, linkNode } = network;
  const { why } = gate;
  return {
    ...{ node: nodeName, families, attach, ready: why === undefined, ...(why === undefined ? {} : { why }) },
    podCidrs: (facts?.self.podCidrs ?? []).map(String),
    addresses: (facts?.self.addresses ?? []).map(String),
    ...(linkNode ? { podMtu: linkNode.podMtu } : {}),
    sources: sources.describe(),
    reconciler: {
      ...summarize(reconciler.statuses()),
      ...parts.counts,
      ...(lastDrift === undefined ? {} : { lastDrift }),
    },
    attachments: parts.attachments.attached.size,
    leases: ipam.use().map(({ prefix, used, capacity }) => ({ prefix: String(prefix), used, free: capacity - used })),
    ...(dns ? { dnsAnswered: dns.ready } : {}),
    ...(announcements ? { announced: announcements.announced().map(String) } : {}),
    staleUdpDeleted: services?.deleted ?? 0,
    ...(services ? { programming: services.latency.status() } : {}),
    door: parts.door.dropped(),
    policy: parts.policies.status(),
    problems: problemsOf(parts),
    warnings: [...parts.foreigners.warnings, ...parts.takenNodePorts.warnings, ...(parts.conntrackLimits?.warnings ?? [])],
    foreign: parts.foreigners.state,
    memoryMb: Math.round(process.memoryUsage.rss() / (1 << 20)),
  };
}

function problemsOf({ network, ipam, reconciler, hostPorts, peers, ...parts }: Tellers): string[] {
  return [
    ...network.problems,
    ...parts.door.problems(),
    ...parts.foreigners.problems,
    ...parts.attachments.attached.lost(),
    ...formerRange(ipam, peers.values()),
    ...parts.attacher.problems(),
    ...parts.networkConfig.problems(),
    ...parts.entrances.problems(),
    ...parts.policies.problems,
    ...reducedProblems(parts.reduced),
    ...parts.healthPorts.problems,
    ...parts.proxyHealth.problems,
    ...hostPorts.clashes(reconciler.actual(), network.facts?.self.addresses ?? []),
    ...scarce(ipam.use()),
    ...unwritable(ipam.storageFault()),
    ...ipam.damaged().map(({ file, why }) => `the lease ${file} cannot be read: ${why}`),
  ];
}
