import type { Selector } from '../kube/selectors.ts';
import type { Prefix } from '../net/prefix.ts';

export type Direction = 'ingress' | 'egress';

/** In the order in which a connection meets them: where it leaves, where it arrives. */
export const directions: readonly Direction[] = ['egress', 'ingress'];

/** Protocols that have ports. */
export type PortProtocol = 'TCP' | 'UDP' | 'SCTP';

export const portProtocols: readonly PortProtocol[] = ['TCP', 'UDP', 'SCTP'];

export type PolicyKind = 'NetworkPolicy' | 'ClusterNetworkPolicy' | 'AdminNetworkPolicy' | 'BaselineAdminNetworkPolicy';

/** Asked in this order: CNP5. */
export type Tier = 'Admin' | 'NetworkPolicy' | 'Baseline';

/** Of a rule. Rules of a NetworkPolicy accept. `Pass` skips what is left of the tier. */
export type Action = 'Accept' | 'Deny' | 'Pass';

/** What identifies a policy. */
export interface PolicyId {
  kind: PolicyKind;
  /** Only a NetworkPolicy has one. */
  namespace?: string;
  name: string;
}

/** A policy of any kind, as plain data: the one form that is evaluated, explained and written to kernels. */
export interface Policy extends PolicyId {
  tier: Tier;
  /** Within the tier, lower first; 0 where the kind has none. */
  priority: number;
  /** The pods it is about; of the host's network none is ever (NP13, CNP8). */
  subject: PodSelection;
  /**
   * The rules of each direction, in order. `undefined`: it says nothing about the direction. A NetworkPolicy isolates its subjects in each direction
   * that is not `undefined`, also by an empty list (NP3).
   */
  rules: Readonly<Record<Direction, readonly Rule[] | undefined>>;
  /** What could not be understood, and what was done about it. */
  problems: readonly Problem[];
}

/** For people and for the policy's status. */
export interface Problem {
  /** The path in the object: `spec.ingress[0].from[1]`. */
  at: string;
  what: string;
  /** What it means for traffic: `the rule allows nothing`. */
  effect: string;
}

/** One rule: it matches by a peer and by a port (NP4). */
export interface Rule {
  /** Its path in the object: `spec.ingress[0]`. */
  at: string;
  name?: string;
  action: Action;
  /** Any of them. `undefined`: everything. An empty list: nothing, the form of a rule that fails closed. */
  peers: readonly Peer[] | undefined;
  /** Any of them. `undefined`: every protocol and port, ICMP too (NP16). */
  ports: readonly PortMatch[] | undefined;
  /** Why it failed closed (NP19, CNP10): it is then not what stands in the object. */
  closed?: string;
  /** It is understood, and closed since there is no room for it (`limits/`). */
  isOverLimit?: true;
}

/** The other end of the traffic, `at` its path in the object. */
export type Peer = { at: string } & (
  | ({ kind: 'pods' } & PodSelection)
  /** Addresses as the packet has them, of pods too (NP6, CNP8): in one of `cidrs` and in none of `except`. */
  | { kind: 'networks'; cidrs: readonly Prefix[]; except: readonly Prefix[] }
  /** All addresses in the status of Nodes with these labels. */
  | { kind: 'nodes'; labels: Selector }
  /** Addresses that the trusted resolver gave for one of these names (CNP11). */
  | { kind: 'domains'; names: readonly DomainPattern[] }
);

/** Pods of the cluster's own network, by namespace and labels. */
export interface PodSelection {
  namespaces: { name: string } | { labels: Selector };
  pods: Selector;
}

/** `kubernetes.io`, or with `wildcard` all names below it. Lower case, no dot at the end. */
export interface DomainPattern {
  name: string;
  wildcard: boolean;
}

/** A port of the destination. */
export type PortMatch =
  /** Inclusive; 0 to 65535 is the whole protocol. */
  | { kind: 'numbers'; protocol: PortProtocol; from: number; to: number }
  /** The destination pod's ports of this name (NP7); without a protocol, of any (CNP4). */
  | { kind: 'named'; name: string; protocol?: PortProtocol };

/** `NetworkPolicy shop/db`, `ClusterNetworkPolicy guard`. */
export const policyName = ({ kind, namespace, name }: PolicyId): string =>
  namespace === undefined ? `${kind} ${name}` : `${kind} ${namespace}/${name}`;
