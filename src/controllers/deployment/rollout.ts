import type { Api } from '../../kube/api.ts';
import type { EventRecorder } from '../../kube/events.ts';
import type { Informer } from '../../kube/informer.ts';
import { jsonEqual, kubeTime } from '../../kube/objects.ts';
import { Deployments, ReplicaSets } from '../../kube/resources.ts';
import type { Deployment, DeploymentStatus, ReplicaSet } from '../../kube/types.ts';
import { type Limits, limitsOf, proportional, sizeOf } from './math.ts';
import { desiredAnnotation, findCurrent, maxAnnotation } from './revisions.ts';
import { deadlineSeconds, setCondition } from './status.ts';

/** Where Deployments and ReplicaSets are read, written and told of. */
export interface RolloutTools {
  api: Api;
  deployments: Informer<Deployment>;
  sets: Informer<ReplicaSet>;
  events: EventRecorder;
  now: () => number;
}

export const active = (all: readonly ReplicaSet[]): ReplicaSet[] => all.filter(({ spec }) => (spec?.replicas ?? 1) > 0);

/** What one pass over a Deployment knows, which follows each write, and how its ReplicaSets are written. */
export class Rollout implements RolloutTools {
  readonly api: Api;
  readonly deployments: Informer<Deployment>;
  readonly sets: Informer<ReplicaSet>;
  readonly events: EventRecorder;
  readonly now: () => number;
  deployment: Deployment;
  readonly limits: Limits;
  /** That of the present template. */
  current: ReplicaSet | undefined;
  /** Oldest first. */
  old: ReplicaSet[];
  readonly status: Pick<DeploymentStatus, 'conditions' | 'collisionCount'>;

  /** @param all ReplicaSets of the Deployment, oldest first */
  constructor({ api, deployments, sets, events, now }: RolloutTools, deployment: Deployment, all: readonly ReplicaSet[]) {
    this.api = api;
    this.deployments = deployments;
    this.sets = sets;
    this.events = events;
    this.now = now;
    this.deployment = deployment;
    this.limits = limitsOf(deployment);
    this.current = findCurrent(deployment, all);
    this.old = all.filter((set) => set !== this.current);
    const { conditions, collisionCount } = deployment.status ?? {};
    this.status = structuredClone({ conditions, collisionCount });
  }

  get all(): ReplicaSet[] {
    return this.current ? [...this.old, this.current] : this.old;
  }

  /** The change of `replicas` itself: to the one active ReplicaSet, or shared among several. */
  async scaleAll(): Promise<void> {
    const { current, old, limits } = this;
    const living = active(this.all);
    if (living.length <= 1) {
      const one = living[0] ?? current ?? old.at(-1);
      if (one) await this.scaleMany(new Map([[one.metadata.name, limits.replicas]]));
      return;
    }
    const recreate = this.deployment.spec?.strategy?.type === 'Recreate';
    const saturated = current?.spec?.replicas === limits.replicas && current.status?.availableReplicas === limits.replicas;
    if (saturated || recreate) {
      await this.scaleMany(new Map(active(old).map(({ metadata }) => [metadata.name, 0])));
      return;
    }
    const parts = living.map((set) => ({
      ...sizeOf(set),
      before: Number(set.metadata.annotations?.[maxAnnotation]) || undefined,
    }));
    parts.reverse();
    parts.sort((a, b) => b.replicas - a.replicas);
    await this.scaleMany(proportional(limits, parts), true);
  }

  /** Writes sizes and the annotations of what they were computed for. Whether anything was scaled. */
  async scaleMany(next: ReadonlyMap<string, number>, annotateAll = false): Promise<boolean> {
    const { limits } = this;
    let scaled = false;
    for (const set of this.all) {
      const { name } = set.metadata;
      const before = set.spec?.replicas ?? 1;
      const replicas = next.get(name) ?? before;
      const annotations = {
        ...set.metadata.annotations,
        [desiredAnnotation]: String(limits.replicas),
        [maxAnnotation]: String(limits.replicas + limits.maxSurge),
      };
      const stale = (annotateAll || next.has(name)) && !jsonEqual(annotations, set.metadata.annotations ?? {});
      if (replicas === before && !stale) continue;
      await this.writeSet({ ...set, metadata: { ...set.metadata, annotations }, spec: { ...set.spec!, replicas } });
      if (replicas === before) continue;
      scaled = true;
      this.tellScaled(name, before, replicas);
    }
    return scaled;
  }

  async writeSet(set: ReplicaSet): Promise<void> {
    const written = await this.api.update(ReplicaSets, set);
    await this.sets.hasSeen(written.metadata.resourceVersion);
    if (this.current?.metadata.uid === written.metadata.uid) this.current = written;
    else this.old = this.old.map((one) => (one.metadata.uid === written.metadata.uid ? written : one));
  }

  /** As an Event. */
  tellScaled(name: string, before: number, after: number): void {
    const message = `Scaled ${after > before ? 'up' : 'down'} replica set ${name} from ${before} to ${after}`;
    this.events.event(Deployments, this.deployment, 'Normal', 'ScalingReplicaSet', message);
  }

  /** As a condition. */
  tellProgress(reason: string, message: string): void {
    if (deadlineSeconds(this.deployment) === undefined) return;
    setCondition(this.status, { type: 'Progressing', status: 'True', reason, message }, kubeTime(this.now()));
  }
}
