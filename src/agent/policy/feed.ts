import type { Lease } from '../../ipam/index.ts';
import type { Change } from '../../kube/informer.ts';
import type { Service } from '../../kube/types.ts';
import type { Prefix } from '../../net/prefix.ts';
import { clusterDnsPod, usualClusterDns } from '../../policy/cluster-dns.ts';
import type { Policy } from '../../policy/model.ts';
import { GuardedPlanner, PolicyPlanner } from '../../policy/plan/index.ts';
import type { Labels, PolicyNode, PolicyPod } from '../../policy/world.ts';
import type { NodeNetwork } from '../../reconcile/index.ts';
import { type PodView, samePod } from '../watch/pod-view.ts';
import { type NodeView, sameAsPeer, sameNode } from '../watch/views.ts';
import type { KeptTraits } from './kept-traits.ts';
import type { PolicyPathParts } from './parts.ts';
import { isolatesUnknown, type PodTraits, unknownLabels } from './pod-traits.ts';
import type { PolicyPods } from './pods.ts';

/** The name that a pod is planned by whose name is not, or not any more, its own; no Pod can be called so. */
const formerKey = (key: string): string => `${key} formerly`;
const namespaceOf = (key: string): string => key.slice(0, key.indexOf('/'));
export type PolicyFeedParts = Pick<
  PolicyPathParts,
  'nodeName' | 'podLinks' | 'clusterCidrs' | 'clusterDns' | 'sources' | 'ownAddresses' | 'log'
> & {
  pods: PolicyPods;
  held: NodeNetwork;
  /** Nothing can be planned: changes are to be asked for again so much later (milliseconds). */
  onBroken: (retryMs: number) => void;
  /** Hears what is known of each pod of this node, for the time when the API tells of it no more. */
  kept: Pick<KeptTraits, 'set'>;
};

/** A planner, and what of the cluster it is told. */
export class PolicyFeed {
  readonly planner: GuardedPlanner;
  readonly #parts: PolicyFeedParts;
  /** What was known last of pods of this node: who was deleted by force may run on until DEL, also when a pod of its name is elsewhere by now. */
  readonly #latest = new Map<string, PodTraits>();
  /** Those of them that the API does not tell of, and who of these may neither send nor receive, since nobody knows what isolates them. */
  readonly #former = new Set<string>();
  readonly #unknown = new Set<string>();
  #podCidrs: readonly Prefix[];
  #dns: readonly PolicyPod[] = [];

