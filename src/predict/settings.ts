import { nodeView } from '../agent/watch/views.ts';
import type { Node } from '../kube/types.ts';
import { bridgeLink, podGroup } from '../links/index.ts';
import type { Family, IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import type { PolicyPlanNode } from '../policy/plan/index.ts';
import type { NodeNetwork } from '../reconcile/index.ts';
import type { Cluster } from './cluster.ts';
import type { NodeSetting } from './predict.ts';

/** What every node of a cluster is configured with. */
export interface NetworkSettings {
  families: readonly Family[];
  clusterCidrs: readonly Prefix[];
  serviceCidrs: readonly Prefix[];
  /** Addresses that the nodes' own DNS answers on; none where that is not known. */
  clusterDns: readonly IpAddr[];
  /** How pods hang on their nodes. */
  attach: 'routed' | 'bridge';
}

/** A lab's, for manifests that say nothing of it. */
const usualSettings: NetworkSettings = {
  families: ['ipv4', 'ipv6'],
  clusterCidrs: ['10.244.0.0/16', 'fd00:10:244::/56'].map(Prefix.parse),
  serviceCidrs: ['10.96.0.0/16', 'fd00:10:96::/112'].map(Prefix.parse),
  clusterDns: [],
  attach: 'routed',
};

/** @param held by name of the node: what kernels that can be read hold */
export function nodeSettings(
  { nodes }: Cluster,
  settings: NetworkSettings = usualSettings,
  held: ReadonlyMap<string, NodeNetwork> = new Map(),
): NodeSetting[] {
  const { clusterCidrs } = settings;
  const others = nodes
    .flatMap((node) => nodeView(node).podCidrs)
    .filter((cidr) => !clusterCidrs.some((whole) => whole.contains(cidr)));
  const podCidrs = [...clusterCidrs, ...new Map(others.map((cidr) => [String(cidr), cidr])).values()];
  return nodes.map((node) => settingOf(node, settings, podCidrs, held.get(node.metadata.name)));
}

const podLinksOf = (attach: NetworkSettings['attach']): PolicyPlanNode['podLinks'] => ({
  group: podGroup,
  ...(attach === 'bridge' ? { bridge: bridgeLink } : {}),
});

function settingOf(
  node: Node,
  settings: NetworkSettings,
  allPodCidrs: readonly Prefix[],
  held: NodeNetwork | undefined,
): NodeSetting {
  const { families, clusterCidrs, serviceCidrs, clusterDns, attach } = settings;
  const { name, zone, addresses, podCidrs, dnsReady } = nodeView(node);
  const firstOf = <T extends { family: Family }>(all: readonly T[]): T[] =>
    families.flatMap((family) => all.find((one) => one.family === family) ?? []);
  const own = firstOf(addresses);
  const answerable = new Set(clusterDns.flatMap((address) => ['udp', 'tcp'].map((protocol) => `${address} . ${protocol} . 53`)));
  return {
    service: {
      ...{ name, ...(zone === undefined ? {} : { zone }), addresses: own, nodePortAddresses: own, podCidrs: firstOf(podCidrs) },
      ...{ serviceCidrs, clusterCidrs, externalIpCidrs: [], sink: 'podnet-svc' },
    },
    policy: { name, podLinks: podLinksOf(attach), podCidrs: allPodCidrs },
    answered: dnsReady ? answerable : new Set(),
    answerable,
    ...(held ? { held } : {}),
  };
}
