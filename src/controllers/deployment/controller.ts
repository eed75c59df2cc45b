import { isAlreadyExists, isNotFound } from '../../kube/api.ts';
import {
  conditionOf,
  controllerOf,
  isControlledBy,
  isDeleting,
  isPodFinished,
  jsonEqual,
  key,
  kubeTime,
  ownerRef,
} from '../../kube/objects.ts';
import { Deployments, Pods, ReplicaSets } from '../../kube/resources.ts';
import { fromLabelSelector, matches } from '../../kube/selectors.ts';
import type { Deployment, DeploymentStatus, ReplicaSet } from '../../kube/types.ts';
import { claimChildren } from '../children.ts';
import { type Context, controller, indexedPods, ownerIndex, type Running } from '../context.ts';
import { type Limits, limitsOf, newReplicas, oldReplicas, proportional, sizeOf } from './math.ts';
import {
  annotationsFor,
  byAge,
  desiredAnnotation,
  findCurrent,
  hashLabel,
  hashOf,
  maxAnnotation,
  revisionAnnotation,
  revisionOf,
} from './revisions.ts';
import { deadlineSeconds, isComplete, progress, setCondition, statusOf } from './status.ts';

/** What one pass knows; replaced whenever a ReplicaSet was written. */
interface Rollout {
  deployment: Deployment;
  limits: Limits;
  current: ReplicaSet | undefined;
  /** Oldest first. */
  old: ReplicaSet[];
  status: Pick<DeploymentStatus, 'conditions' | 'collisionCount'>;
}

/**
 * Rolls Deployments out by ReplicaSets: a new one per template, grown while the old ones shrink, within maxSurge and maxUnavailable.
 *
 *     scaled? ──yes──► share the change among ReplicaSets ─┐
 *        │ no                                              │
 *        ▼                                                 ▼
 *     grow the new, then shrink the old, one step a pass ──► status, conditions ──► (a ReplicaSet's status changes: next pass)
 */
