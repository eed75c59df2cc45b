import { isNotFound, type KubeObject, type Resource } from '../../kube/api.ts';
import {
  isDeleting,
  isPodActive,
  isPodAvailable,
  isPodFinished,
  isPodReady,
  jsonEqual,
  key,
  kubeTime,
  podCondition,
  withCondition,
} from '../../kube/objects.ts';
import { Pods, ReplicaSets, ReplicationControllers } from '../../kube/resources.ts';
import { fromLabelSelector, fromMap, matches, type Selector } from '../../kube/selectors.ts';
import type { Pod, PodTemplateSpec, ReplicaSet, ReplicaSetStatus, ReplicationController } from '../../kube/types.ts';
import { claimChildren, slowStart } from '../children.ts';
import { type Context, controller, indexedPods, type Running } from '../context.ts';
import { enqueueOwners } from '../owners.ts';
import { podFromTemplate } from '../pod-template.ts';
import { deletionOrder } from './ranking.ts';

/** What a ReplicaSet and a ReplicationController differ in. */
interface Flavour<T extends KubeObject> {
  name: string;
  resource: Resource<T>;
  selector: (object: T) => Selector | undefined;
  template: (object: T) => PodTemplateSpec | undefined;
}

type Replicated = (ReplicaSet | ReplicationController) & KubeObject;

/** Keeps as many pods of each ReplicaSet as it asks for. */
export const replicaSetController = (context: Context): Running =>
  replicasController<ReplicaSet>(context, {
    name: 'replicaset-controller',
    resource: ReplicaSets,
    selector: ({ spec }) => fromLabelSelector(spec?.selector),
    template: ({ spec }) => spec?.template,
  });

/** The same for ReplicationControllers, whose selector defaults to the template's labels. */
export const replicationController = (context: Context): Running =>
  replicasController<ReplicationController>(context, {
    name: 'replication-controller',
    resource: ReplicationControllers,
    selector: ({ spec }) => fromMap(spec?.selector ?? spec?.template?.metadata?.labels ?? {}),
    template: ({ spec }) => spec?.template,
  });

/** Pods made or deleted by one pass: kube-controller-manager's burst. */
const burst = 500;

function replicasController<T extends Replicated>(context: Context, flavour: Flavour<T>): Running {
  const { api, informers, now } = context;
  const owners = informers.of(flavour.resource);
  const pods = indexedPods(informers, Pods);
  const running = controller(context, {
    name: flavour.name,
    informers: [owners, pods],
    work: async (ownerKey) => {
      const owner = owners.get(ownerKey);
      return owner ? sync(owner) : undefined;
    },
  });
  const { queue, events } = running;

  async function sync(owner: T): Promise<number | undefined> {
    const selector = flavour.selector(owner);
    if (!selector || selector.length === 0) return undefined; // validation asks for one; selecting everything would eat all pods
    const claim = { api, ownerResource: flavour.resource, owner, selector, childResource: Pods, children: pods };
    const active = (await claimChildren({ ...claim, adoptable: (pod) => !isPodFinished(pod) })).filter(isPodActive);
    let failure: Error | undefined;
    if (!isDeleting(owner)) {
      try {
        await scale(owner, active);
      } catch (error) {
        failure = error as Error;
      }
    }
    const waitMs = await writeStatus(owner, selector, failure);
    if (failure) throw failure;
    return waitMs;
  }

  async function scale(owner: T, active: Pod[]): Promise<void> {
    const missing = (owner.spec?.replicas ?? 1) - active.length;
    const { namespace } = owner.metadata;
    if (missing > 0) {
      const made = await slowStart(Math.min(missing, burst), async () => {
        try {
          const pod = await api.create(Pods, podFromTemplate(flavour.resource, owner, flavour.template(owner)));
          events.event(flavour.resource, owner, 'Normal', 'SuccessfulCreate', `Created pod: ${pod.metadata.name}`);
          return pod;
        } catch (error) {
          events.event(flavour.resource, owner, 'Warning', 'FailedCreate', `Error creating: ${(error as Error).message}`);
          throw error;
        }
      });
      await Promise.all(made.map(({ metadata }) => pods.hasSeen(metadata.resourceVersion)));
      if (missing > burst) queue.add(key(owner));
    } else if (missing < 0) {
      const victims = deletionOrder(active).slice(0, Math.min(-missing, burst));
      await Promise.all(
        victims.map(async ({ metadata }) => {
          const { name, uid } = metadata;
          try {
            await api.delete(Pods, name, namespace, { preconditions: { uid: uid! } });
            events.event(flavour.resource, owner, 'Normal', 'SuccessfulDelete', `Deleted pod: ${name}`);
          } catch (error) {
            if (!isNotFound(error)) throw error;
          }
          await pods.hasSeenDeletion(`${namespace}/${name}`, uid);
        }),
      );
      if (-missing > burst) queue.add(key(owner));
    }
  }

  /** Answers when to look again: when the next pod will have been ready for minReadySeconds. */
  async function writeStatus(owner: T, selector: Selector, failure: Error | undefined): Promise<number | undefined> {
    const mine = pods.byIndex('owner', owner.metadata.uid ?? '').filter((pod) => matches(selector, pod.metadata.labels));
    const active = mine.filter(isPodActive);
    const minReady = owner.spec?.minReadySeconds ?? 0;
    const ready = active.filter(isPodReady);
    const template = fromMap(flavour.template(owner)?.metadata?.labels ?? {});
    const available = ready.filter((pod) => isPodAvailable(pod, minReady, now()));
    const old = owner.status;
    const status: ReplicaSetStatus = {
      ...old,
      replicas: active.length,
      fullyLabeledReplicas: active.filter((pod) => matches(template, pod.metadata.labels)).length,
      readyReplicas: ready.length,
      availableReplicas: available.length,
      observedGeneration: owner.metadata.generation,
      conditions: old?.conditions?.filter(({ type }) => type !== 'ReplicaFailure'),
    };
    if (flavour.resource.kind === 'ReplicaSet')
      status.terminatingReplicas = mine.filter((pod) => isDeleting(pod) && !isPodFinished(pod)).length;
    if (failure) {
      const condition = { type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message: failure.message };
      status.conditions = withCondition(old?.conditions, condition, kubeTime(now()));
    }
    if (!status.conditions?.length) delete status.conditions;
    if (!jsonEqual(status, old)) {
      try {
        const written = await api.update(flavour.resource, { ...owner, status } as T, { subresource: 'status' });
        await owners.hasSeen(written.metadata.resourceVersion);
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    }
    const waits = ready
      .filter((pod) => !available.includes(pod))
      .map((pod) => Date.parse(podCondition(pod, 'Ready')?.lastTransitionTime ?? '') + minReady * 1000 - now());
    return waits.length > 0 ? Math.max(1, Math.min(...waits)) : undefined;
  }

  const offOwners = owners.onChange((changes) => {
    for (const change of changes) if (change.type !== 'deleted') queue.add(change.key);
  });
  const offPods = enqueueOwners(owners, pods, queue, flavour.selector);
  return {
    ready: running.ready,
    stop() {
      offOwners();
      offPods();
      running.stop();
    },
  };
}
