import type { EndpointSlice, Service } from '../kube/types.ts';
import type { IpAddr } from '../net/ip.ts';
import type { World as PolicyWorld } from '../policy/world.ts';

export interface VerifyNode {
  name: string;
  addresses: readonly IpAddr[];
  /** Path of its network namespace. */
  netns: string;
}

export interface VerifyPod {
  namespace: string;
  name: string;
  /** Name of its node. */
  node: string;
  /** Path of its network namespace; the node's with hostNetwork. */
  netns: string;
  ips: readonly IpAddr[];
  hostNetwork: boolean;
  containers: number;
}

/** What there is to be proven: read from the API and from where the pods' namespaces are (see gather.ts). */
export interface VerifyInput {
  nodes: readonly VerifyNode[];
  pods: readonly VerifyPod[];
  services: readonly Service[];
  endpointSlices: readonly EndpointSlice[];
  /** A machine that is no part of the cluster. */
  outside?: { netns: string; addresses: readonly IpAddr[] };
  clusterDns: readonly IpAddr[];
  /** e.g. `cluster.local` */
  clusterDomain: string;
  /** Who may talk to whom; absent where there are no policies (see policies.ts). */
  policies?: PolicyWorld | undefined;
}

export interface VerifyLimits {
  /** How long one attempt waits for its answer. Nothing is sent twice: a lost packet is a failure. */
  timeoutMs: number;
  /** Attempts at once. */
  concurrency: number;
  /** With more pods than this, every pod is paired with so many others, chosen by `seed`. Infinity: all pairs. */
  allPairsUpTo: number;
  seed: number;
  /** With more Services than this, so many of them are tried, chosen by `seed`. */
  servicesUpTo: number;
  /** Connections of one check of Services, shared among its attempts; with fewer than an attempt needs, endpoints may stay unseen. */
  connections: number;
  /** Failures kept of each check; all are counted. */
  failuresKept: number;
}

export const defaultLimits: VerifyLimits = {
  ...{ timeoutMs: 2000, concurrency: 64, allPairsUpTo: 60, seed: 1 },
  ...{ servicesUpTo: 40, connections: 5000, failuresKept: 20 },
};

export type CheckProtocol = 'tcp' | 'udp' | 'icmp' | 'dns';
