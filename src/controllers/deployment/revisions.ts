import type { Deployment, PodTemplateSpec, ReplicaSet } from '../../kube/types.ts';
import { canonicalJson, safeHash } from '../canonical.ts';

export const revisionAnnotation = 'deployment.kubernetes.io/revision';
const historyAnnotation = 'deployment.kubernetes.io/revision-history';
export const desiredAnnotation = 'deployment.kubernetes.io/desired-replicas';
export const maxAnnotation = 'deployment.kubernetes.io/max-replicas';
export const hashLabel = 'pod-template-hash';

/** Of the Deployment alone: copying the last-applied one would let `kubectl apply` prune the ReplicaSet. */
const notCopied = new Set([
  'kubectl.kubernetes.io/last-applied-configuration',
  revisionAnnotation,
  historyAnnotation,
  desiredAnnotation,
  maxAnnotation,
  'deprecated.deployment.rollback.to',
]);

const created = (set: ReplicaSet): string => `${set.metadata.creationTimestamp} ${set.metadata.name}`;

/** Oldest first. */
export const byAge = (sets: readonly ReplicaSet[]): ReplicaSet[] => [...sets].sort((a, b) => (created(a) < created(b) ? -1 : 1));

export const revisionOf = (object: ReplicaSet | Deployment): number =>
  Number(object.metadata.annotations?.[revisionAnnotation] ?? 0) || 0;

const templateText = (template: PodTemplateSpec | undefined): string => {
  const { [hashLabel]: _, ...labels } = template?.metadata?.labels ?? {};
  return canonicalJson({ ...template, metadata: { labels, annotations: template?.metadata?.annotations } });
};

export const hashOf = (deployment: Deployment): string =>
  safeHash(
    { ...deployment.spec!.template, metadata: { ...deployment.spec!.template.metadata, creationTimestamp: undefined } },
    deployment.status?.collisionCount ?? 0,
  );

/**
 * The ReplicaSet with the Deployment's present template: the oldest, so that a tie is settled the same way each time. The hash also
 * counts, for a server that fills in defaults into the one and not the other would otherwise get a new ReplicaSet for ever.
 */
export function findCurrent(deployment: Deployment, sets: readonly ReplicaSet[]): ReplicaSet | undefined {
  const wanted = templateText(deployment.spec!.template);
  const ordered = byAge(sets);
  const hash = hashOf(deployment);
  return (
    ordered.find(({ spec }) => templateText(spec?.template) === wanted) ??
    ordered.find(
      ({ metadata }) => metadata.labels?.[hashLabel] === hash && metadata.name === `${deployment.metadata.name}-${hash}`,
    )
  );
}

/** The annotations that the current ReplicaSet should have. */
export function annotationsFor(
  deployment: Deployment,
  set: ReplicaSet | undefined,
  revision: number,
  maxReplicas: number,
): Record<string, string> {
  const old = set?.metadata.annotations ?? {};
  const copied = Object.entries(deployment.metadata.annotations ?? {}).filter(([name]) => !notCopied.has(name));
  const result: Record<string, string> = { ...old, ...Object.fromEntries(copied) };
  const before = Number(old[revisionAnnotation] ?? 0);
  if (before < revision) {
    if (before > 0) {
      const history = (old[historyAnnotation] ?? '').split(',').filter((text) => text !== '');
      result[historyAnnotation] = [...history, String(before)].join(',');
    }
    result[revisionAnnotation] = String(revision);
  }
  result[desiredAnnotation] = String(deployment.spec?.replicas ?? 1);
  result[maxAnnotation] = String(maxReplicas);
  return result;
}
