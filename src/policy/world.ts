import type { IpAddr } from '../net/ip.ts';
import type { Policy, PortProtocol } from './model.ts';
import { withinLimits } from './limits/limits.ts';
import { comparePolicies } from './policies.ts';

/** All that a verdict depends on, at one moment; plain data, never changed. */
export interface World {
  /** Labels of each namespace, by its name; every pod's is here. */
  namespaces: ReadonlyMap<string, Labels>;
  pods: readonly PolicyPod[];
  nodes: readonly PolicyNode[];
  /** In the order in which they are asked; what of them is over the limit of networks is closed, as on nodes. */
  policies: readonly Policy[];
  /** The same, nothing closed. */
  given: readonly Policy[];
  /** Addresses that the trusted resolver gave for a name, lower case without a dot at the end (CNP11). */
  resolved: ReadonlyMap<string, readonly IpAddr[]>;
  /** Who has an address: pods of the cluster's network that have not ended (NP13, NP22), by canonical text. */
  podAt: ReadonlyMap<string, PolicyPod>;
  /** The nodes' own addresses, which are those of the pods in their network too. */
  nodeAt: ReadonlyMap<string, PolicyNode>;
}

export type Labels = Readonly<Record<string, string>>;

/** A pod as policies see it. */
export interface PolicyPod {
  namespace: string;
  name: string;
  labels: Labels;
  /** Primary first; none before its sandbox stands. */
  addresses: readonly IpAddr[];
  /** Where it runs; `undefined` while that is not known. */
  node: string | undefined;
  hostNetwork: boolean;
  /** Succeeded or Failed: nobody has its address any more. */
  ended: boolean;
  /** Ports that its containers name or declare. */
  ports: readonly PodPort[];
  /** When its object was made, in milliseconds of the clock: of two that say they have an address it is the newer one's (NP20). */
  created?: number;
  /** What made it, `Deployment/web`, for people. */
  workload?: string;
  /** Its addresses are made up: in manifests pods have none. */
  madeUp?: boolean;
}

export interface PodPort {
  name?: string;
  protocol: PortProtocol;
  number: number;
}

export interface PolicyNode {
  name: string;
  labels: Labels;
  addresses: readonly IpAddr[];
}

/** The parts a world is made of; their order means nothing. */
export type WorldParts = Partial<Pick<World, 'namespaces' | 'resolved'>> & {
  pods?: readonly PolicyPod[];
  nodes?: readonly PolicyNode[];
  policies?: readonly Policy[];
};

/** Puts the parts in an order of their own, so that the same objects give the same verdicts and the same words. */
export function makeWorld({
  namespaces = new Map(),
  pods = [],
  nodes = [],
  policies = [],
  resolved = new Map(),
}: WorldParts): World {
  const sortedPods = pods.toSorted((a, b) => compareText(podKey(a), podKey(b)));
  const sortedNodes = nodes.toSorted((a, b) => compareText(a.name, b.name));
  const allNamespaces = new Map(namespaces);
  for (const { namespace } of sortedPods)
    if (!allNamespaces.has(namespace)) allNamespaces.set(namespace, labelsOfNamespace(namespace));
  const podAt = new Map<string, PolicyPod>();
  for (const pod of sortedPods.filter(hasIdentity))
    for (const address of pod.addresses) {
      const other = podAt.get(String(address));
      if (!other || isNewer(pod, other)) podAt.set(String(address), pod);
    }
  const nodeAt = new Map<string, PolicyNode>();
  for (const node of sortedNodes)
    for (const address of node.addresses) if (!nodeAt.has(String(address))) nodeAt.set(String(address), node);
  return {
    namespaces: allNamespaces,
    pods: sortedPods,
    nodes: sortedNodes,
    policies: withinLimits(policies).toSorted(comparePolicies),
    given: policies.toSorted(comparePolicies),
    resolved,
    podAt,
    nodeAt,
  };
}

/** The API server sets `kubernetes.io/metadata.name` on every Namespace; in a manifest it seldom stands, or there is none. */
export const labelsOfNamespace = (name: string, labels: Labels = {}): Labels => ({
  ...labels,
  'kubernetes.io/metadata.name': name,
});

/** `shop/db-0`. */
export const podKey = ({ namespace, name }: Pick<PolicyPod, 'namespace' | 'name'>): string => `${namespace}/${name}`;

/** Whether an address of the cluster's network stands for the pod. */
export const hasIdentity = ({ hostNetwork, ended }: PolicyPod): boolean => !hostNetwork && !ended;

/** Whether an address that both say they have is the first one's. */
export const isNewer = (a: Pick<PolicyPod, 'created'>, b: Pick<PolicyPod, 'created'>): boolean => (a.created ?? 0) > (b.created ?? 0);

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
