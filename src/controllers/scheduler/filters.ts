import { isDeleting } from '../../kube/objects.ts';
import { parseQuantity } from '../../kube/quantity.ts';
import { fromLabelSelector, matches } from '../../kube/selectors.ts';
import type { Pod, PodAffinityTerm, TopologySpreadConstraint } from '../../kube/types.ts';
import { hostPortsOf, isPortTaken, type NodeInfo, requestsOf } from './node-info.ts';
import { matchesNode, matchesPodTerm, type NamespaceLabels, untolerated } from './terms.ts';

/** What one pod is placed against. */
export interface Cluster {
  nodes: readonly NodeInfo[];
  namespaceLabels: NamespaceLabels;
  /** Whether any placed pod has required anti-affinity: without, no pod needs to be asked for it. */
  hasAntiAffinity: boolean;
}

/** Why a node does not do, in kube-scheduler's words; undefined when it does. */
export type Filter = (info: NodeInfo) => string | undefined;

const unschedulableTaint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' };

/** The filters for one pod, in the order in which they are asked; what needs the whole cluster is counted once here. */
export function filtersFor(pod: Pod, cluster: Cluster): Filter[] {
  return [
    unschedulable(pod),
    nodeName(pod),
    taints(pod),
    affinity(pod),
    ports(pod),
    fit(pod),
    spread(pod, cluster),
    podAffinity(pod, cluster),
  ].filter((filter) => filter !== undefined);
}

const unschedulable = (pod: Pod): Filter => {
  const probe = { metadata: { name: '' }, spec: { taints: [unschedulableTaint] } };
  const tolerated = !untolerated(pod, probe, ['NoSchedule']);
  return ({ node }) => (node.spec?.unschedulable && !tolerated ? 'node(s) were unschedulable' : undefined);
};

const nodeName = (pod: Pod): Filter | undefined => {
  const wanted = pod.spec?.nodeName;
  return wanted
    ? ({ node }) => (node.metadata.name === wanted ? undefined : "node(s) didn't match the requested node name")
    : undefined;
};

const taints =
  (pod: Pod): Filter =>
  ({ node }) => {
    const taint = untolerated(pod, node, ['NoSchedule', 'NoExecute']);
    return taint && `node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`;
  };

const affinity =
  (pod: Pod): Filter =>
  ({ node }) =>
    matchesNode(pod, node) ? undefined : "node(s) didn't match Pod's node affinity/selector";

const ports = (pod: Pod): Filter | undefined => {
  const wanted = hostPortsOf(pod);
  if (wanted.length === 0) return undefined;
  return (info) =>
    wanted.some((port) => isPortTaken(info, port)) ? "node(s) didn't have free ports for the requested pod ports" : undefined;
};

const fit = (pod: Pod): Filter => {
  const wanted = [...requestsOf(pod)].filter(([, amount]) => amount > 0);
  return (info) => {
    const allocatable = info.node.status?.allocatable ?? info.node.status?.capacity ?? {};
    if (info.pods.size + 1 > amount(allocatable.pods, 110)) return 'Too many pods';
    for (const [name, needed] of wanted) {
      // A node that does not tell its size is taken to be large enough; for extended resources that means it has none.
      const limit = amount(allocatable[name], name.includes('/') ? 0 : Number.POSITIVE_INFINITY);
      if ((info.requested.get(name) ?? 0) + needed > limit * (1 + 1e-9)) return `Insufficient ${name}`;
    }
    return undefined;
  };
};

/** Adds up the pods of the cluster by the value of a node label. */
function countByDomain(
  cluster: Cluster,
  topologyKey: string,
  counts: (pod: Pod) => boolean,
  eligible: Filter = () => undefined,
): Map<string, number> {
  const domains = new Map<string, number>();
  for (const info of cluster.nodes) {
    const domain = info.node.metadata.labels?.[topologyKey];
    if (domain === undefined || eligible(info)) continue;
    let count = domains.get(domain) ?? 0;
    for (const other of info.pods.values()) if (counts(other)) count++;
    domains.set(domain, count);
  }
  return domains;
}

