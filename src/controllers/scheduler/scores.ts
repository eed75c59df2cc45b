import { controllerOf } from '../../kube/objects.ts';
import { parseQuantity } from '../../kube/quantity.ts';
import { fromMap, matches, type Selector } from '../../kube/selectors.ts';
import type { Pod } from '../../kube/types.ts';
import { type Cluster, spreadCounts } from './filters.ts';
import { type NodeInfo, requestsOf } from './node-info.ts';
import { matchesNodeTerm, matchesPodTerm, tolerates } from './terms.ts';

/** Better is higher; any scale, since each is brought to 0…100 among the candidates. */
type Score = (info: NodeInfo) => number;

/** The candidates' scores summed up, best first; equal ones by fewest pods, then by name, so that placing is repeatable. */
export function rank(
  pod: Pod,
  candidates: readonly NodeInfo[],
  cluster: Cluster,
  serviceSelectors: readonly Selector[],
): NodeInfo[] {
  if (candidates.length <= 1) return [...candidates];
  const parts: [weight: number, score: Score | undefined][] = [
    [3, taints(pod)],
    [2, nodeAffinity(pod)],
    [2, podAffinity(pod, cluster)],
    [2, spread(pod, cluster, serviceSelectors)],
    [1, free(pod)],
    [1, (info) => -info.pods.size],
  ];
  const totals = new Map<NodeInfo, number>(candidates.map((info) => [info, 0]));
  for (const [weight, score] of parts) {
    if (!score) continue;
    const raw = candidates.map(score);
    const least = Math.min(...raw);
    const range = Math.max(...raw) - least;
    if (range === 0) continue;
    for (const [i, info] of candidates.entries())
      totals.set(info, totals.get(info)! + (weight * 100 * (raw[i]! - least)) / range);
  }
  return [...candidates].sort(
    (a, b) =>
      totals.get(b)! - totals.get(a)! || a.pods.size - b.pods.size || (a.node.metadata.name < b.node.metadata.name ? -1 : 1),
  );
}

const taints = (pod: Pod): Score => {
  const tolerations = pod.spec?.tolerations ?? [];
  return ({ node }) =>
    -(node.spec?.taints ?? []).filter(
      (taint) => taint.effect === 'PreferNoSchedule' && !tolerations.some((one) => tolerates(one, taint)),
    ).length;
};

const nodeAffinity = (pod: Pod): Score | undefined => {
  const preferred = pod.spec?.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution;
  if (!preferred?.length) return undefined;
  return ({ node }) =>
    preferred.reduce((sum, { weight, preference }) => sum + (matchesNodeTerm(preference, node) ? weight : 0), 0);
};

const podAffinity = (pod: Pod, cluster: Cluster): Score | undefined => {
  const preferred = 'preferredDuringSchedulingIgnoredDuringExecution';
  const terms = [
    ...(pod.spec?.affinity?.podAffinity?.[preferred] ?? []),
    ...(pod.spec?.affinity?.podAntiAffinity?.[preferred] ?? []).map((term) => ({ ...term, weight: -term.weight })),
  ];
  if (terms.length === 0) return undefined;
  const domains = new Map<string, number>();
  for (const { weight, podAffinityTerm: term } of terms) {
    for (const { node, pods } of cluster.nodes) {
      const domain = node.metadata.labels?.[term.topologyKey];
      if (domain === undefined) continue;
      for (const other of pods.values()) {
        if (!matchesPodTerm(term, pod, other, cluster.namespaceLabels)) continue;
        const id = `${term.topologyKey}=${domain}`;
        domains.set(id, (domains.get(id) ?? 0) + weight);
      }
    }
  }
  return ({ node }) =>
    Object.entries(node.metadata.labels ?? {}).reduce((sum, [key, value]) => sum + (domains.get(`${key}=${value}`) ?? 0), 0);
};

/** Soft spread constraints; without any, pods of one owner or one Service over the nodes. */
const spread = (pod: Pod, cluster: Cluster, serviceSelectors: readonly Selector[]): Score | undefined => {
  const constraints = pod.spec?.topologySpreadConstraints ?? [];
  if (constraints.length > 0) {
    const soft = constraints
      .filter(({ whenUnsatisfiable }) => whenUnsatisfiable === 'ScheduleAnyway')
      .map((constraint) => ({ key: constraint.topologyKey, ...spreadCounts(pod, cluster, constraint) }));
    if (soft.length === 0) return undefined;
    return ({ node }) => -soft.reduce((sum, { key, counts }) => sum + (counts.get(node.metadata.labels?.[key] ?? '') ?? 0), 0);
  }
  const owner = controllerOf(pod)?.uid;
  const selectors = serviceSelectors.filter((selector) => matches(selector, pod.metadata.labels));
  if (!owner && selectors.length === 0) return undefined;
  const { namespace } = pod.metadata;
  return ({ pods }) => {
    let count = 0;
    for (const other of pods.values()) {
      if (other.metadata.namespace !== namespace) continue;
      if (owner && controllerOf(other)?.uid === owner) count++;
      else if (selectors.some((selector) => matches(selector, other.metadata.labels))) count++;
    }
    return -count;
  };
};

/** The share of CPU and memory that would be left. */
const free = (pod: Pod): Score => {
  const wanted = requestsOf(pod);
  return ({ node, requested }) => {
    let sum = 0;
    for (const name of ['cpu', 'memory']) {
      const text = node.status?.allocatable?.[name];
      const limit = text ? parseQuantity(text) : 0;
      if (limit > 0) sum += 1 - ((requested.get(name) ?? 0) + (wanted.get(name) ?? 0)) / limit;
    }
    return sum;
  };
};

/** The selectors of a namespace's Services. */
export const selectorsOf = (services: readonly { spec?: { selector?: Record<string, string> } }[]): Selector[] =>
  services.map(({ spec }) => fromMap(spec?.selector ?? {})).filter((selector) => selector.length > 0);
