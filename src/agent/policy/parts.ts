import type { Ipam } from '../../ipam/index.ts';
import type { Conntrack } from '../../kernel/conntrack.ts';
import type { Api } from '../../kube/api.ts';
import type { IpAddr } from '../../net/ip.ts';
import type { Prefix } from '../../net/prefix.ts';
import type { PolicyPlanNode } from '../../policy/plan/index.ts';
import type { Item, Reconciler } from '../../reconcile/index.ts';
import type { Sources } from '../watch/sources.ts';
import type { Denials } from './denials.ts';
import type { PolicyFaults } from './faults.ts';

/** What an owner wants from now on: all of it. */
export type Contribution = readonly [owner: string, items: readonly Item[]];

/** What policies on a node are made of. */
export interface PolicyPathParts {
  nodeName: string;
  podLinks: PolicyPlanNode['podLinks'];
  /** Pod CIDRs of the cluster, beside those of Nodes. */
  clusterCidrs: readonly Prefix[];
  /** Bits of the conntrack mark. */
  mask: number;
  /** What this node's own DNS answers on; none where it has none. */
  clusterDns: readonly IpAddr[];
  /** Of that DNS, which tells of the addresses of domain names (CNP11). */
  dnsHealthSocket: string | undefined;
  api: Api;
  reconciler: Reconciler;
  /** What that tells of owners. */
  faults: PolicyFaults;
  conntrack: Conntrack;
  /** In sync; heard from `begin` on. */
  sources: Sources;
  ipam: Ipam;
  /** Addresses on the node's links: what goes to them is for the node, whether they stand in its Node or not. */
  ownAddresses: () => readonly IpAddr[];
  /** Told while policies are in force. */
  denials: Pick<Denials, 'begin' | 'end'>;
  /** Has the reconciler write, soon and now. */
  wake: () => void;
  sync: () => void;
  log: (line: string) => void;
}
