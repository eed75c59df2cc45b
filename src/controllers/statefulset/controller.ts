import { isNotFound } from '../../kube/api.ts';
import { isDeleting, isPodActive, isPodReady, jsonEqual, podCondition } from '../../kube/objects.ts';
import { ControllerRevisions, Pods, StatefulSets } from '../../kube/resources.ts';
import { fromLabelSelector } from '../../kube/selectors.ts';
import type { Pod, PodTemplateSpec, StatefulSet, StatefulSetStatus } from '../../kube/types.ts';
import { claimChildren } from '../children.ts';
import { type Context, controller, indexedPods, ownerIndex, type Running } from '../context.ts';
import { presentRevision, revisionLabel, trimRevisions } from '../controller-revisions.ts';
import { enqueueOwners } from '../owners.ts';
import { podFromTemplate } from '../pod-template.ts';
import { isHealthy, ordinalOf, plan, type Rules } from './plan.ts';

/**
 * Keeps the numbered pods of StatefulSets: stable names, and with `serviceName` stable names in DNS. There are no persistent volumes:
 * a template that mounts one of `volumeClaimTemplates` is refused by the API, which an event of the set tells.
 */
export function statefulSetController(context: Context): Running {
  const { api, informers, now } = context;
  const sets = informers.of(StatefulSets);
  const pods = indexedPods(informers, Pods);
  const revisions = informers.of(ControllerRevisions);
  revisions.addIndex('owner', ownerIndex);
  const running = controller(context, {
    name: 'statefulset-controller',
    informers: [sets, pods, revisions],
    work: async (name) => {
      const set = sets.get(name);
      return set ? sync(set) : undefined;
    },
  });
  const { queue, events } = running;

  async function sync(set: StatefulSet): Promise<number | undefined> {
    const selector = fromLabelSelector(set.spec?.selector);
    if (!selector || selector.length === 0 || isDeleting(set)) return undefined;
    const claim = { api, ownerResource: StatefulSets, owner: set, selector, childResource: Pods, children: pods };
    await claimChildren({ ...claim, adoptable: (pod) => ordinalOf(set, pod) !== undefined });
    const hash = await presentRevision(api, revisions, StatefulSets, set);
    const { collisionCount = 0, currentRevision } = set.status ?? {};
    if (!hash) return writeStatus(set, { replicas: 0, ...set.status, collisionCount: collisionCount + 1 });
    const update = `${set.metadata.name}-${hash}`;
    const current = currentRevision || update;
    const rules = rulesOf(set, update);
    const todo = plan(podsOf(set), rules);
    let failure: unknown;
    try {
      await Promise.all([
        ...todo.create.map((ordinal) => create(set, ordinal, ordinal < (rules.partition ?? 0) ? current : update)),
        ...todo.remove.map((pod) => remove(set, pod)),
      ]);
    } catch (error) {
      failure = error;
    }
    const mine = [...podsOf(set).values()];
    const status = statusOf(set, mine, rules, current);
    const inUse = [status.currentRevision, update, ...mine.map(({ metadata }) => metadata.labels?.[revisionLabel])];
    const hashes = inUse.map((name) => name?.slice(set.metadata.name.length + 1));
    await trimRevisions(api, revisions, set, new Set(hashes));
    await writeStatus(set, { ...status, ...(collisionCount ? { collisionCount } : {}) });
    if (failure) throw failure;
    const waits = mine
      .filter((pod) => isPodActive(pod) && isPodReady(pod) && !isHealthy(pod, rules))
      .map((pod) => Date.parse(podCondition(pod, 'Ready')?.lastTransitionTime ?? '') + rules.minReadySeconds * 1000 - now());
    return waits.length > 0 ? Math.max(1, Math.min(...waits)) : undefined;
  }

  function podsOf(set: StatefulSet): Map<number, Pod> {
    const found = new Map<number, Pod>();
    for (const pod of pods.byIndex('owner', set.metadata.uid ?? '')) {
      const ordinal = ordinalOf(set, pod);
      if (ordinal !== undefined) found.set(ordinal, pod);
    }
    return found;
  }

  const rulesOf = ({ spec }: StatefulSet, update: string): Rules => ({
    first: spec?.ordinals?.start ?? 0,
    count: spec?.replicas ?? 1,
    ordered: spec?.podManagementPolicy !== 'Parallel',
    partition: spec?.updateStrategy?.type === 'OnDelete' ? undefined : (spec?.updateStrategy?.rollingUpdate?.partition ?? 0),
    update,
    minReadySeconds: spec?.minReadySeconds ?? 0,
    nowMs: now(),
  });

  /** The template of a revision; the present one when the revision is gone. */
  function templateOf(set: StatefulSet, revision: string): PodTemplateSpec | undefined {
    const data = revisions.get(`${set.metadata.namespace}/${revision}`)?.data;
    return (data as { spec?: { template?: PodTemplateSpec } } | undefined)?.spec?.template ?? set.spec?.template;
  }

  async function create(set: StatefulSet, ordinal: number, revision: string): Promise<void> {
    const name = `${set.metadata.name}-${ordinal}`;
    const pod = podFromTemplate(StatefulSets, set, templateOf(set, revision), name);
    pod.metadata.labels = {
      ...pod.metadata.labels,
      [revisionLabel]: revision,
      'statefulset.kubernetes.io/pod-name': name,
      'apps.kubernetes.io/pod-index': String(ordinal),
    };
    pod.spec!.hostname = name;
    if (set.spec?.serviceName) pod.spec!.subdomain = set.spec.serviceName;
    const told = `create Pod ${name} in StatefulSet ${set.metadata.name}`;
    try {
      const { metadata } = await api.create(Pods, pod);
      events.event(StatefulSets, set, 'Normal', 'SuccessfulCreate', `${told} successful`);
      await pods.hasSeen(metadata.resourceVersion);
    } catch (error) {
      events.event(StatefulSets, set, 'Warning', 'FailedCreate', `${told} failed error: ${(error as Error).message}`);
      throw error;
    }
  }

  async function remove(set: StatefulSet, { metadata: { name, namespace, uid } }: Pod): Promise<void> {
    try {
      await api.delete(Pods, name, namespace, { preconditions: { uid: uid! } });
      const told = `delete Pod ${name} in StatefulSet ${set.metadata.name} successful`;
      events.event(StatefulSets, set, 'Normal', 'SuccessfulDelete', told);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    await pods.hasSeenDeletion(`${namespace}/${name}`, uid);
  }

  function statusOf(set: StatefulSet, mine: readonly Pod[], rules: Rules, current: string): StatefulSetStatus {
    const living = mine.filter(isPodActive);
    const of = (revision: string): number =>
      living.filter(({ metadata }) => metadata.labels?.[revisionLabel] === revision).length;
    const updatedReplicas = of(rules.update);
    const healthy = living.filter((pod) => isHealthy(pod, rules)).length;
    const complete = updatedReplicas === rules.count && healthy === rules.count && mine.length === rules.count;
    return {
      replicas: mine.length,
      readyReplicas: living.filter(isPodReady).length,
      availableReplicas: healthy,
      currentReplicas: complete ? updatedReplicas : of(current),
      updatedReplicas,
      currentRevision: complete ? rules.update : current,
      updateRevision: rules.update,
      observedGeneration: set.metadata.generation,
    };
  }

  async function writeStatus(set: StatefulSet, status: StatefulSetStatus): Promise<undefined> {
    if (jsonEqual(status, set.status)) return;
    try {
      const written = await api.update(StatefulSets, { ...set, status }, { subresource: 'status' });
      await sets.hasSeen(written.metadata.resourceVersion);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  const offs = [
    sets.onChange((changes) => {
      for (const change of changes) if (change.type !== 'deleted') queue.add(change.key);
    }),
    enqueueOwners(sets, pods, queue, ({ spec }) => fromLabelSelector(spec?.selector)),
  ];
  return {
    ready: running.ready,
    stop() {
      for (const off of offs) off();
      running.stop();
    },
  };
}
