import type { DaemonSet, Node, Pod, PodSpec, Toleration } from '../../kube/types.ts';
import { matchesNode, untolerated } from '../scheduler/terms.ts';

const exists = (name: string, effect: string): Toleration => ({
  key: `node.kubernetes.io/${name}`,
  operator: 'Exists',
  effect,
});

/** A daemon stays where other pods leave, and starts where they do not: as kube-controller-manager's AddOrUpdateDaemonPodTolerations. */
const daemonTolerations: readonly Toleration[] = [
  exists('not-ready', 'NoExecute'),
  exists('unreachable', 'NoExecute'),
  ...['disk-pressure', 'memory-pressure', 'pid-pressure', 'unschedulable'].map((name) => exists(name, 'NoSchedule')),
];

/** The template's spec with what a daemon tolerates, and with `node` as the only place the scheduler may choose. */
export function daemonSpec(spec: PodSpec, node: string): PodSpec {
  const tolerations = [
    ...(spec.tolerations ?? []),
    ...daemonTolerations,
    ...(spec.hostNetwork ? [exists('network-unavailable', 'NoSchedule')] : []),
  ];
  const nodeSelectorTerms = [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [node] }] }];
  const nodeAffinity = {
    ...spec.affinity?.nodeAffinity,
    requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms },
  };
  return { ...spec, tolerations, affinity: { ...spec.affinity, nodeAffinity } };
}

/** The node of a daemon's pod, also before it is bound. */
export function nodeOf({ spec }: Pod): string | undefined {
  if (spec?.nodeName) return spec.nodeName;
  const terms = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  return terms.flatMap(({ matchFields = [] }) => matchFields).find(({ key }) => key === 'metadata.name')?.values?.[0];
}

/** Whether the node is to have a pod of this DaemonSet, and whether one that runs there may stay. */
export function fitsNode(set: DaemonSet, node: Node): { shouldRun: boolean; mayStay: boolean } {
  const template = set.spec?.template.spec ?? { containers: [] };
  const { tolerations } = daemonSpec(template, node.metadata.name);
  const pod: Pod = { metadata: { name: '' }, spec: { ...template, tolerations } };
  const wanted = matchesNode(pod, node) && (!template.nodeName || template.nodeName === node.metadata.name);
  return {
    shouldRun: wanted && !untolerated(pod, node, ['NoSchedule', 'NoExecute']),
    mayStay: wanted && !untolerated(pod, node, ['NoExecute']),
  };
}
