import { isDeleting, isPodAvailable, isPodFinished } from '../../kube/objects.ts';
import type { Pod, StatefulSet } from '../../kube/types.ts';
import { revisionLabel } from '../controller-revisions.ts';

export interface Rules {
  /** Numbers that are to have a pod: `first` to `first + count - 1`. */
  first: number;
  count: number;
  /** One after the other (OrderedReady), or all at once (Parallel). */
  ordered: boolean;
  /** The lowest number that an update replaces; undefined for OnDelete. */
  partition: number | undefined;
  /** Name of the present template's revision. */
  update: string;
  minReadySeconds: number;
  nowMs: number;
}

export interface Plan {
  /** Numbers, ascending. */
  create: number[];
  remove: Pod[];
}

/** The number at the end of a pod's name; undefined when the name is not of this set. */
export function ordinalOf(set: StatefulSet, pod: Pod): number | undefined {
  const prefix = `${set.metadata.name}-`;
  const digits = pod.metadata.name.startsWith(prefix) ? pod.metadata.name.slice(prefix.length) : '';
  return /^(0|[1-9]\d*)$/.test(digits) ? Number(digits) : undefined;
}

export const isHealthy = (pod: Pod, { minReadySeconds, nowMs }: Rules): boolean =>
  !isDeleting(pod) && isPodAvailable(pod, minReadySeconds, nowMs);

/**
 * What to make and what to delete next. In order: a pod is made only when all with lower numbers serve, deleted only when all serve and
 * those with higher numbers are gone. An update goes from the highest number down to `partition`, one pod at a time in either case.
 */
export function plan(pods: ReadonlyMap<number, Pod>, rules: Rules): Plan {
  const { first, count, ordered } = rules;
  const create: number[] = [];
  const remove: Pod[] = [];
  const last = first + count - 1;
  for (let ordinal = first; ordinal <= last; ordinal++) {
    const pod = pods.get(ordinal);
    if (!pod) create.push(ordinal);
    else if (isPodFinished(pod) && !isDeleting(pod)) remove.push(pod);
    else if (isHealthy(pod, rules)) continue;
    if (ordered) return { create, remove };
  }
  const descending = [...pods].sort(([a], [b]) => b - a);
  for (const [, pod] of descending.filter(([ordinal]) => ordinal < first || ordinal > last)) {
    if (!isDeleting(pod)) remove.push(pod);
    if (ordered) return { create, remove };
  }
  if (rules.partition === undefined || create.length > 0 || remove.length > 0) return { create, remove };
  for (const [ordinal, pod] of descending) {
    if (ordinal < Math.max(first, rules.partition) || ordinal > last) continue;
    if (pod.metadata.labels?.[revisionLabel] !== rules.update) return { create, remove: isDeleting(pod) ? [] : [pod] };
    if (!isHealthy(pod, rules)) break;
  }
  return { create, remove };
}