  /** Nodes are known to it from the beginning. */
  constructor(parts: PolicyFeedParts) {
    const { nodeName, podLinks, sources, held, onBroken, log } = parts;
    this.#parts = parts;
    this.#podCidrs = this.#allPodCidrs();
    this.planner = new GuardedPlanner({
      node: { name: nodeName, podLinks, podCidrs: this.#podCidrs },
      make: (node) => new PolicyPlanner({ node, held }),
      unknown: { labels: unknownLabels, policy: isolatesUnknown },
      held: () => [...held.values()].filter((item) => item.kind === 'nft-element' && item.set.startsWith('policy-')),
      ...{ onBroken, log },
    });
    for (const node of sources.nodes.list()) this.planner.setNode(this.peerOf(node));
  }

  /** Pods that stand for cluster DNS. */
  get dns(): readonly PolicyPod[] {
    return this.#dns;
  }

  setPolicies(changes: readonly Change<Policy>[]): void {
    for (const { type, object } of changes) {
      if (type === 'deleted') this.planner.deletePolicy(object);
      else this.planner.setPolicy(object);
    }
    this.#isolateUnknown();
  }

  setNamespaces(changes: readonly Change<Labels>[]): void {
    for (const { type, key, object } of changes) {
      if (type === 'deleted') this.planner.deleteNamespace(key);
      else this.planner.setNamespace(key, object);
    }
    const areNew = new Set(changes.flatMap(({ type, key }) => (type === 'modified' ? [] : key)));
    for (const key of this.#former) if (areNew.has(namespaceOf(key))) this.setPod(key, this.#parts.sources.policy.world?.pods.get(key));
  }

  /** Keys of pods that are cut off, since nobody can tell what isolates them. */
  get unknown(): readonly string[] {
    return [...this.#unknown];
  }

  setPods(changes: readonly Change<PodView>[]): void {
    for (const { type, key, object, previous } of changes) {
      if (type === 'modified' && previous && samePod(previous, object)) continue;
      this.setPod(key, type === 'deleted' ? undefined : object);
    }
  }

  /** @param but a lease that counts no more */
  setPod(key: string, view: PodView | undefined, but?: Lease): void {
    const { planner } = this;
    const { pods } = this.#parts;
    const isHere = view !== undefined && pods.isLocal(view);
    if (isHere) this.#know(key, view);
    // The name may be another pod's, of another node or of the host's network: both are pods then.
    const former = isHere ? undefined : pods.unknown(key, this.#latest.get(key), but);
    if (!isHere && !former) this.#latest.delete(key);
    if (view) planner.setPod(pods.planned(view, but));
    else planner.deletePod(key);
    this.#setFormer(key, former);
  }

  #know(key: string, view: PodView): void {
    if (this.#latest.get(key) === view) return;
    this.#latest.set(key, view);
    this.#parts.kept.set(key, view);
  }

  #setFormer(key: string, former: PolicyPod | undefined): void {
    const { world } = this.#parts.sources.policy;
    // What a namespace that is gone would say of it nobody can tell either.
    const isUnknown = former && (former.labels === unknownLabels || !world?.namespaces.get(former.namespace));
    const name = formerKey(former?.name ?? '');
    if (former) this.planner.setPod({ ...former, name, ...(isUnknown ? { labels: unknownLabels, ports: [] } : {}) });
    else this.planner.deletePod(formerKey(key));
    this.#former[former ? 'add' : 'delete'](key);
    this.#unknown[isUnknown ? 'add' : 'delete'](key);
    this.#isolateUnknown();
  }

  /** Only while there are policies: without any nobody is isolated. */
  #isolateUnknown(): void {
    if (this.#unknown.size > 0 && this.#parts.sources.policy.count > 0) this.planner.setPolicy(isolatesUnknown);
    else this.planner.deletePolicy(isolatesUnknown);
  }

  setNodes(changes: readonly Change<NodeView>[]): void {
    const { planner } = this;
    const { nodeName, podLinks } = this.#parts;
    let moved = false;
    for (const { type, key, object, previous } of changes) {
      moved ||= !previous || type === 'deleted' || !sameNode(previous, object);
      if (type === 'deleted') planner.deleteNode(key);
      else if (!previous || !sameAsPeer(previous, object)) planner.setNode(this.peerOf(object));
    }
    const podCidrs = moved ? this.#allPodCidrs() : this.#podCidrs;
    if (podCidrs.join() === this.#podCidrs.join()) return;
    this.#podCidrs = podCidrs;
    planner.setPlanNode({ name: nodeName, podLinks, podCidrs });
  }

  /**
   * The address of cluster DNS is this node's own DNS: no pod has it, and its Service has no endpoints that policies could be asked of.
   * @param changes of Services; none: all of them are looked at
   */
  setServices(changes?: readonly Change<Service>[]): void {
    const { clusterDns, sources } = this.#parts;
    if (clusterDns.length === 0) return;
    const isIt = ({ spec }: Service): boolean =>
      clusterDns.some((address) => (spec?.clusterIPs ?? [spec?.clusterIP]).includes(String(address)));
    if (changes && !changes.some(({ object, previous }) => isIt(object) || (previous && isIt(previous)))) return;
    const services = sources.services.list().filter(isIt);
    const usual: Service = { ...usualClusterDns, spec: { ...usualClusterDns.spec, clusterIPs: clusterDns.map(String) } };
    this.#dns = (services.length > 0 ? services : [usual]).map(clusterDnsPod);
    this.planner.setClusterDns(this.#dns);
  }

  /** Of this node all addresses are the node's, but those of cluster DNS. */
  peerOf({ name, asPeer }: NodeView): PolicyNode {
    const { nodeName, ownAddresses, clusterDns } = this.#parts;
    if (name !== nodeName) return asPeer;
    const all = new Map([...asPeer.addresses, ...ownAddresses()].map((address) => [String(address), address]));
    for (const address of clusterDns) all.delete(String(address));
    return { ...asPeer, addresses: [...all.values()] };
  }

  #allPodCidrs(): readonly Prefix[] {
    const { clusterCidrs, sources } = this.#parts;
    const others = sources.nodes
      .list()
      .flatMap(({ podCidrs }) => podCidrs)
      .filter((cidr) => !clusterCidrs.some((whole) => whole.contains(cidr)));
    return [...clusterCidrs, ...new Map(others.map((cidr) => [String(cidr), cidr])).values()];
  }
}
