import { isNotFound } from '../../kube/api.ts';
import { isDeleting, isPodAvailable, isPodReady, jsonEqual, key, podCondition } from '../../kube/objects.ts';
import { ControllerRevisions, DaemonSets, Nodes, Pods } from '../../kube/resources.ts';
import { fromLabelSelector } from '../../kube/selectors.ts';
import type { DaemonSet, DaemonSetStatus, Pod } from '../../kube/types.ts';
import { claimChildren, slowStart } from '../children.ts';
import { type Context, controller, indexedPods, ownerIndex, type Running } from '../context.ts';
import { presentRevision, revisionLabel, trimRevisions } from '../controller-revisions.ts';
import { enqueueOwners } from '../owners.ts';
import { resolvePercent } from '../percent.ts';
import { podFromTemplate } from '../pod-template.ts';
import { daemonSpec, fitsNode, nodeOf } from './placement.ts';
import { type Place, plan, type Rules, statusOf } from './plan.ts';

/** Keeps one pod of each DaemonSet on every node that it fits, and rolls changes of the template out node by node. */
export function daemonSetController(context: Context): Running {
  const { api, informers, now } = context;
  const sets = informers.of(DaemonSets);
  const pods = indexedPods(informers, Pods);
  const nodes = informers.of(Nodes);
  const revisions = informers.of(ControllerRevisions);
  revisions.addIndex('owner', ownerIndex);
  const running = controller(context, {
    name: 'daemonset-controller',
    informers: [sets, pods, nodes, revisions],
    work: async (name) => {
      const set = sets.get(name);
      return set ? sync(set) : undefined;
    },
  });
  const { queue, events } = running;

  async function sync(set: DaemonSet): Promise<number | undefined> {
    const selector = fromLabelSelector(set.spec?.selector);
    if (!selector || selector.length === 0 || isDeleting(set)) return undefined;
    const claim = { api, ownerResource: DaemonSets, owner: set, selector, childResource: Pods, children: pods };
    await claimChildren(claim);
    const hash = await presentRevision(api, revisions, DaemonSets, set);
    if (!hash) return writeStatus(set, { ...emptyStatus, ...set.status, collisionCount: (set.status?.collisionCount ?? 0) + 1 });
    const rules = rulesOf(set, hash);
    const todo = plan(placesOf(set), rules);
    let failure: unknown;
    try {
      await Promise.all([create(set, todo.create, hash), remove(set, todo.remove)]);
    } catch (error) {
      failure = error;
    }
    const places = placesOf(set);
    const mine = places.flatMap((place) => place.pods);
    await trimRevisions(api, revisions, set, new Set([hash, ...mine.map(({ metadata }) => metadata.labels?.[revisionLabel])]));
    const { collisionCount } = set.status ?? {};
    await writeStatus(set, {
      ...statusOf(places, rules),
      ...(collisionCount ? { collisionCount } : {}),
      observedGeneration: set.metadata.generation,
    });
    if (failure) throw failure;
    return untilAvailable(mine, rules);
  }

  /** Every node, and nodes that are gone but still have pods in the cache. */
  function placesOf(set: DaemonSet): Place[] {
    const there = new Map<string, Pod[]>();
    for (const pod of pods.byIndex('owner', set.metadata.uid ?? '')) {
      const node = nodeOf(pod);
      if (node !== undefined) there.set(node, [...(there.get(node) ?? []), pod]);
    }
    return nodes.list().map((node) => {
      const { name } = node.metadata;
      return { node: name, ...fitsNode(set, node), pods: there.get(name) ?? [] };
    });
  }

  function rulesOf(set: DaemonSet, hash: string): Rules {
    const desired = nodes.list().filter((node) => fitsNode(set, node).shouldRun).length;
    const { type, rollingUpdate } = set.spec?.updateStrategy ?? {};
    const maxSurge = resolvePercent(rollingUpdate?.maxSurge, desired, 'up');
    const rolling = type !== 'OnDelete';
    return {
      hash,
      maxUnavailable: rolling ? resolvePercent(rollingUpdate?.maxUnavailable ?? 1, desired, 'up') : undefined,
      maxSurge: rolling ? maxSurge : 0,
      minReadySeconds: set.spec?.minReadySeconds ?? 0,
      nowMs: now(),
    };
  }

  async function create(set: DaemonSet, where: readonly string[], hash: string): Promise<void> {
    const made = await slowStart(where.length, async (index) => {
      try {
        const pod = podFromTemplate(DaemonSets, set, set.spec?.template);
        pod.metadata.labels = { ...pod.metadata.labels, [revisionLabel]: hash };
        pod.spec = daemonSpec(pod.spec!, where[index]!);
        const written = await api.create(Pods, pod);
        events.event(DaemonSets, set, 'Normal', 'SuccessfulCreate', `Created pod: ${written.metadata.name}`);
        return written;
      } catch (error) {
        events.event(DaemonSets, set, 'Warning', 'FailedCreate', `Error creating: ${(error as Error).message}`);
        throw error;
      }
    });
    await Promise.all(made.map(({ metadata }) => pods.hasSeen(metadata.resourceVersion)));
  }

  async function remove(set: DaemonSet, victims: readonly Pod[]): Promise<void> {
    await Promise.all(
      victims.map(async ({ metadata: { name, namespace, uid } }) => {
        try {
          await api.delete(Pods, name, namespace, { preconditions: { uid: uid! } });
          events.event(DaemonSets, set, 'Normal', 'SuccessfulDelete', `Deleted pod: ${name}`);
        } catch (error) {
          if (!isNotFound(error)) throw error;
        }
        await pods.hasSeenDeletion(`${namespace}/${name}`, uid);
      }),
    );
  }

  async function writeStatus(set: DaemonSet, status: DaemonSetStatus): Promise<undefined> {
    if (jsonEqual(status, set.status)) return;
    try {
      const written = await api.update(DaemonSets, { ...set, status }, { subresource: 'status' });
      await sets.hasSeen(written.metadata.resourceVersion);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  const offs = [
    sets.onChange((changes) => {
      for (const change of changes) if (change.type !== 'deleted') queue.add(change.key);
    }),
    nodes.onChange((changes) => {
      const matters = changes.some(
        ({ type, object, previous }) =>
          type === 'deleted' ||
          !previous ||
          !jsonEqual(object.metadata.labels, previous.metadata.labels) ||
          !jsonEqual(object.spec?.taints, previous.spec?.taints),
      );
      if (matters) for (const set of sets.list()) queue.add(key(set));
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

const emptyStatus: DaemonSetStatus = {
  currentNumberScheduled: 0,
  desiredNumberScheduled: 0,
  numberMisscheduled: 0,
  numberReady: 0,
};

/** Milliseconds until the next pod will have been ready for long enough. */
function untilAvailable(pods: readonly Pod[], { minReadySeconds, nowMs }: Rules): number | undefined {
  const waits = pods
    .filter((pod) => isPodReady(pod) && !isPodAvailable(pod, minReadySeconds, nowMs))
    .map((pod) => Date.parse(podCondition(pod, 'Ready')?.lastTransitionTime ?? '') + minReadySeconds * 1000 - nowMs);
  return waits.length > 0 ? Math.max(1, Math.min(...waits)) : undefined;
}
