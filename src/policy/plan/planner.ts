import type { IpAddr } from '../../net/ip.ts';
import type { Prefix } from '../../net/prefix.ts';
import type { Item, NodeNetwork } from '../../reconcile/model.ts';
import { type Policy, type PolicyId, policyName } from '../model.ts';
import type { Labels, PolicyNode, PolicyPod } from '../world.ts';

/** What the plan needs to know of its own node. */
export interface PolicyPlanNode {
  /** node.metadata.name: pods with this nodeName are local. */
  name: string;
  /** How links of pods are known: by their group (`ip link show group`), or as ports of a bridge. */
  podLinks: { group: number; bridge?: string };
  /** Pods of the whole cluster: who has an address in them and is not known yet is a pod that is not known yet. */
  podCidrs: readonly Prefix[];
}

export interface PolicyPlannerStart {
  node: PolicyPlanNode;
  /** What the kernel holds (`reconciler.observe()`), or nothing: numbers are taken from it. */
  held: NodeNetwork;
}

/**
 * Plans the elements that say who may talk to whom on one node: feed it objects in any order, take what changed, and contribute that to the Reconciler.
 * Chains and sets come from `planPolicyChains`, the epoch from `planEpoch`: they are wanted while `isActive`.
 */
export class PolicyPlanner {
  #node: PolicyPlanNode;
  readonly #policies = new Map<string, Policy>();

  constructor({ node }: PolicyPlannerStart) {
    this.#node = node;
  }

  /** Pods of every node; of the host's network or ended too, which then are nobody. */
  setPod(_pod: PolicyPod): void {}

  /** @param _key as `podKey` gives it: `shop/db-0` */
  deletePod(_key: string): void {}

  setNamespace(_name: string, _labels: Labels): void {}

  deleteNamespace(_name: string): void {}

  setPolicy(policy: Policy): void {
    this.#policies.set(policyName(policy), policy);
  }

  deletePolicy(id: PolicyId): void {
    this.#policies.delete(policyName(id));
  }

  setNode(_node: PolicyNode): void {}

  deleteNode(_name: string): void {}

  /** Pods that stand for cluster DNS (`clusterDnsPod`): all of them, each time. */
  setClusterDns(_pods: readonly PolicyPod[]): void {}

  /** @param _name lower case, without a dot at the end; no addresses: it is forgotten */
  setResolved(_name: string, _addresses: readonly IpAddr[]): void {}

  /** Facts of the own node changed. */
  setPlanNode(node: PolicyPlanNode): void {
    this.#node = node;
  }

  /** Owners whose items changed since the last call, with all of their items (none: withdrawn). To be read to its end. */
  *changes(): Iterable<readonly [owner: string, items: readonly Item[]]> {}

  /** Any policy exists: chains and sets are wanted. */
  get isActive(): boolean {
    return this.#policies.size > 0;
  }
}
