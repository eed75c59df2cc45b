import { isNotFound } from '../../kube/api.ts';
import { conditionOf, controllerOf, isDeleting, isPodFinished, jsonEqual, key, kubeTime } from '../../kube/objects.ts';
import { Deployments, Pods, ReplicaSets } from '../../kube/resources.ts';
import { fromLabelSelector, matches } from '../../kube/selectors.ts';
import type { Deployment, ReplicaSet } from '../../kube/types.ts';
import { claimChildren } from '../children.ts';
import { type Context, controller, indexedPods, ownerIndex, type Running } from '../context.ts';
import { ensureCurrent } from './current.ts';
import { newReplicas, oldReplicas, sizeOf } from './math.ts';
import { byAge, desiredAnnotation, revisionOf } from './revisions.ts';
import { active, Rollout, type RolloutTools } from './rollout.ts';
import { deadlineSeconds, isComplete, progress, setCondition, statusOf } from './status.ts';

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
  const tools: RolloutTools = { api, deployments, sets, events, now };

  async function sync(deployment: Deployment): Promise<number | undefined> {
    const selector = fromLabelSelector(deployment.spec?.selector);
    if (!selector || selector.length === 0) return undefined;
    const claim = { api, ownerResource: Deployments, owner: deployment, selector, childResource: ReplicaSets, children: sets };
    const all = byAge(await claimChildren(claim));
    const rollout = new Rollout(tools, deployment, all);
    if (isDeleting(deployment)) return writeStatus(rollout, false);
    markPause(rollout);
    if (deployment.spec!.paused || wasScaled(deployment, all)) {
      if (rollout.current) await ensureCurrent(rollout, false);
      await rollout.scaleAll();
      if (deployment.spec!.paused) await cleanUp(rollout);
      return writeStatus(rollout, false);
    }
    if (deployment.spec!.strategy?.type === 'Recreate') {
      const shrunk = await rollout.scaleMany(new Map(active(rollout.old).map(({ metadata }) => [metadata.name, 0])));
      if (shrunk || oldPodsRun(rollout)) return writeStatus(rollout, true);
      await ensureCurrent(rollout, true);
      await rollout.scaleMany(new Map([[rollout.current!.metadata.name, rollout.limits.replicas]]));
    } else {
      await ensureCurrent(rollout, true);
      const next = newReplicas(rollout.limits, sizeOf(rollout.current!), rollout.old.map(sizeOf));
      const grown = await rollout.scaleMany(new Map([[rollout.current!.metadata.name, next]]));
      if (!grown)
        await rollout.scaleMany(oldReplicas(rollout.limits, sizeOf(rollout.current!), active(rollout.old).map(sizeOf)));
    }
    if (isComplete(deployment, statusOf(deployment, rollout.current, rollout.all, kubeTime(now())))) await cleanUp(rollout);
    return writeStatus(rollout, true);
  }

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
    const status = statusOf(known, current, rollout.all, time);
    const waitMs = rolling ? progress(known, status, current, rollout.all, now(), time) : undefined;
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
