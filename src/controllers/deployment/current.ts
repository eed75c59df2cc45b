import { isAlreadyExists } from '../../kube/api.ts';
import { conditionOf, isControlledBy, jsonEqual, ownerRef } from '../../kube/objects.ts';
import { Deployments, ReplicaSets } from '../../kube/resources.ts';
import type { ReplicaSet } from '../../kube/types.ts';
import { newReplicas, sizeOf } from './math.ts';
import { annotationsFor, desiredAnnotation, findCurrent, hashLabel, hashOf, maxAnnotation, revisionAnnotation, revisionOf } from './revisions.ts';
import type { Rollout } from './rollout.ts';

/** Finds or makes the ReplicaSet of the present template, and keeps revisions and annotations right. */
export async function ensureCurrent(rollout: Rollout, mayCreate: boolean): Promise<void> {
  const { deployment, limits } = rollout;
  const revision = Math.max(0, ...rollout.old.map(revisionOf)) + 1;
  const maxReplicas = limits.replicas + limits.maxSurge;
  const minReadySeconds = deployment.spec!.minReadySeconds;
  if (rollout.current) {
    const annotations = annotationsFor(deployment, rollout.current, revision, maxReplicas);
    const { metadata, spec } = rollout.current;
    // Sizes in annotations belong to the act of scaling, which compares them with the Deployment.
    for (const name of [desiredAnnotation, maxAnnotation])
      annotations[name] = metadata.annotations?.[name] ?? annotations[name]!;
    if (!jsonEqual(annotations, metadata.annotations ?? {}) || (spec?.minReadySeconds ?? 0) !== (minReadySeconds ?? 0)) {
      const set = { ...rollout.current, metadata: { ...metadata, annotations }, spec: { ...spec!, minReadySeconds } };
      await rollout.writeSet(set);
    }
    if (!conditionOf(rollout.status.conditions, 'Progressing'))
      rollout.tellProgress('FoundNewReplicaSet', `Found new replica set "${metadata.name}"`);
  } else if (mayCreate) await create(rollout, revision, maxReplicas);
  if (rollout.current) await writeRevision(rollout);
}

async function create(rollout: Rollout, revision: number, maxReplicas: number): Promise<void> {
  const { deployment, limits, sets } = rollout;
  const { metadata, spec } = deployment;
  const hash = hashOf(deployment);
  const template = structuredClone(spec!.template);
  const labels = { ...template.metadata?.labels, [hashLabel]: hash };
  const empty = { name: '', replicas: 0, available: 0 };
  const set: ReplicaSet = {
    metadata: {
      name: `${metadata.name}-${hash}`,
      namespace: metadata.namespace,
      labels,
      annotations: annotationsFor(deployment, undefined, revision, maxReplicas),
      ownerReferences: [ownerRef(Deployments, deployment)],
    },
    spec: {
      replicas: spec!.strategy?.type === 'Recreate' ? limits.replicas : newReplicas(limits, empty, rollout.old.map(sizeOf)),
      ...(spec!.minReadySeconds ? { minReadySeconds: spec!.minReadySeconds } : {}),
      selector: { ...spec!.selector, matchLabels: { ...spec!.selector.matchLabels, [hashLabel]: hash } },
      template: { ...template, metadata: { ...template.metadata!, labels } },
    },
  };
  try {
    rollout.current = await rollout.api.create(ReplicaSets, set);
  } catch (error) {
    if (isAlreadyExists(error)) await collide(rollout, set.metadata.name);
    throw error;
  }
  await sets.hasSeen(rollout.current.metadata.resourceVersion);
  if (set.spec!.replicas! > 0) rollout.tellScaled(set.metadata.name, 0, set.spec!.replicas!);
  rollout.tellProgress('NewReplicaSetCreated', `Created new replica set "${set.metadata.name}"`);
}

/** Another template under the same hash: the next pass counts one collision more, and so makes another name. */
async function collide({ deployment, api, sets, deployments }: Rollout, name: string): Promise<void> {
  const taken = await api.get(ReplicaSets, name, deployment.metadata.namespace);
  if (isControlledBy(taken, deployment)) {
    await sets.hasSeen(taken.metadata.resourceVersion);
    if (findCurrent(deployment, [taken])) return;
  }
  const status = { ...deployment.status, collisionCount: (deployment.status?.collisionCount ?? 0) + 1 };
  const written = await api.update(Deployments, { ...deployment, status }, { subresource: 'status' });
  await deployments.hasSeen(written.metadata.resourceVersion);
}

async function writeRevision(rollout: Rollout): Promise<void> {
  const { api, deployments } = rollout;
  const { metadata } = rollout.deployment;
  const revision = rollout.current!.metadata.annotations?.[revisionAnnotation];
  if (!revision || metadata.annotations?.[revisionAnnotation] === revision) return;
  const patch = { metadata: { uid: metadata.uid, annotations: { [revisionAnnotation]: revision } } };
  rollout.deployment = await api.patch(Deployments, metadata.name, metadata.namespace, patch, 'merge');
  await deployments.hasSeen(rollout.deployment.metadata.resourceVersion);
}
