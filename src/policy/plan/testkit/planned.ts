import { IpAddr } from '../../../net/ip.ts';
import { Prefix } from '../../../net/prefix.ts';
import type { Item } from '../../../reconcile/model.ts';
import { clusterDnsPod, usualClusterDns } from '../../cluster-dns.ts';
import { type Policy, policyName } from '../../model.ts';
import { readPolicy } from '../../policies.ts';
import { clusterPolicy } from '../../testkit/objects.ts';
import type { Random } from '../../testkit/random.ts';
import { type Labels, labelsOfNamespace, makeWorld, type PolicyNode, type PolicyPod, podKey, type World } from '../../world.ts';
import { PolicyPlanner } from '../planner.ts';
import { TrafficSets } from '../local/traffic-sets.ts';
import { podLinks, TracedCluster } from './cluster.ts';

/** Objects by what identifies them, as they come in events. */
export interface Objects {
  namespaces: Map<string, Labels>;
  pods: Map<string, PolicyPod>;
  nodes: Map<string, PolicyNode>;
  policies: Map<string, Policy>;
}

type Resolved = Map<string, readonly IpAddr[]>;

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
  /** What each planner keeps sets of traffic in. */
  traffic?: () => TrafficSets;
}

/** A planner for each node, told of objects one by one, and what they planned. */
export class PlannedCluster {
  readonly #objects: Objects = { namespaces: new Map(), pods: new Map(), nodes: new Map(), policies: new Map() };
  readonly #resolved: Resolved = new Map();
  readonly #planners = new Map<string, PolicyPlanner>();
  readonly #plans = new Map<string, Map<string, readonly Item[]>>();
  readonly #dns: boolean;
  epoch = 0;

  constructor(nodes: readonly string[], { podCidrs = [], dns = false, traffic = () => new TrafficSets() }: ClusterOptions = {}) {
    this.#dns = dns;
    for (const name of nodes) {
      const planner = new PolicyPlanner({ node: { name, podLinks, podCidrs: podCidrs.map(Prefix.parse) }, held: new Map(), traffic: traffic() });
      if (dns) planner.setClusterDns([dnsPod]);
      this.#planners.set(name, planner);
      this.#plans.set(name, new Map());
    }
  }

