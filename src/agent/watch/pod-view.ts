import type { Pod } from '../../kube/types.ts';
import { IpAddr } from '../../net/ip.ts';
import { podOf } from '../../policy/read-world.ts';
import type { Labels, PodPort, PolicyPod } from '../../policy/world.ts';
import { Interned } from './interned.ts';

/** What a PodView is made of. */
export interface PodParts extends PolicyPod {
  /** Of this node's pods only, as CNI calls name it: a pod that was made anew under its name is another. */
  uid?: string | undefined;
}

/**
 * A Pod as policies see it. There is one for each pod of the cluster: what many have alike is kept once, and addresses, which are looked at when something
 * changes, as text.
 */
export class PodView implements PodParts {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Labels;
  readonly node: string | undefined;
  readonly hostNetwork: boolean;
  readonly ended: boolean;
  readonly ports: readonly PodPort[];
  readonly created: number;
  readonly uid: string | undefined;
  /** With a blank between. */
  readonly ips: string;

  constructor({ namespace, name, labels, node, hostNetwork, ended, ports, created, uid, addresses }: PodParts) {
    const named = ports.filter(({ name: ofPort }) => ofPort !== undefined);
    this.namespace = texts.of(namespace, namespace);
    this.name = name;
    this.labels = labelSets.of(JSON.stringify(labels), labels);
    this.node = node === undefined ? undefined : texts.of(node, node);
    this.hostNetwork = hostNetwork;
    this.ended = ended;
    this.ports = named.length === 0 ? noPorts : portLists.of(JSON.stringify(named), named);
    this.created = created ?? 0;
    this.uid = uid;
    this.ips = addresses.join(' ');
  }

  get addresses(): readonly IpAddr[] {
    return this.ips === '' ? [] : this.ips.split(' ').map(IpAddr.parse);
  }

  with(changes: Partial<PodParts>): PodView {
    return new PodView({ ...this, addresses: this.addresses, ...changes });
  }
}

/** What kubelet writes on the Pod that it makes for a static one: the uid by which everybody on the node knows it. */
const mirrorAnnotation = 'kubernetes.io/config.mirror';

/** @param nodeName of this node */
export function podView(pod: Pod, nodeName: string): PodView {
  const { metadata, spec } = pod;
  const uid = spec?.nodeName === nodeName ? (metadata.annotations?.[mirrorAnnotation] ?? metadata.uid) : undefined;
  return new PodView({ ...podOf(pod), uid });
}

/** Whether both mean the same to policies: most changes of Pods are of their containers' state. */
export const samePod = (a: PodView, b: PodView): boolean =>
  a.labels === b.labels &&
  a.ports === b.ports &&
  a.node === b.node &&
  a.uid === b.uid &&
  a.ended === b.ended &&
  a.hostNetwork === b.hostNetwork &&
  a.ips === b.ips;

const texts = new Interned<string>();
const labelSets = new Interned<Labels>();
const portLists = new Interned<readonly PodPort[]>();
const noPorts: readonly PodPort[] = [];
