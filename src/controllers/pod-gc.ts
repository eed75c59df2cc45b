import { isNotFound } from '../kube/api.ts';
import { isDeleting, isPodFinished, key, kubeTime, withCondition } from '../kube/objects.ts';
import { Nodes, Pods } from '../kube/resources.ts';
import type { Pod, PodCondition } from '../kube/types.ts';
import { type Context, controller, indexedPods, type Running } from './context.ts';

export interface PodGcOptions {
  /** How long a node must be gone before its pods are taken to be gone too. */
  quarantineMs?: number;
}

/** Removes pods that nobody can end any more: those of deleted nodes, and those deleted before they had a node. */
export function podGcController(context: Context, options: PodGcOptions = {}): Running {
  const { api, informers, now } = context;
  const { quarantineMs = 2000 } = options;
  const pods = indexedPods(informers, Pods);
  const nodes = informers.of(Nodes);
  /** Since when a node that pods name is not known. */
  const missingSince = new Map<string, number>();
  const running = controller(context, { name: 'pod-garbage-collector', informers: [pods, nodes], work: sync });
  const { queue } = running;

  async function sync(podKey: string): Promise<number | undefined> {
    const pod = pods.get(podKey);
    if (!pod) return undefined;
    const node = pod.spec?.nodeName ?? '';
    if (node === '') {
      if (isDeleting(pod)) await remove(pod);
      return undefined;
    }
    if (nodes.get(node)) {
      missingSince.delete(node);
      return undefined;
    }
    const since = missingSince.get(node) ?? now();
    missingSince.set(node, since);
    const leftMs = since + quarantineMs - now();
    if (leftMs > 0) return leftMs;
    try {
      await api.get(Nodes, node);
      return quarantineMs;
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    const failed = isPodFinished(pod) ? pod : await fail(pod);
    await remove(failed);
    return undefined;
  }

  async function fail(pod: Pod): Promise<Pod> {
    const condition: PodCondition = {
      type: 'DisruptionTarget',
      status: 'True',
      reason: 'DeletionByPodGC',
      message: 'PodGC: node no longer exists',
    };
    const conditions = withCondition(pod.status?.conditions, condition, kubeTime(now()));
    return api.update(Pods, { ...pod, status: { ...pod.status, phase: 'Failed', conditions } }, { subresource: 'status' });
  }

  async function remove(pod: Pod): Promise<void> {
    const { name, namespace, uid } = pod.metadata;
    try {
      await api.delete(Pods, name, namespace, { gracePeriodSeconds: 0, preconditions: { uid: uid! } });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  const offs = [
    pods.onChange((changes) => {
      for (const { type, key: podKey, object } of changes) {
        const node = object.spec?.nodeName ?? '';
        if (type !== 'deleted' && (node === '' ? isDeleting(object) : !nodes.get(node))) queue.add(podKey);
      }
    }),
    nodes.onChange((changes) => {
      for (const { type, key: name } of changes) {
        missingSince.delete(name);
        if (type === 'deleted') for (const pod of pods.byIndex('node', name)) queue.add(key(pod));
      }
    }),
  ];
  return {
    ready: running.ready,
    stop() {
      for (const off of offs) off();
      running.stop();
    },
  };
}
