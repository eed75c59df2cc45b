import { parseQuantity } from '../../kube/quantity.ts';
import type { Container, Pod, ResourceFieldSelector } from '../../kube/types.ts';

/** What only the node knows of a pod. */
export interface PodFacts {
  podIPs: readonly string[];
  hostIPs: readonly string[];
  /** Stands for a limit that is not set. */
  allocatable: Readonly<Record<string, string>>;
}

/** `labels` and `annotations` as files have them: a line `key="value"` for each, sorted. */
const lines = (map: Record<string, string> | undefined): string =>
  Object.keys(map ?? {})
    .sort()
    .map((name) => `${name}=${JSON.stringify(map![name])}`)
    .join('\n');

/** The value of a downward API field. @throws Error for a path that does not exist */
export function fieldValue(path: string, pod: Pod, facts: PodFacts): string {
  const subscript = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path);
  if (subscript) return pod.metadata[subscript[1] as 'labels' | 'annotations']?.[subscript[2]!] ?? '';
  switch (path) {
    case 'metadata.name':
      return pod.metadata.name;
    case 'metadata.namespace':
      return pod.metadata.namespace ?? '';
    case 'metadata.uid':
      return pod.metadata.uid ?? '';
    case 'metadata.labels':
      return lines(pod.metadata.labels);
    case 'metadata.annotations':
      return lines(pod.metadata.annotations);
    case 'spec.nodeName':
      return pod.spec?.nodeName ?? '';
    case 'spec.serviceAccountName':
      return pod.spec?.serviceAccountName ?? 'default';
    case 'status.hostIP':
      return facts.hostIPs[0] ?? '';
    case 'status.hostIPs':
      return facts.hostIPs.join(',');
    case 'status.podIP':
      return facts.podIPs[0] ?? '';
    case 'status.podIPs':
      return facts.podIPs.join(',');
    default:
      throw new Error(`fieldPath "${path}" is not one of the downward API`);
  }
}

/** A container's limit or request in units of the divisor, rounded up. @throws Error */
export function resourceValue(selector: ResourceFieldSelector, container: Container, facts: PodFacts): string {
  const found = /^(limits|requests)\.(.+)$/.exec(selector.resource);
  if (!found) throw new Error(`resource "${selector.resource}" is neither limits.* nor requests.*`);
  const [, kind, name = ''] = found;
  const own = kind === 'limits' ? container.resources?.limits : (container.resources?.requests ?? container.resources?.limits);
  const value = own?.[name] ?? (kind === 'limits' ? facts.allocatable[name] : undefined) ?? '0';
  const divisor = parseQuantity(selector.divisor ?? '1') || 1;
  return String(Math.ceil(parseQuantity(value) / divisor - 1e-9));
}
