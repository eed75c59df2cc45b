import type { Family, IpAddr } from '../net/ip.ts';
import type { Prefix } from '../net/prefix.ts';

/** What the data path of Services needs to know of its node. */
export interface ServiceNode {
  /** node.metadata.name: endpoints with this nodeName are local (SD19). */
  name: string;
  /** topology.kubernetes.io/zone */
  zone?: string;
  /** The node's own address per family; a family without one has no NodePorts and no source translation. */
  addresses: readonly IpAddr[];
  /** Addresses on which NodePorts answer; the node's own when absent (SD14). Never loopback. */
  nodePortAddresses?: readonly IpAddr[];
  /** Pod CIDRs of this node: what comes from them is a local pod (SD4c). */
  podCidrs: readonly Prefix[];
  serviceCidrs: readonly Prefix[];
  /** The link of podnet's own that Service CIDRs and announced addresses are routed to; what leaves by it is refused. */
  sink?: string;
  /** Pods of the whole cluster: no Service takes their addresses for itself. */
  clusterCidrs?: readonly Prefix[];
  /** spec.externalIPs within these are served; none are when absent (SA17). */
  externalIpCidrs?: readonly Prefix[];
}

export const addressOf = (node: ServiceNode, family: Family): IpAddr | undefined =>
  node.addresses.find((address) => address.family === family);

export const nodePortAddressesOf = (node: ServiceNode): readonly IpAddr[] =>
  (node.nodePortAddresses ?? node.addresses).filter((address) => !address.isLoopback);
