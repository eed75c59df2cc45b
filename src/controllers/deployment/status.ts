import { conditionOf } from '../../kube/objects.ts';
import type { Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet } from '../../kube/types.ts';
import { limitsOf } from './math.ts';

const sum = (sets: readonly ReplicaSet[], count: (set: ReplicaSet) => number | undefined): number =>
  sets.reduce((total, set) => total + (count(set) ?? 0), 0);

type Told = Pick<DeploymentCondition, 'type' | 'status' | 'reason' | 'message'>;

/** With the condition set; nothing changes when it says the same, so that lastUpdateTime stays the time of the last progress. */
export function setCondition(status: DeploymentStatus, told: Told, now: string, renew = false): void {
  const old = conditionOf(status.conditions, told.type);
  if (!renew && old?.status === told.status && old.reason === told.reason) return;
  const lastTransitionTime = old?.status === told.status ? old.lastTransitionTime : now;
  const condition = { ...told, lastUpdateTime: now, lastTransitionTime };
  status.conditions = [...(status.conditions ?? []).filter(({ type }) => type !== told.type), condition];
}

/** What the ReplicaSets amount to. */
export function statusOf(
  deployment: Deployment,
  current: ReplicaSet | undefined,
  all: readonly ReplicaSet[],
  now: string,
): DeploymentStatus {
  const available = sum(all, ({ status }) => status?.availableReplicas);
  const limits = limitsOf(deployment);
  const status: DeploymentStatus = {
    observedGeneration: deployment.metadata.generation,
    replicas: sum(all, ({ status }) => status?.replicas),
    updatedReplicas: current?.status?.replicas ?? 0,
    readyReplicas: sum(all, ({ status }) => status?.readyReplicas),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, sum(all, ({ spec }) => spec?.replicas ?? 1) - available),
    terminatingReplicas: sum(all, ({ status }) => status?.terminatingReplicas),
    collisionCount: deployment.status?.collisionCount,
    conditions: structuredClone(deployment.status?.conditions ?? []),
  };
  const enough = available >= limits.replicas - limits.maxUnavailable;
  setCondition(
    status,
    {
      type: 'Available',
      status: enough ? 'True' : 'False',
      reason: enough ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
      message: `Deployment ${enough ? 'has' : 'does not have'} minimum availability.`,
    },
    now,
  );
  return status;
}

export const isComplete = (deployment: Deployment, status: DeploymentStatus): boolean => {
  const { replicas = 1 } = deployment.spec!;
  return (
    status.updatedReplicas === replicas &&
    status.replicas === replicas &&
    status.availableReplicas === replicas &&
    (status.observedGeneration ?? 0) >= (deployment.metadata.generation ?? 0)
  );
};

function hasProgressed(old: DeploymentStatus, status: DeploymentStatus): boolean {
  const count = (value: number | undefined): number => value ?? 0;
  return (
    count(status.updatedReplicas) > count(old.updatedReplicas) ||
    count(status.replicas) - count(status.updatedReplicas) < count(old.replicas) - count(old.updatedReplicas) ||
    count(status.readyReplicas) > count(old.readyReplicas) ||
    count(status.availableReplicas) > count(old.availableReplicas)
  );
}

export const deadlineSeconds = (deployment: Deployment): number | undefined => {
  const seconds = deployment.spec?.progressDeadlineSeconds ?? 600;
  return seconds >= 2 ** 31 - 1 ? undefined : seconds; // MaxInt32 means none
};

/** Writes the Progressing and ReplicaFailure conditions of a rollout into `status`. Answers when the deadline must be looked at. */
export function progress(
  deployment: Deployment,
  status: DeploymentStatus,
  current: ReplicaSet | undefined,
  all: readonly ReplicaSet[],
  nowMs: number,
  now: string,
): number | undefined {
  const seconds = deadlineSeconds(deployment);
  const what = current ? `ReplicaSet "${current.metadata.name}"` : `Deployment "${deployment.metadata.name}"`;
  const old = conditionOf(status.conditions, 'Progressing');
  const finished = status.replicas === status.updatedReplicas && old?.reason === 'NewReplicaSetAvailable';
  let waitMs: number | undefined;
  if (seconds === undefined) status.conditions = status.conditions?.filter(({ type }) => type !== 'Progressing');
  else if (!finished) {
    const told = { type: 'Progressing', status: 'True' };
    if (isComplete(deployment, status)) {
      setCondition(status, { ...told, reason: 'NewReplicaSetAvailable', message: `${what} has successfully progressed.` }, now);
    } else if (hasProgressed(deployment.status ?? {}, status)) {
      setCondition(status, { ...told, reason: 'ReplicaSetUpdated', message: `${what} is progressing.` }, now, true);
    }
    const since = conditionOf(status.conditions, 'Progressing');
    if (since && since.status === 'True' && since.reason !== 'NewReplicaSetAvailable' && !deployment.spec?.paused) {
      waitMs = Date.parse(since.lastUpdateTime ?? '') + seconds * 1000 - nowMs;
      if (waitMs <= 0) {
        waitMs = undefined;
        const late = {
          ...told,
          status: 'False',
          reason: 'ProgressDeadlineExceeded',
          message: `${what} has timed out progressing.`,
        };
        setCondition(status, late, now);
      }
    }
  }
  const failure = (current ? [current] : all)
    .map((set) => conditionOf(set.status?.conditions, 'ReplicaFailure'))
    .find((condition) => condition?.status === 'True');
  if (failure) {
    const { reason, message } = failure;
    setCondition(status, { type: 'ReplicaFailure', status: 'True', reason, message }, now);
  } else status.conditions = status.conditions?.filter(({ type }) => type !== 'ReplicaFailure');
  return waitMs;
}
