import type { IpAddr } from '../../net/ip.ts';
import { type Policy, policyName } from '../model.ts';
import type { Labels, PolicyNode, PolicyPod } from '../world.ts';
import { closedPolicy, type Faults } from './faults.ts';
import type { PolicyPlanNode, PolicyPlanner } from './planner.ts';

/** What a local pod that cannot be planned for is planned as, and what keeps such pods from sending and receiving. */
export interface Unknown {
  labels: Labels;
  policy: Policy;
}

/** All that a planner is told, by which another one can be told it anew; objects with faults are told as what is left of them. */
export class Told {
  readonly #unknown: Unknown;
  node: PolicyPlanNode;
  readonly pods = new Map<string, PolicyPod>();
  readonly namespaces = new Map<string, Labels>();
  readonly nodes = new Map<string, PolicyNode>();
  readonly policies = new Map<string, Policy>();
  readonly resolved = new Map<string, readonly IpAddr[]>();
  dns: readonly PolicyPod[] = [];

  constructor(node: PolicyPlanNode, unknown: Unknown) {
    this.node = node;
    this.#unknown = unknown;
  }

  /** @param planner one that was told nothing yet */
  tell(planner: PolicyPlanner, { closed, cut }: Faults): void {
    for (const node of this.nodes.values()) planner.setNode(node);
    for (const [name, labels] of this.namespaces) planner.setNamespace(name, labels);
    for (const [key, pod] of this.pods) this.tellPod(planner, key, pod, cut);
    planner.setClusterDns(this.dns);
    for (const [name, addresses] of this.resolved) planner.setResolved(name, addresses);
    for (const policy of this.policies.values()) this.tellPolicy(planner, policy, closed);
    this.isolateCut(planner, cut);
  }

  tellPolicy(planner: PolicyPlanner, policy: Policy, closed: Faults['closed']): void {
    const fault = closed.get(policyName(policy));
    planner.setPolicy(fault ? closedPolicy(policy, fault.why) : policy);
  }

  tellPod(planner: PolicyPlanner, key: string, pod: PolicyPod, cut: Faults['cut']): void {
    if (!cut.has(key)) planner.setPod(pod);
    else if (pod.node !== this.node.name) planner.deletePod(key);
    else {
      const { namespace, name, node, addresses, hostNetwork, ended } = pod;
      planner.setPod({ namespace, name, node, addresses, hostNetwork, ended, labels: this.#unknown.labels, ports: [] });
    }
  }

  isolateCut(planner: PolicyPlanner, cut: Faults['cut']): void {
    const { policy } = this.#unknown;
    if (this.policies.has(policyName(policy))) return;
    if (cut.size > 0 && this.policies.size > 0) planner.setPolicy(policy);
    else planner.deletePolicy(policy);
  }
}
