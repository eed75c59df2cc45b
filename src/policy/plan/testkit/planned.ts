import { Prefix } from '../../../net/prefix.ts';
import type { Item } from '../../../reconcile/model.ts';
import { clusterDnsPod, usualClusterDns } from '../../cluster-dns.ts';
import type { Policy } from '../../model.ts';
import { policyName } from '../../model.ts';
import type { Random } from '../../testkit/random.ts';
import { type Labels, makeWorld, podKey, type PolicyNode, type PolicyPod, type World } from '../../world.ts';
import { PolicyPlanner } from '../planner.ts';
import { podLinks, TracedCluster } from './cluster.ts';

/** Objects by what identifies them, as they come in events. */
export interface Objects {
  namespaces: Map<string, Labels>;
  pods: Map<string, PolicyPod>;
  nodes: Map<string, PolicyNode>;
  policies: Map<string, Policy>;
}

export const objectsOf = ({ namespaces, pods, nodes, policies }: World): Objects => ({
  namespaces: new Map(namespaces),
  pods: new Map(pods.map((pod) => [podKey(pod), pod])),
  nodes: new Map(nodes.map((node) => [node.name, node])),
  policies: new Map(policies.map((policy) => [policyName(policy), policy])),
});

/** The cluster DNS address, as nodes that answer it themselves have it. */
export const dnsPod = clusterDnsPod(usualClusterDns);

export interface ClusterOptions {
  podCidrs?: readonly string[];
  /** Nodes answer cluster DNS. */
  dns?: boolean;
}

/** A planner for each node, told of objects one by one, and what they planned. */
export class PlannedCluster {
  readonly #objects: Objects = { namespaces: new Map(), pods: new Map(), nodes: new Map(), policies: new Map() };
  readonly #planners = new Map<string, PolicyPlanner>();
  readonly #plans = new Map<string, Map<string, readonly Item[]>>();
  readonly #dns: boolean;
  epoch = 0;

  constructor(nodes: readonly string[], { podCidrs = [], dns = false }: ClusterOptions = {}) {
    this.#dns = dns;
    for (const name of nodes) {
      const planner = new PolicyPlanner({ node: { name, podLinks, podCidrs: podCidrs.map(Prefix.parse) }, held: new Map() });
      if (dns) planner.setClusterDns([dnsPod]);
      this.#planners.set(name, planner);
      this.#plans.set(name, new Map());
    }
  }

  get world(): World {
    const { namespaces, pods, nodes, policies } = this.#objects;
    const dns = this.#dns ? [dnsPod] : [];
    return makeWorld({ namespaces, pods: [...pods.values(), ...dns], nodes: [...nodes.values()], policies: [...policies.values()] });
  }

  get objects(): Objects {
    return this.#objects;
  }

  #each(tell: (planner: PolicyPlanner) => void): void {
    for (const planner of this.#planners.values()) tell(planner);
  }

  setNamespace(name: string, labels: Labels): void {
    this.#objects.namespaces.set(name, labels);
    this.#each((planner) => planner.setNamespace(name, labels));
  }

  setPod(pod: PolicyPod): void {
    this.#objects.pods.set(podKey(pod), pod);
    this.#each((planner) => planner.setPod(pod));
  }

  deletePod(key: string): void {
    this.#objects.pods.delete(key);
    this.#each((planner) => planner.deletePod(key));
  }

  setNode(node: PolicyNode): void {
    this.#objects.nodes.set(node.name, node);
    this.#each((planner) => planner.setNode(node));
  }

  setPolicy(policy: Policy): void {
    this.#objects.policies.set(policyName(policy), policy);
    this.#each((planner) => planner.setPolicy(policy));
  }

  deletePolicy(key: string): void {
    const policy = this.#objects.policies.get(key)!;
    this.#objects.policies.delete(key);
    this.#each((planner) => planner.deletePolicy(policy));
  }

  /** All objects, in an order of chance. */
  tell(objects: Objects, random: Random): void {
    const all = [
      ...Array.from(objects.namespaces, ([name, labels]) => () => this.setNamespace(name, labels)),
      ...Array.from(objects.pods.values(), (pod) => () => this.setPod(pod)),
      ...Array.from(objects.nodes.values(), (node) => () => this.setNode(node)),
      ...Array.from(objects.policies.values(), (policy) => () => this.setPolicy(policy)),
    ];
    for (const one of random.shuffle(all)) one();
  }

  /** What is planned now, in an epoch of its own. */
  next(): TracedCluster {
    for (const [name, planner] of this.#planners) {
      const plan = this.#plans.get(name)!;
      for (const [owner, items] of planner.changes()) {
        if (items.length === 0) plan.delete(owner);
        else plan.set(owner, items);
      }
    }
    return new TracedCluster(new Map(Array.from(this.#plans, ([name, plan]) => [name, [...plan.values()].flat()])), ++this.epoch);
  }
}

/** One event that matters, as it happens to a cluster: policies come and go, labels change, pods come, go and take over addresses. */
export function changeSomething(cluster: PlannedCluster, random: Random, more: Objects): void {
  const { namespaces, pods, policies } = cluster.objects;
  const pickOf = <K, V>(map: Map<K, V>): [K, V] | undefined => (map.size > 0 ? random.pick([...map]) : undefined);
  const kind = random.whole(0, 6);
  const labels = (): Labels => Object.fromEntries(['app', 'tier'].filter(() => random.chance(0.7)).map((key) => [key, random.pick(['a', 'b', ''])]));
  const [namespace, pod, policy, other] = [pickOf(namespaces), pickOf(pods), pickOf(policies), pickOf(more.policies)];
  if (kind === 0 && policy) cluster.deletePolicy(policy[0]);
  else if (kind === 1 && other) cluster.setPolicy(other[1]);
  else if (kind === 2 && pod) cluster.setPod({ ...pod[1], labels: labels() });
  else if (kind === 3 && namespace) cluster.setNamespace(namespace[0], { ...labels(), 'kubernetes.io/metadata.name': namespace[0] });
  else if (kind === 4 && pod) cluster.deletePod(pod[0]);
  else if (kind === 5 && pod) cluster.setPod({ ...pod[1], ended: !pod[1].ended });
  else if (pod) {
    // Another pod takes over the addresses at once.
    cluster.deletePod(pod[0]);
    cluster.setPod({ ...pod[1], name: `${pod[1].name}x`, labels: labels(), node: random.pick(['n1', 'n2']) });
  }
}
