import { Prefix } from '../net/prefix.ts';
import type { Item } from '../reconcile/model.ts';
import { named } from './names.ts';
import { textOf, withoutCovered } from './prefixes.ts';

/** The owner of the list of destinations that are not masqueraded. */
export const egressOwner = 'egress';

export interface EgressConfig {
  /** Pod CIDRs of all nodes, or of the cluster: pods see each other's own addresses (NM7). */
  podCidrs: readonly Prefix[];
  serviceCidrs: readonly Prefix[];
  /** Addresses of all nodes, as /32 and /128: a node sees the pod's own address. */
  nodeAddresses: readonly Prefix[];
  /** What the user adds; 0.0.0.0/0 or ::/0 turns masquerading off for the family. */
  nonMasqueradeCidrs?: readonly Prefix[];
}

const multicast = ['224.0.0.0/4', 'ff00::/8'].map(Prefix.parse);

/** Packets of this node's pods to any other destination leave with the node's address. */
export function planEgress({ podCidrs, serviceCidrs, nodeAddresses, nonMasqueradeCidrs = [] }: EgressConfig): Item[] {
  const all = [...podCidrs, ...serviceCidrs, ...nodeAddresses, ...nonMasqueradeCidrs, ...multicast];
  return withoutCovered(all).map(
    (cidr): Item => ({ kind: 'nft-element', set: named('no-masquerade', cidr.family), key: textOf(cidr) }),
  );
}
