import { type Api, isAlreadyExists, isNotFound, type Resource } from '../kube/api.ts';
import type { Informer } from '../kube/informer.ts';
import { isControlledBy, ownerRef } from '../kube/objects.ts';
import { ControllerRevisions } from '../kube/resources.ts';
import type { ControllerRevision, DaemonSet, PodTemplateSpec, StatefulSet } from '../kube/types.ts';
import { canonicalJson, safeHash } from './canonical.ts';

/** On pods and revisions: which template they are of. */
export const revisionLabel = 'controller-revision-hash';

/** Whose templates are kept as ControllerRevisions. */
type Revised = DaemonSet | StatefulSet;

/** A strategic merge patch that brings the template back: what `kubectl rollout undo` sends as it stands. */
const dataOf = ({ spec }: Revised): unknown => ({ spec: { template: { ...spec?.template, $patch: 'replace' } } });

const sameTemplate = (a: unknown, template: PodTemplateSpec | undefined): boolean => {
  const stored = (a as { spec?: { template?: Record<string, unknown> } } | undefined)?.spec?.template ?? {};
  const { $patch: _, ...other } = stored;
  return canonicalJson(other) === canonicalJson(template);
};

/**
 * Keeps the ControllerRevisions of a DaemonSet or StatefulSet: one per template, the present one with the highest number. Answers its hash, or undefined
 * when another object has its name: then `collisionCount` has to go up.
 */
export async function presentRevision(
  api: Api,
  revisions: Informer<ControllerRevision>,
  resource: Resource,
  set: Revised,
): Promise<string | undefined> {
  const { name, namespace, uid = '' } = set.metadata;
  const mine = revisions.byIndex('owner', uid).sort((a, b) => a.revision - b.revision);
  const highest = mine.at(-1)?.revision ?? 0;
  const found = mine.findLast(({ data }) => sameTemplate(data, set.spec?.template));
  if (found) {
    if (found.revision < highest) {
      const written = await api.update(ControllerRevisions, { ...found, revision: highest + 1 });
      await revisions.hasSeen(written.metadata.resourceVersion);
    }
    return found.metadata.labels?.[revisionLabel];
  }
  const hash = safeHash(set.spec?.template, set.status?.collisionCount ?? 0);
  const changeCause = set.metadata.annotations?.['kubernetes.io/change-cause'];
  try {
    const written = await api.create(ControllerRevisions, {
      metadata: {
        name: `${name}-${hash}`,
        namespace,
        labels: { ...set.spec?.template.metadata?.labels, [revisionLabel]: hash },
        ...(changeCause ? { annotations: { 'kubernetes.io/change-cause': changeCause } } : {}),
        ownerReferences: [ownerRef(resource, set)],
      },
      data: dataOf(set),
      revision: highest + 1,
    });
    await revisions.hasSeen(written.metadata.resourceVersion);
    return hash;
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    const there = await api.get(ControllerRevisions, `${name}-${hash}`, namespace);
    return isControlledBy(there, set) && sameTemplate(there.data, set.spec?.template) ? hash : undefined;
  }
}

/** Deletes the oldest revisions beyond `revisionHistoryLimit` that no pod runs. */
export async function trimRevisions(
  api: Api,
  revisions: Informer<ControllerRevision>,
  set: Revised,
  inUse: ReadonlySet<string | undefined>,
): Promise<void> {
  const idle = revisions
    .byIndex('owner', set.metadata.uid ?? '')
    .filter(({ metadata }) => !inUse.has(metadata.labels?.[revisionLabel]))
    .sort((a, b) => a.revision - b.revision);
  for (const { metadata } of idle.slice(0, Math.max(0, idle.length - (set.spec?.revisionHistoryLimit ?? 10)))) {
    try {
      await api.delete(ControllerRevisions, metadata.name, metadata.namespace, { preconditions: { uid: metadata.uid! } });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }
}
