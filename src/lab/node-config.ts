import type { AgentConfig } from '../agent/config.ts';
import type { DnsConfig } from '../dns/config.ts';
import type { ImageMapping, RunnerConfig } from '../runner/config.ts';
import type { LabConfig } from './config.ts';
import type { LabNames } from './names.ts';
import { clusterDnsIps, type Topology, type UnderlayNode } from './topology.ts';

/** What the three processes of a node are told. */
export interface NodeProcesses {
  agent: AgentConfig;
  dns: DnsConfig;
  'lab-runner': RunnerConfig;
}

/** Network identifier and port of the lab's tunnels; 4789 is IANA's for VXLAN. */
const vxlan = { id: 1, port: 4789 };

/**
 * The configurations of one node's processes, as plain data.
 * @param host a path to the namespace that questions to the host's resolvers are asked from, and the file that names them
 */
export function nodeProcesses(
  names: LabNames,
  config: LabConfig,
  topology: Topology,
  node: UnderlayNode,
  host: { netns: string; resolvConf: string },
): NodeProcesses {
  const paths = names.node(node.name);
  const { kubeconfig } = paths;
  const clusterDns = clusterDnsIps(config).map(String);
  const addresses = node.interfaces.map(({ address }) => String(address));
  const { podCidrs, serviceCidrs, clusterDomain, nonMasqueradeCidrs, attach, backend } = config;
  const resolvers = config.upstreamDns.length > 0 ? { servers: config.upstreamDns } : { resolvConf: host.resolvConf };
  return {
    agent: {
      ...{ nodeName: node.name, kubeconfig, families: [...topology.families], attach, backend, vxlan },
      ...{ clusterCidrs: podCidrs, serviceCidrs, clusterDns, nonMasqueradeCidrs },
      stateDir: paths.path('leases'),
      cni: {
        ...{ network: 'podnet', socketPath: paths.agentSocket, binDir: paths.cniBin, confDir: paths.cniConf },
        // This machine's own pods are no pods of the lab.
        hostLocalDir: paths.path('host-local'),
      },
      announceLoadBalancers: true,
      // The controllers do so.
      policyStatus: false,
      statusSocket: paths.agentStatusSocket,
      dnsHealthSocket: paths.dnsHealthSocket,
    },
    dns: {
      // Also where the endpoints of kube-dns are: a node whose own DNS is not ready asks the others'.
      ...{ kubeconfig, listen: [...clusterDns, ...addresses], zone: clusterDomain, podCidrs, serviceCidrs },
      // The outside, which reaches the nodes' own addresses, is nobody's client (T31).
      limits: { clients: [...new Set(topology.nodes.flatMap(({ interfaces }) => interfaces.map(({ prefix }) => String(prefix))))] },
      upstream: { ...resolvers, netns: host.netns },
      ...{ hostResolvConf: host.resolvConf, nodeName: node.name },
      // Names set by hand: none, as long as there is no such ConfigMap.
      custom: { configMap: 'kube-system/podnet-dns' },
      healthSocket: paths.dnsHealthSocket,
      runDir: paths.path('dns'),
    },
    'lab-runner': {
      ...{ nodeName: node.name, kubeconfig, labels: node.labels, clusterDns, clusterDomain },
      addresses,
      netnsPrefix: `${paths.netns}-`,
      stateDir: paths.path('pods'),
      cni: { binDir: paths.cniBin, confDir: paths.cniConf },
      socketPath: paths.runnerSocket,
      hostResolvConf: host.resolvConf,
      images: config.images as ImageMapping[],
      maxPods: 250,
    },
  };
}
