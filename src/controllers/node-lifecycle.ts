import { isNotFound } from '../kube/api.ts';
import { conditionOf, isDeleting, jsonEqual, kubeTime, podCondition, withCondition } from '../kube/objects.ts';
import { Leases, Nodes, Pods } from '../kube/resources.ts';
import type { Node, NodeCondition, Taint } from '../kube/types.ts';
import { type Context, controller, indexedPods, type Running } from './context.ts';

export interface NodeLifecycleOptions {
  /** A node that is silent for so long is not known to be well. */
  graceMs?: number;
}

const unreachable = 'node.kubernetes.io/unreachable';
const notReady = 'node.kubernetes.io/not-ready';
const unschedulable = 'node.kubernetes.io/unschedulable';
const networkUnavailable = 'node.kubernetes.io/network-unavailable';
const ours = new Set([unreachable, notReady, unschedulable, networkUnavailable]);

/** The taints that a node's conditions ask for; others on the node are not touched. */
function taintsOf(node: Node, now: string): Taint[] {
  const ready = conditionOf(node.status?.conditions, 'Ready')?.status;
  const wanted: Taint[] = [];
  // A node that has not told anything yet: nothing is sent there, and nothing has to leave it.
  if (ready === undefined) wanted.push({ key: notReady, effect: 'NoSchedule' });
  for (const [key, when] of [
    [notReady, ready === 'False'],
    [unreachable, ready === 'Unknown'],
  ] as const)
    if (when) wanted.push({ key, effect: 'NoSchedule' }, { key, effect: 'NoExecute', timeAdded: now });
  if (node.spec?.unschedulable) wanted.push({ key: unschedulable, effect: 'NoSchedule', timeAdded: now });
  if (conditionOf(node.status?.conditions, 'NetworkUnavailable')?.status === 'True')
    wanted.push({ key: networkUnavailable, effect: 'NoSchedule' });
  const present = node.spec?.taints ?? [];
  const same = (a: Taint, b: Taint): boolean => a.key === b.key && a.effect === b.effect;
  return [
    ...present.filter((taint) => !ours.has(taint.key) || wanted.some((one) => same(one, taint))),
    ...wanted.filter((taint) => !present.some((one) => same(one, taint))),
  ];
}

/**
 * Watches over the heartbeat of nodes: the Lease `kube-node-lease/NAME`, or the Ready condition. A silent node's conditions become Unknown, it is
 * tainted, and its pods are not Ready any more, so that Services leave them out.
 */
export function nodeLifecycleController(context: Context, options: NodeLifecycleOptions = {}): Running {
  const { api, informers, now } = context;
  const { graceMs = 40_000 } = options;
  const nodes = informers.of(Nodes);
  const leases = informers.of(Leases);
  const pods = indexedPods(informers, Pods);
  /** When something new was last heard of a node, by this process's clock: node clocks may be wrong. */
  const heard = new Map<string, { renewed: string; posted: string; atMs: number }>();
  const running = controller(context, { name: 'node-controller', informers: [nodes, leases, pods], work: sync });
  const { queue, events } = running;

  async function sync(name: string): Promise<number | undefined> {
    let node = nodes.get(name);
    if (!node) {
      heard.delete(name);
      return undefined;
    }
    const silentMs = now() - lastHeard(node);
    if (silentMs > graceMs) node = await markUnknown(node);
    const taints = taintsOf(node, kubeTime(now()));
    if (!jsonEqual(taints, node.spec?.taints ?? [])) {
      const written = await api.update(Nodes, { ...node, spec: { ...node.spec, taints } });
      await nodes.hasSeen(written.metadata.resourceVersion);
    }
    const ready = conditionOf(node.status?.conditions, 'Ready');
    if (ready && ready.status !== 'True') await markPodsNotReady(node);
    return Math.max(100, silentMs > graceMs ? graceMs / 4 : graceMs - silentMs + 1);
  }

  function lastHeard(node: Node): number {
    const { name } = node.metadata;
    const before = heard.get(name);
    const ready = conditionOf(node.status?.conditions, 'Ready');
    const renewed = leases.get(`kube-node-lease/${name}`)?.spec?.renewTime ?? '';
    // An Unknown condition was written here, and is no sign of life.
    const posted = ready?.status === 'Unknown' ? (before?.posted ?? '') : `${ready?.status} ${ready?.lastHeartbeatTime}`;
    if (before && before.renewed === renewed && before.posted === posted) return before.atMs;
    heard.set(name, { renewed, posted, atMs: now() });
    return now();
  }

  async function markUnknown(node: Node): Promise<Node> {
    const time = kubeTime(now());
    const types = new Set([
      'Ready',
      'MemoryPressure',
      'DiskPressure',
      'PIDPressure',
      ...(node.status?.conditions ?? []).map(({ type }) => type),
    ]);
    types.delete('NetworkUnavailable');
    let conditions: NodeCondition[] = node.status?.conditions ?? [];
    for (const type of types) {
      const told = { type, status: 'Unknown', reason: 'NodeStatusUnknown', message: 'Kubelet stopped posting node status.' };
      if (conditionOf(conditions, type)?.status !== 'Unknown') conditions = withCondition<NodeCondition>(conditions, told, time);
    }
    if (jsonEqual(conditions, node.status?.conditions)) return node;
    const written = await api.update(Nodes, { ...node, status: { ...node.status, conditions } }, { subresource: 'status' });
    await nodes.hasSeen(written.metadata.resourceVersion);
    events.event(Nodes, node, 'Normal', 'NodeNotReady', `Node ${node.metadata.name} status is now: NodeNotReady`);
    return written;
  }

  async function markPodsNotReady(node: Node): Promise<void> {
    for (const pod of pods.byIndex('node', node.metadata.name)) {
      if (isDeleting(pod) || podCondition(pod, 'Ready')?.status !== 'True') continue;
      const conditions = withCondition(pod.status?.conditions, { type: 'Ready', status: 'False' }, kubeTime(now()));
      try {
        const written = await api.update(Pods, { ...pod, status: { ...pod.status, conditions } }, { subresource: 'status' });
        await pods.hasSeen(written.metadata.resourceVersion);
        events.event(Pods, pod, 'Warning', 'NodeNotReady', 'Node is not ready');
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    }
  }

  const offs = [
    nodes.onChange((changes) => {
      for (const { key } of changes) queue.add(key);
    }),
    leases.onChange((changes) => {
      for (const { object } of changes) if (object.metadata.namespace === 'kube-node-lease') queue.add(object.metadata.name);
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