const spread = (pod: Pod, cluster: Cluster): Filter | undefined => {
  const hard = (pod.spec?.topologySpreadConstraints ?? []).filter(
    ({ whenUnsatisfiable }) => whenUnsatisfiable === 'DoNotSchedule',
  );
  if (hard.length === 0) return undefined;
  const checks = hard.map((constraint) => {
    const { counts, self } = spreadCounts(pod, cluster, constraint);
    const least = (constraint.minDomains ?? 1) > counts.size ? 0 : Math.min(...counts.values());
    return { ...constraint, counts, self, least };
  });
  return ({ node }) => {
    for (const { topologyKey, counts, self, least, maxSkew } of checks) {
      const domain = node.metadata.labels?.[topologyKey];
      if (domain === undefined) return "node(s) didn't match pod topology spread constraints (missing required label)";
      if ((counts.get(domain) ?? 0) + self - least > maxSkew) return "node(s) didn't match pod topology spread constraints";
    }
    return undefined;
  };
};

/** Pods that a constraint counts, by domain, over the nodes that it looks at; `self` is 1 when it counts the pod itself. */
export function spreadCounts(
  pod: Pod,
  cluster: Cluster,
  constraint: TopologySpreadConstraint,
): { counts: Map<string, number>; self: 0 | 1 } {
  const selector = fromLabelSelector(constraint.labelSelector) ?? [];
  const { namespace, labels: own = {} } = pod.metadata;
  const keys = (constraint.matchLabelKeys ?? []).filter((name) => name in own);
  const counted = (other: Pod): boolean =>
    other.metadata.namespace === namespace &&
    !isDeleting(other) &&
    matches(selector, other.metadata.labels) &&
    keys.every((name) => other.metadata.labels?.[name] === own[name]);
  const honorTaints = constraint.nodeTaintsPolicy === 'Honor';
  const honorAffinity = constraint.nodeAffinityPolicy !== 'Ignore';
  const eligible: Filter = ({ node }) =>
    (honorAffinity && !matchesNode(pod, node)) || (honorTaints && untolerated(pod, node, ['NoSchedule', 'NoExecute']))
      ? 'no'
      : undefined;
  return { counts: countByDomain(cluster, constraint.topologyKey, counted, eligible), self: counted(pod) ? 1 : 0 };
}

const podAffinity = (pod: Pod, cluster: Cluster): Filter | undefined => {
  const required = 'requiredDuringSchedulingIgnoredDuringExecution';
  const near = pod.spec?.affinity?.podAffinity?.[required] ?? [];
  const apart = pod.spec?.affinity?.podAntiAffinity?.[required] ?? [];
  if (near.length === 0 && apart.length === 0 && !cluster.hasAntiAffinity) return undefined;
  const count = (term: PodAffinityTerm) => ({
    key: term.topologyKey,
    domains: countByDomain(cluster, term.topologyKey, (other) => matchesPodTerm(term, pod, other, cluster.namespaceLabels)),
  });
  const nearCounts = near.map(count);
  const apartCounts = apart.map(count);
  const existing = new Set<string>();
  for (const { node, pods } of cluster.hasAntiAffinity ? cluster.nodes : []) {
    for (const other of pods.values()) {
      for (const term of other.spec?.affinity?.podAntiAffinity?.[required] ?? []) {
        if (matchesPodTerm(term, other, pod, cluster.namespaceLabels))
          existing.add(`${term.topologyKey}=${node.metadata.labels?.[term.topologyKey]}`);
      }
    }
  }
  // The first of a group that wants to be near itself would never find a place: any domain will do.
  const nobody = nearCounts.every(({ domains }) => [...domains.values()].every((n) => n === 0));
  const isFirst = nobody && near.every((term) => matchesPodTerm(term, pod, pod, cluster.namespaceLabels));
  return ({ node }) => {
    const labels = node.metadata.labels ?? {};
    for (const { key, domains } of nearCounts) {
      const domain = labels[key];
      if (domain === undefined || (!isFirst && !domains.get(domain))) return "node(s) didn't match pod affinity rules";
    }
    for (const { key, domains } of apartCounts) {
      const domain = labels[key];
      if (domain !== undefined && domains.get(domain)) return "node(s) didn't match pod anti-affinity rules";
    }
    for (const [key, value] of Object.entries(labels))
      if (existing.has(`${key}=${value}`)) return "node(s) didn't satisfy existing pods anti-affinity rules";
    return undefined;
  };
};

const amount = (text: string | undefined, otherwise: number): number => (text === undefined ? otherwise : parseQuantity(text));