  get world(): World {
    const { namespaces, pods, nodes, policies } = this.#objects;
    const dns = this.#dns ? [dnsPod] : [];
    return makeWorld({
      ...{ namespaces, pods: [...pods.values(), ...dns], nodes: [...nodes.values()] },
      ...{ policies: [...policies.values()], resolved: this.#resolved },
    });
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

  setResolved(name: string, addresses: readonly IpAddr[]): void {
    if (addresses.length === 0) this.#resolved.delete(name);
    else this.#resolved.set(name, addresses);
    this.#each((planner) => planner.setResolved(name, addresses));
  }

  /** All objects, in an order of chance. */
  tell(objects: Objects, random: Random): void {
    const all = [
      ...Array.from(
        objects.namespaces,
        ([name, labels]) =>
          () =>
            this.setNamespace(name, labels),
      ),
      ...Array.from(objects.pods.values(), (pod) => () => this.setPod(pod)),
      ...Array.from(objects.nodes.values(), (node) => () => this.setNode(node)),
      ...Array.from(objects.policies.values(), (policy) => () => this.setPolicy(policy)),
    ];
    for (const one of random.shuffle(all)) one();
  }

  /** What is planned now, in an epoch of its own. */
  next(): TracedCluster {
    this.update();
    return new TracedCluster(new Map(Array.from(this.#plans.keys(), (name) => [name, this.elementsOf(name)])), this.epoch);
  }

  /** The same by owner. */
  plansOf(node: string): ReadonlyMap<string, readonly Item[]> {
    return this.#plans.get(node)!;
  }

  /** All that is planned for a node. */
  elementsOf(node: string): Item[] {
    return [...this.#plans.get(node)!.values()].flat();
  }

  /** Takes what the planners changed, as the next epoch. */
  update(): void {
    this.epoch++;
    for (const [name, planner] of this.#planners) {
      const plan = this.#plans.get(name)!;
      for (const [owner, items] of planner.changes()) {
        if (items.length === 0) plan.delete(owner);
        else plan.set(owner, items);
      }
    }
  }
}

type Change = (cluster: PlannedCluster, random: Random, more: Objects) => void;

const labelsOf = (random: Random): Labels =>
  Object.fromEntries(['app', 'tier'].filter(() => random.chance(0.7)).map((key) => [key, random.pick(['a', 'b', ''])]));

/** With one of a map, if there is any. */
const withOne = <V>(map: ReadonlyMap<string, V>, random: Random, then: (value: V, key: string) => void): void => {
  if (map.size === 0) return;
  const [key, value] = random.pick([...map]);
  then(value, key);
};
const withPod =
  (then: (pod: PolicyPod, cluster: PlannedCluster, random: Random) => void): Change =>
  (cluster, random) =>
    withOne(cluster.objects.pods, random, (pod) => then(pod, cluster, random));

const names = ['api.example.com', 'www.example.com', 'example.org'];
const outside = ['203.0.113.5', '203.0.113.200', '198.51.100.9', '2001:db8:ffff::1', '2001:db8:fffe::1', '10.0.0.3'].map(
  IpAddr.parse,
);

/** Events that leave every pod where it is. */
const policyChanges: readonly Change[] = [
  (cluster, random) => withOne(cluster.objects.policies, random, (_, key) => cluster.deletePolicy(key)),
  (cluster, random, more) => withOne(more.policies, random, (policy) => cluster.setPolicy(policy)),
  (cluster, random) =>
    withOne(cluster.objects.namespaces, random, (_, name) =>
      cluster.setNamespace(name, labelsOfNamespace(name, labelsOf(random))),
    ),
  withPod((pod, cluster, random) => cluster.setPod({ ...pod, labels: labelsOf(random) })),
];

/** Events as they happen to a cluster. */
const changes: readonly Change[] = [
  ...policyChanges,
  (cluster, random) => withOne(cluster.objects.nodes, random, (node) => cluster.setNode({ ...node, labels: labelsOf(random) })),
  (cluster, random) =>
    cluster.setResolved(
      random.pick(names),
      random.times(0, 2, () => random.pick(outside)),
    ),
  withPod((pod, cluster) => cluster.deletePod(podKey(pod))),
  withPod((pod, cluster) => cluster.setPod({ ...pod, ended: !pod.ended })),
  withPod((pod, cluster) => cluster.setPod({ ...pod, ports: [{ name: 'web', protocol: 'TCP', number: 80 }] })),
  // Another pod takes over the addresses at once, perhaps on another node.
  withPod((pod, cluster, random) => {
    cluster.deletePod(podKey(pod));
    cluster.setPod({ ...pod, name: `${pod.name}x`, labels: labelsOf(random), node: random.pick(['n1', 'n2']) });
  }),
];

/** And to one with cluster-wide policies. */
const clusterWideChanges: readonly Change[] = [
  ...changes,
  (cluster, random) => {
    const egress = [
      { action: 'Accept', to: [{ domainNames: [random.pick(['*.example.com', 'example.org', 'www.example.com'])] }] },
      { action: 'Deny', to: [{ networks: ['0.0.0.0/0', '::/0'] }] },
    ];
    const policy = readPolicy(
      clusterPolicy('domains', { tier: 'Admin', priority: random.whole(0, 5), subject: { namespaces: {} }, egress }),
    );
    cluster.setPolicy(policy!);
  },
];

export const changePolicies: Change = (cluster, random, more) => random.pick(policyChanges)(cluster, random, more);

export function changeSomething(cluster: PlannedCluster, random: Random, more: Objects, namespacedOnly = false): void {
  random.pick(namespacedOnly ? changes : clusterWideChanges)(cluster, random, more);
}
