import type { Address } from '../kernel/rtnetlink/addresses.ts';
import type { RtBatch } from '../kernel/rtnetlink/batch.ts';
import type { Link, LinkSpec } from '../kernel/rtnetlink/links.ts';
import type { Fdb } from '../kernel/rtnetlink/neighbours.ts';
import type { Family, IpAddr } from '../net/ip.ts';
import type { Prefix } from '../net/prefix.ts';
import type { Item, Sysctl } from '../reconcile/model.ts';
import type { PodLink } from './pod-link.ts';

/** What attaching needs to know of the node. */
export interface LinkNode {
  families: readonly Family[];
  /** The node's own address for each family: the source of what it sends to its pods. */
  addresses: readonly IpAddr[];
  podCidrs: readonly Prefix[];
  /** Of the node's own links for pods. */
  podMtu: number;
}

/** What is on the node's links. */
export interface LinkFindings {
  addresses: readonly Address[];
  fdb: readonly Fdb[];
}

/** How pods hang on their node. The path of a packet is the same layer-3 path in each. */
export interface AttachMode {
  readonly name: 'routed' | 'bridge';
  /** What the node holds for the mode, whatever pods there are. */
  planNode(node: LinkNode): Item[];
  /** What the node holds for one pod; `attach` writes just this, and the reconciler keeps it. */
  planPod(pod: PodLink, node: LinkNode): Item[];
  /** Next hop of the pod's default route for this address of the pod. */
  gateway(address: IpAddr, node: LinkNode): IpAddr;
  /** Length of the prefix that the pod's address is given with. */
  prefixLength(address: IpAddr, node: LinkNode): number;
  /** The host end, beyond what all modes have. @param index ifindex by name, undefined when there is none */
  hostEnd(index: (name: string) => number | undefined): Pick<LinkSpec & { type: 'veth' }, 'master'>;
  /** The link that the kernel says a pod's packets come by. */
  entrance(pod: PodLink): string;
  /** What the model cannot say of the host end. Written at its birth, and again when it is lost. */
  finish(batch: RtBatch, link: number, pod: PodLink): void;
  /** Whether the host end has what `finish` writes. */
  isFinished(link: Link, pod: PodLink, found: LinkFindings): boolean;
}

/** IPv6 settings of the link that pods' packets come by, whatever the defaults are: it is on, and no router advertisement and no redirect of a pod counts. */
export const ipv6Settings = (link: string): Sysctl[] =>
  ['disable_ipv6', 'accept_ra', 'accept_redirects'].map((name) => ({
    kind: 'sysctl',
    name: `net/ipv6/conf/${link}/${name}`,
    value: '0',
  }));

/** The node's own address for a family, as a field to be spread into a route. */
export function sourceFor(node: LinkNode, family: Family): { source?: IpAddr } {
  const source = node.addresses.find((address) => address.family === family);
  return source ? { source } : {};
}