export function deploymentController(context: Context): Running {
  const { api, informers, now } = context;
  const deployments = informers.of(Deployments);
  const sets = informers.of(ReplicaSets);
  const pods = indexedPods(informers, Pods);
  sets.addIndex('owner', ownerIndex);
  deployments.addIndex('namespace', ({ metadata }) => [metadata.namespace ?? '']);
  const running = controller(context, {
    name: 'deployment-controller',
    informers: [deployments, sets, pods],
    work: async (name) => {
      const deployment = deployments.get(name);
      return deployment ? sync(deployment) : undefined;
    },
  });
  const { queue, events } = running;

  async function sync(deployment: Deployment): Promise<number | undefined> {
    const selector = fromLabelSelector(deployment.spec?.selector);
    if (!selector || selector.length === 0) return undefined;
    const claim = { api, ownerResource: Deployments, owner: deployment, selector, childResource: ReplicaSets, children: sets };
    const all = byAge(await claimChildren(claim));
    const current = findCurrent(deployment, all);
    const old = all.filter((set) => set !== current);
    const { conditions, collisionCount } = deployment.status ?? {};
    const rollout: Rollout = {
      deployment,
      limits: limitsOf(deployment),
      current,
      old,
      status: structuredClone({ conditions, collisionCount }),
    };
    if (isDeleting(deployment)) return writeStatus(rollout, false);
    markPause(rollout);
    if (deployment.spec!.paused || wasScaled(deployment, all)) {
      if (current) await ensureCurrent(rollout, false);
      await scaleAll(rollout);
      if (deployment.spec!.paused) await cleanUp(rollout);
      return writeStatus(rollout, false);
    }
    if (deployment.spec!.strategy?.type === 'Recreate') {
      const shrunk = await scaleMany(rollout, new Map(active(old).map(({ metadata }) => [metadata.name, 0])));
      if (shrunk || oldPodsRun(rollout)) return writeStatus(rollout, true);
      await ensureCurrent(rollout, true);
      await scaleMany(rollout, new Map([[rollout.current!.metadata.name, rollout.limits.replicas]]));
    } else {
      await ensureCurrent(rollout, true);
      const next = newReplicas(rollout.limits, sizeOf(rollout.current!), rollout.old.map(sizeOf));
      const grown = await scaleMany(rollout, new Map([[rollout.current!.metadata.name, next]]));
      if (!grown)
        await scaleMany(rollout, oldReplicas(rollout.limits, sizeOf(rollout.current!), active(rollout.old).map(sizeOf)));
    }
    if (isComplete(deployment, statusOf(deployment, rollout.current, allOf(rollout), kubeTime(now())))) await cleanUp(rollout);
    return writeStatus(rollout, true);
  }

  const active = (all: readonly ReplicaSet[]): ReplicaSet[] => all.filter(({ spec }) => (spec?.replicas ?? 1) > 0);
  const allOf = ({ current, old }: Rollout): ReplicaSet[] => (current ? [...old, current] : old);

  /** A pause is told in the Progressing condition, and its time does not count against the deadline. */
  function markPause({ deployment, status }: Rollout): void {
    if (deadlineSeconds(deployment) === undefined) return;
    const condition = conditionOf(status.conditions, 'Progressing');
    if (condition?.reason === 'ProgressDeadlineExceeded') return;
    const paused = condition?.reason === 'DeploymentPaused';
    const told = { type: 'Progressing', status: 'Unknown' };
    if (deployment.spec!.paused && !paused)
      setCondition(status, { ...told, reason: 'DeploymentPaused', message: 'Deployment is paused' }, kubeTime(now()));
    else if (!deployment.spec!.paused && paused)
      setCondition(status, { ...told, reason: 'DeploymentResumed', message: 'Deployment is resumed' }, kubeTime(now()));
  }

  /** Whether somebody changed `replicas` since the ReplicaSets were last sized for it. */
  const wasScaled = (deployment: Deployment, all: readonly ReplicaSet[]): boolean =>
    active(all).some(({ metadata }) => {
      const desired = metadata.annotations?.[desiredAnnotation];
      return desired !== undefined && Number(desired) !== (deployment.spec?.replicas ?? 1);
    });

  /** Finds or makes the ReplicaSet of the present template, and keeps revisions and annotations right. */
  async function ensureCurrent(rollout: Rollout, mayCreate: boolean): Promise<void> {
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
        await writeSet(rollout, set);
      }
      if (!conditionOf(rollout.status.conditions, 'Progressing'))
        tellProgress(rollout, 'FoundNewReplicaSet', `Found new replica set "${metadata.name}"`);
    } else if (mayCreate) await create(rollout, revision, maxReplicas);
    if (rollout.current) await writeRevision(rollout);
  }

  function tellProgress({ deployment, status }: Rollout, reason: string, message: string): void {
    if (deadlineSeconds(deployment) === undefined) return;
    setCondition(status, { type: 'Progressing', status: 'True', reason, message }, kubeTime(now()));
  }

  async function create(rollout: Rollout, revision: number, maxReplicas: number): Promise<void> {
    const { deployment, limits } = rollout;
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
      rollout.current = await api.create(ReplicaSets, set);
    } catch (error) {
      if (isAlreadyExists(error)) await collide(rollout, set.metadata.name);
      throw error;
    }
    await sets.hasSeen(rollout.current.metadata.resourceVersion);
    if (set.spec!.replicas! > 0) tellScaled(rollout, set.metadata.name, 0, set.spec!.replicas!);
    tellProgress(rollout, 'NewReplicaSetCreated', `Created new replica set "${set.metadata.name}"`);
  }

  /** Another template under the same hash: the next pass counts one collision more, and so makes another name. */
  async function collide({ deployment }: Rollout, name: string): Promise<void> {
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
    const { metadata } = rollout.deployment;
    const revision = rollout.current!.metadata.annotations?.[revisionAnnotation];
    if (!revision || metadata.annotations?.[revisionAnnotation] === revision) return;
    const patch = { metadata: { uid: metadata.uid, annotations: { [revisionAnnotation]: revision } } };
    rollout.deployment = await api.patch(Deployments, metadata.name, metadata.namespace, patch, 'merge');
    await deployments.hasSeen(rollout.deployment.metadata.resourceVersion);
  }

  /** The change of `replicas` itself: to the one active ReplicaSet, or shared among several. */
  async function scaleAll(rollout: Rollout): Promise<void> {
    const { current, old, limits } = rollout;
    const living = active(allOf(rollout));
    if (living.length <= 1) {
      const one = living[0] ?? current ?? old.at(-1);
      if (one) await scaleMany(rollout, new Map([[one.metadata.name, limits.replicas]]));
      return;
    }
    const recreate = rollout.deployment.spec?.strategy?.type === 'Recreate';
    const saturated = current?.spec?.replicas === limits.replicas && current.status?.availableReplicas === limits.replicas;
    if (saturated || recreate) {
      await scaleMany(rollout, new Map(active(old).map(({ metadata }) => [metadata.name, 0])));
      return;
    }
    const parts = living.map((set) => ({
      ...sizeOf(set),
      before: Number(set.metadata.annotations?.[maxAnnotation]) || undefined,
    }));
    parts.reverse();
    parts.sort((a, b) => b.replicas - a.replicas);
    await scaleMany(rollout, proportional(limits, parts), true);
  }

  /** Writes sizes and the annotations of what they were computed for. Whether anything was scaled. */
  async function scaleMany(rollout: Rollout, next: ReadonlyMap<string, number>, annotateAll = false): Promise<boolean> {
    const { limits } = rollout;
    let scaled = false;
    for (const set of allOf(rollout)) {
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
      await writeSet(rollout, { ...set, metadata: { ...set.metadata, annotations }, spec: { ...set.spec!, replicas } });
      if (replicas === before) continue;
      scaled = true;
      tellScaled(rollout, name, before, replicas);
    }
    return scaled;
  }

  function tellScaled({ deployment }: Rollout, name: string, before: number, after: number): void {
    const message = `Scaled ${after > before ? 'up' : 'down'} replica set ${name} from ${before} to ${after}`;
    events.event(Deployments, deployment, 'Normal', 'ScalingReplicaSet', message);
  }

  async function writeSet(rollout: Rollout, set: ReplicaSet): Promise<void> {
    const written = await api.update(ReplicaSets, set);
    await sets.hasSeen(written.metadata.resourceVersion);
    if (rollout.current?.metadata.uid === written.metadata.uid) rollout.current = written;
    else rollout.old = rollout.old.map((one) => (one.metadata.uid === written.metadata.uid ? written : one));
  }

  function oldPodsRun({ deployment, old }: Rollout): boolean {
    const owners = [deployment, ...old].map(({ metadata }) => metadata.uid ?? '');
    return owners.some((uid) => pods.byIndex('owner', uid).some((pod) => !isPodFinished(pod)));
  }

  /** Deletes empty old ReplicaSets beyond revisionHistoryLimit, lowest revision first. */
  async function cleanUp(rollout: Rollout): Promise<void> {
    const spare = rollout.old.filter(({ metadata, spec, status }) => {
      const settled = (status?.observedGeneration ?? 0) >= (metadata.generation ?? 0);
      return !metadata.deletionTimestamp && settled && (spec?.replicas ?? 1) === 0 && (status?.replicas ?? 0) === 0;
    });
    const surplus = spare.length - (rollout.deployment.spec!.revisionHistoryLimit ?? 10);
    if (surplus <= 0) return;
    spare.sort((a, b) => revisionOf(a) - revisionOf(b));
    for (const { metadata } of spare.slice(0, surplus)) {
      try {
        await api.delete(ReplicaSets, metadata.name, metadata.namespace, { preconditions: { uid: metadata.uid! } });
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
      await sets.hasSeenDeletion(key({ metadata }), metadata.uid);
    }
  }

  /** Answers when the progress deadline must be looked at. */
  async function writeStatus(rollout: Rollout, rolling: boolean): Promise<number | undefined> {
    const { deployment, current } = rollout;
    const time = kubeTime(now());
    const known = { ...deployment, status: { ...deployment.status, ...rollout.status } };
    const status = statusOf(known, current, allOf(rollout), time);
    const waitMs = rolling ? progress(known, status, current, allOf(rollout), now(), time) : undefined;
    if (!jsonEqual(status, deployment.status)) {
      const written = await api.update(Deployments, { ...deployment, status }, { subresource: 'status' });
      await deployments.hasSeen(written.metadata.resourceVersion);
    }
    return waitMs === undefined ? undefined : waitMs + 1000; // times are whole seconds
  }

  const offs = [
    deployments.onChange((changes) => {
      for (const change of changes) if (change.type !== 'deleted') queue.add(change.key);
    }),
    sets.onChange((changes) => {
      for (const { object, previous } of changes) {
        for (const set of previous && previous !== object ? [object, previous] : [object]) queueOwner(set);
      }
    }),
    // Only Recreate waits for pods themselves: the last of an old ReplicaSet.
    pods.onChange((changes) => {
      for (const { type, object } of changes) {
        if (type !== 'deleted' && !isPodFinished(object)) continue;
        const ref = controllerOf(object);
        const set = ref?.kind === 'ReplicaSet' ? sets.get(`${object.metadata.namespace}/${ref.name}`) : undefined;
        if (set) queueOwner(set, (deployment) => deployment.spec?.strategy?.type === 'Recreate');
      }
    }),
  ];

  function queueOwner(set: ReplicaSet, wanted: (deployment: Deployment) => boolean = () => true): void {
    const ref = controllerOf(set);
    if (ref) {
      const deployment = ref.kind === 'Deployment' ? deployments.get(`${set.metadata.namespace}/${ref.name}`) : undefined;
      if (deployment && wanted(deployment)) queue.add(key(deployment));
      return;
    }
    for (const deployment of deployments.byIndex('namespace', set.metadata.namespace ?? '')) {
      const selector = fromLabelSelector(deployment.spec?.selector);
      if (selector?.length && matches(selector, set.metadata.labels)) queue.add(key(deployment));
    }
  }

  return {
    ready: running.ready,
    stop() {
      for (const off of offs) off();
      running.stop();
    },
  };
}
