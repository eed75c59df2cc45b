import { isConflict, isNotFound, type Resource } from '../../kube/api.ts';
import { Backoff } from '../../kube/backoff.ts';
import { EventRecorder } from '../../kube/events.ts';
import { isDeleting, isPodFinished, jsonEqual, key, kubeTime, podCondition, withCondition } from '../../kube/objects.ts';
import { Namespaces, Nodes, Pods, Services } from '../../kube/resources.ts';
import type { Binding, Node, Pod } from '../../kube/types.ts';
import { type Context, indexedPods, type Running } from '../context.ts';
import { type Cluster, filtersFor } from './filters.ts';
import { addPod, type NodeInfo, newNodeInfo, removePod } from './node-info.ts';
import { rank, selectorsOf } from './scores.ts';

const schedulerName = 'default-scheduler';
const PodBindings = { ...Pods, kind: 'Binding' } as unknown as Resource<Binding>;

/** Where a pod can go, and why not elsewhere. */
export type Placement = { node: NodeInfo } | { message: string };

/** Finds the best node for a pod. Pure. */
export function place(pod: Pod, cluster: Cluster, services: Parameters<typeof selectorsOf>[0] = []): Placement {
  if (cluster.nodes.length === 0) return { message: 'no nodes available to schedule pods' };
  const filters = filtersFor(pod, cluster);
  const reasons = new Map<string, number>();
  const candidates: NodeInfo[] = [];
  for (const info of cluster.nodes) {
    let reason: string | undefined;
    for (const filter of filters) if ((reason = filter(info)) !== undefined) break;
    if (reason === undefined) candidates.push(info);
    else reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  const [best] = rank(pod, candidates, cluster, selectorsOf(services));
  if (best) return { node: best };
  const told = [...reasons].map(([reason, count]) => `${count} ${reason}`).sort();
  return { message: `0/${cluster.nodes.length} nodes are available: ${told.join(', ')}.` };
}

/**
 * Binds pods to nodes. One pass places all waiting pods against one picture of the cluster, in which a placed pod counts at once; the
 * bindings are then written side by side. What fits nowhere waits until something changes that could help.
 */
export function scheduler(context: Context): Running {
  const { api, informers, now } = context;
  const pods = indexedPods(informers, Pods);
  const nodes = informers.of(Nodes);
  const services = informers.of(Services);
  const namespaces = informers.of(Namespaces);
  services.addIndex('namespace', ({ metadata }) => [metadata.namespace ?? '']);
  const events = new EventRecorder(api, {
    component: schedulerName,
    now,
    onError: (error) => context.onError('scheduler', 'event', error),
  });
  const picture = new Map<string, NodeInfo>();
  /** Pods on nodes that are not known (yet). */
  const elsewhere = new Map<string, Map<string, Pod>>();
  const active = new Set<string>();
  const unschedulable = new Set<string>();
  /** Placed, but the cache does not know yet: key → node. */
  const assumed = new Map<string, { uid: string | undefined; node: string }>();
  const backoffs = new Map<string, Backoff>();
  const timers = new Set<NodeJS.Timeout>();
  let antiAffinity = 0;
  let scheduled: NodeJS.Immediate | undefined;
  let isReady = false;
  let stopped = false;

  const hasAnti = (pod: Pod): boolean =>
    Boolean(pod.spec?.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.length);
  const isWaiting = (pod: Pod): boolean =>
    !pod.spec?.nodeName &&
    !isDeleting(pod) &&
    !isPodFinished(pod) &&
    (pod.spec?.schedulerName ?? schedulerName) === schedulerName;

  function put(pod: Pod, node: string): void {
    take(key(pod), node);
    if (isPodFinished(pod)) return;
    const info = picture.get(node);
    if (info) addPod(info, pod);
    else {
      const there = elsewhere.get(node) ?? new Map<string, Pod>();
      elsewhere.set(node, there.set(key(pod), pod));
    }
    if (hasAnti(pod)) antiAffinity++;
  }

  function take(podKey: string, node: string): void {
    const info = picture.get(node);
    const known = info?.pods.get(podKey) ?? elsewhere.get(node)?.get(podKey);
    if (!known) return;
    if (info) removePod(info, podKey);
    elsewhere.get(node)?.delete(podKey);
    if (hasAnti(known)) antiAffinity--;
  }

  function wake(retryUnschedulable = false): void {
    if (retryUnschedulable) {
      for (const podKey of unschedulable) active.add(podKey);
      unschedulable.clear();
    }
    if (!isReady || stopped || active.size === 0) return;
    scheduled ??= setImmediate(() => {
      scheduled = undefined;
      pass();
    });
  }

  function pass(): void {
    const waiting = [...active]
      .map((podKey) => pods.get(podKey))
      .filter((pod): pod is Pod => pod !== undefined && isWaiting(pod));
    active.clear();
    const order = (pod: Pod): string => `${pod.metadata.creationTimestamp} ${pod.metadata.resourceVersion?.padStart(20, '0')}`;
    waiting.sort((a, b) => (b.spec?.priority ?? 0) - (a.spec?.priority ?? 0) || (order(a) < order(b) ? -1 : 1));
    for (const pod of waiting) {
      if (assumed.has(key(pod))) continue;
      if (pod.spec?.schedulingGates?.length) {
        void tellWaiting(pod, 'SchedulingGated', 'Scheduling is blocked due to non-empty scheduling gates');
        continue;
      }
      const cluster: Cluster = {
        nodes: [...picture.values()],
        namespaceLabels: (name) => namespaces.get(name)?.metadata.labels,
        hasAntiAffinity: antiAffinity > 0,
      };
      const found = place(pod, cluster, services.byIndex('namespace', pod.metadata.namespace ?? ''));
      if ('node' in found) void bind(pod, found.node.node.metadata.name);
      else {
        unschedulable.add(key(pod));
        void tellWaiting(pod, 'Unschedulable', found.message);
      }
    }
  }

  async function bind(pod: Pod, node: string): Promise<void> {
    const { name, namespace, uid } = pod.metadata;
    assumed.set(key(pod), { uid, node });
    put(pod, node);
    try {
      const binding: Binding = {
        apiVersion: 'v1',
        kind: 'Binding',
        metadata: { name, namespace, uid },
        target: { apiVersion: 'v1', kind: 'Node', name: node },
      };
      await api.create(PodBindings, binding, { subresource: 'binding' });
      backoffs.delete(key(pod));
      events.event(Pods, pod, 'Normal', 'Scheduled', `Successfully assigned ${namespace}/${name} to ${node}`);
    } catch (error) {
      assumed.delete(key(pod));
      take(key(pod), node);
      if (isNotFound(error)) return;
      if (!isConflict(error)) context.onError('scheduler', key(pod), error as Error);
      again(key(pod));
    }
  }

  function again(podKey: string): void {
    const backoff = backoffs.get(podKey) ?? new Backoff(50, 10_000);
    backoffs.set(podKey, backoff);
    const timer = setTimeout(() => {
      timers.delete(timer);
      active.add(podKey);
      wake();
    }, backoff.next());
    timers.add(timer);
  }

  async function tellWaiting(pod: Pod, reason: string, message: string): Promise<void> {
    const condition = podCondition(pod, 'PodScheduled');
    if (condition?.status === 'False' && condition.reason === reason && condition.message === message) return;
    if (reason === 'Unschedulable') events.event(Pods, pod, 'Warning', 'FailedScheduling', message);
    const conditions = withCondition(
      pod.status?.conditions,
      { type: 'PodScheduled', status: 'False', reason, message },
      kubeTime(now()),
    );
    try {
      await api.update(Pods, { ...pod, status: { ...pod.status, conditions } }, { subresource: 'status' });
    } catch (error) {
      if (isNotFound(error)) return;
      if (!isConflict(error)) context.onError('scheduler', key(pod), error as Error);
      again(key(pod));
    }
  }

  const offs = [
    nodes.onChange((changes) => {
      let helps = false;
      for (const { type, object, previous } of changes) {
        const { name } = object.metadata;
        const info = picture.get(name);
        if (type === 'deleted') {
          if (info) elsewhere.set(name, info.pods);
          picture.delete(name);
        } else if (info) {
          info.node = object;
          if (!previous || matters(object, previous)) helps = true;
        } else {
          const fresh = newNodeInfo(object);
          for (const pod of elsewhere.get(name)?.values() ?? []) addPod(fresh, pod);
          elsewhere.delete(name);
          picture.set(name, fresh);
          helps = true;
        }
      }
      wake(helps);
    }),
    pods.onChange((changes) => {
      let helps = false;
      for (const { type, key: podKey, object, previous } of changes) {
        const node = object.spec?.nodeName;
        const guess = assumed.get(podKey);
        if (guess && (type === 'deleted' || node || guess.uid !== object.metadata.uid)) {
          assumed.delete(podKey);
          if (guess.node !== node || type === 'deleted') take(podKey, guess.node);
        }
        if (type === 'deleted') {
          if (node) take(podKey, node);
          active.delete(podKey);
          unschedulable.delete(podKey);
          helps ||= Boolean(node);
        } else if (node) {
          const finished = isPodFinished(object);
          put(object, node);
          active.delete(podKey);
          unschedulable.delete(podKey);
          // A finished pod makes room; a placed or relabelled one may be what a pod with affinity waits for.
          helps ||= finished || previous?.spec?.nodeName !== node || !jsonEqual(previous.metadata.labels, object.metadata.labels);
        } else if (isWaiting(object)) {
          const onlyStatus =
            previous && jsonEqual(previous.spec, object.spec) && jsonEqual(previous.metadata.labels, object.metadata.labels);
          if (!(onlyStatus && unschedulable.has(podKey))) active.add(podKey);
        }
      }
      wake(helps);
    }),
    namespaces.onChange(() => wake(unschedulable.size > 0)),
  ];
  const ready = Promise.all([pods, nodes, services, namespaces].map(({ synced }) => synced)).then(() => {
    isReady = true;
    wake();
  });
  return {
    ready,
    stop() {
      stopped = true;
      for (const off of offs) off();
      clearImmediate(scheduled);
      for (const timer of timers) clearTimeout(timer);
    },
  };
}

/** Whether a change of a node can matter to placing: heartbeats do not. */
const matters = (a: Node, b: Node): boolean =>
  a.spec?.unschedulable !== b.spec?.unschedulable ||
  !jsonEqual(a.spec?.taints ?? [], b.spec?.taints ?? []) ||
  !jsonEqual(a.metadata.labels ?? {}, b.metadata.labels ?? {}) ||
  !jsonEqual(a.status?.allocatable ?? {}, b.status?.allocatable ?? {});
