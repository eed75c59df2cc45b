import type { Pod } from '../kube/types.ts';
import { podOf } from '../policy/read-world.ts';
import type { Labels, PodPort, PolicyPod } from '../policy/world.ts';
import { Interned } from './interned.ts';

/** A Pod as policies see it, and the uid of those of this node. There is one for each pod of the cluster: what many have alike is kept once. */
export interface PodView extends PolicyPod {
  /** Of this node's pods only, as CNI calls name it: a pod that was made anew under its name is another. */
  uid?: string | undefined;
}

/** What kubelet writes on the Pod that it makes for a static one: the uid by which everybody on the node knows it. */
const mirrorAnnotation = 'kubernetes.io/config.mirror';

/** @param nodeName of this node */
export function podView(pod: Pod, nodeName: string): PodView {
  const { workload: _, labels, ports, namespace, node, ...rest } = podOf(pod);
  const named = ports.filter(({ name }) => name !== undefined);
  const view: PodView = {
    ...rest,
    namespace: texts.of(namespace, namespace),
    node: node === undefined ? undefined : texts.of(node, node),
    labels: labelSets.of(JSON.stringify(labels), labels),
    ports: named.length === 0 ? noPorts : portLists.of(JSON.stringify(named), named),
  };
  if (node === nodeName) view.uid = pod.metadata.annotations?.[mirrorAnnotation] ?? pod.metadata.uid;
  return view;
}

/** Whether both mean the same to policies: most changes of Pods are of their containers' state. */
export const samePod = (a: PodView, b: PodView): boolean =>
  a.labels === b.labels &&
  a.ports === b.ports &&
  a.node === b.node &&
  a.uid === b.uid &&
  a.ended === b.ended &&
  a.hostNetwork === b.hostNetwork &&
  a.addresses.length === b.addresses.length &&
  a.addresses.every((address, i) => address.equals(b.addresses[i]!));

const texts = new Interned<string>();
const labelSets = new Interned<Labels>();
const portLists = new Interned<readonly PodPort[]>();
const noPorts: readonly PodPort[] = [];
