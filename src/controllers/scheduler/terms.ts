import { fieldValue, fromLabelSelector, type Labels, matches, meets, requirement } from '../../kube/selectors.ts';
import type {
  Node,
  NodeSelectorRequirement,
  NodeSelectorTerm,
  Pod,
  PodAffinityTerm,
  Taint,
  Toleration,
} from '../../kube/types.ts';

/** Whether a toleration accepts a taint. */
export function tolerates({ key, operator = 'Equal', value = '', effect }: Toleration, taint: Taint): boolean {
  if (effect && effect !== taint.effect) return false;
  if (key && key !== taint.key) return false;
  if (operator === 'Exists') return true;
  return Boolean(key) && operator === 'Equal' && value === (taint.value ?? '');
}

/** The first taint of these effects that the pod does not tolerate. */
export const untolerated = (pod: Pod, node: Node, effects: readonly string[]): Taint | undefined =>
  node.spec?.taints?.find(
    (taint) => effects.includes(taint.effect) && !(pod.spec?.tolerations ?? []).some((one) => tolerates(one, taint)),
  );

const meetsAll = (requirements: readonly NodeSelectorRequirement[], labels: Labels): boolean =>
  requirements.every(({ key, operator, values = [] }) => meets(requirement(key, operator, values), labels));

/** One term of node affinity; an empty one matches nothing. */
export function matchesNodeTerm({ matchExpressions = [], matchFields = [] }: NodeSelectorTerm, node: Node): boolean {
  if (matchExpressions.length === 0 && matchFields.length === 0) return false;
  const fields = Object.fromEntries(matchFields.map(({ key }) => [key, fieldValue(node, key)]));
  return meetsAll(matchExpressions, node.metadata.labels) && meetsAll(matchFields, fields);
}

/** nodeSelector and required node affinity. */
export function matchesNode(pod: Pod, node: Node): boolean {
  const labels = node.metadata.labels ?? {};
  for (const [name, value] of Object.entries(pod.spec?.nodeSelector ?? {})) if (labels[name] !== value) return false;
  const required = pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return !required || required.nodeSelectorTerms.some((term) => matchesNodeTerm(term, node));
}

/** Labels of a namespace by its name. */
export type NamespaceLabels = (name: string) => Labels;

/** Whether `other` is one of the pods that a term of `pod` speaks of. */
export function matchesPodTerm(term: PodAffinityTerm, pod: Pod, other: Pod, namespaceLabels: NamespaceLabels): boolean {
  const selector = fromLabelSelector(term.labelSelector);
  if (!selector || !matches(selector, other.metadata.labels)) return false;
  const { labels: own = {} } = pod.metadata;
  const { labels: theirs = {} } = other.metadata;
  if ((term.matchLabelKeys ?? []).some((name) => name in own && own[name] !== theirs[name])) return false;
  if ((term.mismatchLabelKeys ?? []).some((name) => name in own && own[name] === theirs[name])) return false;
  const namespace = other.metadata.namespace ?? '';
  const byName = term.namespaces?.includes(namespace) ?? false;
  const namespaceSelector = fromLabelSelector(term.namespaceSelector);
  if (!term.namespaces?.length && !namespaceSelector) return namespace === pod.metadata.namespace;
  return byName || (namespaceSelector !== undefined && matches(namespaceSelector, namespaceLabels(namespace)));
}
