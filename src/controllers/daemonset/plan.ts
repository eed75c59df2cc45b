import { isDeleting, isPodAvailable, isPodFinished, isPodReady } from '../../kube/objects.ts';
import type { DaemonSetStatus, Pod } from '../../kube/types.ts';
import { revisionLabel } from '../controller-revisions.ts';

/** One node as a DaemonSet sees it. */
export interface Place {
  node: string;
  shouldRun: boolean;
  mayStay: boolean;
  /** The set's pods there, those on their way out and the finished ones too. */
  pods: readonly Pod[];
}

export interface Rules {
  /** `controller-revision-hash` of the present template. */
  hash: string;
  /** Nodes that may be without a serving pod during an update; 0 with `maxSurge`, undefined for OnDelete. */
  maxUnavailable: number | undefined;
  /** Nodes that may have an old and a new pod at once. */
  maxSurge: number;
  minReadySeconds: number;
  nowMs: number;
}

export interface Plan {
  /** Nodes, one new pod each. */
  create: string[];
  remove: Pod[];
}

const oldestFirst = (a: Pod, b: Pod): number =>
  Number(!a.spec?.nodeName) - Number(!b.spec?.nodeName) ||
  (`${a.metadata.creationTimestamp} ${a.metadata.name}` < `${b.metadata.creationTimestamp} ${b.metadata.name}` ? -1 : 1);

/**
 * What to make and what to delete next. A node gets its pod only when the one before is gone, except within `maxSurge`; of two alike the
 * older stays. An update replaces first what does not serve anyway, then as many others as may be missing.
 */
export function plan(places: readonly Place[], rules: Rules): Plan {
  const create: string[] = [];
  const remove: Pod[] = [];
  const isUpdated = (pod: Pod): boolean => pod.metadata.labels?.[revisionLabel] === rules.hash;
  const serves = (pod: Pod): boolean => isPodAvailable(pod, rules.minReadySeconds, rules.nowMs);
  const replaceable: { node: string; pod: Pod }[] = [];
  let unavailable = 0;
  let surging = 0;
  for (const { node, shouldRun, mayStay, pods } of places) {
    const living = pods.filter((pod) => !isDeleting(pod)).sort(oldestFirst);
    const finished = living.filter(isPodFinished);
    remove.push(...finished);
    if (!mayStay) {
      remove.push(...living.filter((pod) => !finished.includes(pod)));
      continue;
    }
    const [updated, ...moreUpdated] = living.filter((pod) => !finished.includes(pod) && isUpdated(pod));
    const [old, ...moreOld] = living.filter((pod) => !finished.includes(pod) && !isUpdated(pod));
    remove.push(...moreUpdated, ...moreOld);
    if (!updated && !old) {
      if (!shouldRun) continue;
      unavailable++;
      if (pods.length === 0) create.push(node);
    } else if (updated && old) {
      if (rules.maxSurge === 0 || serves(updated) || !serves(old)) remove.push(old);
      else surging++;
      if (!serves(updated) && !serves(old)) unavailable++;
    } else if (updated) {
      if (!serves(updated)) unavailable++;
    } else if (old && rules.maxUnavailable !== undefined) {
      if (serves(old)) replaceable.push({ node, pod: old });
      else {
        unavailable++;
        if (rules.maxSurge > 0 && shouldRun) create.push(node);
        else remove.push(old);
      }
    }
  }
  if (rules.maxSurge > 0) create.push(...replaceable.slice(0, Math.max(0, rules.maxSurge - surging)).map(({ node }) => node));
  else remove.push(...replaceable.slice(0, Math.max(0, (rules.maxUnavailable ?? 0) - unavailable)).map(({ pod }) => pod));
  return { create, remove };
}

/** The counts that `kubectl get ds` and `kubectl rollout status` read. */
export function statusOf(places: readonly Place[], rules: Rules): Omit<DaemonSetStatus, 'observedGeneration' | 'collisionCount'> {
  const status = {
    currentNumberScheduled: 0,
    desiredNumberScheduled: 0,
    numberMisscheduled: 0,
    numberReady: 0,
    updatedNumberScheduled: 0,
    numberAvailable: 0,
    numberUnavailable: 0,
  };
  for (const { shouldRun, pods } of places) {
    const living = pods.filter((pod) => !isDeleting(pod)).sort(oldestFirst);
    if (!shouldRun) {
      if (living.length > 0) status.numberMisscheduled++;
      continue;
    }
    status.desiredNumberScheduled++;
    if (living.length === 0) continue;
    status.currentNumberScheduled++;
    if (living.some(isPodReady)) status.numberReady++;
    if (living.some((pod) => isPodAvailable(pod, rules.minReadySeconds, rules.nowMs))) status.numberAvailable++;
    if (living.some((pod) => pod.metadata.labels?.[revisionLabel] === rules.hash)) status.updatedNumberScheduled++;
  }
  status.numberUnavailable = status.desiredNumberScheduled - status.numberAvailable;
  return status;
}
