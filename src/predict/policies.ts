import { policyName } from '../policy/model.ts';
import { PolicyPlanner, planPolicyChains } from '../policy/plan/index.ts';
import { podKey } from '../policy/world.ts';
import type { Item } from '../reconcile/index.ts';
import type { Cluster } from './cluster.ts';
import { differenceOf } from './difference.ts';
import type { NodeSetting } from './predict.ts';

type Contribution = readonly [owner: string, items: readonly Item[]];

const layoutOwner = 'policy layout';

/**
 * What a node's agent plans of policies, fed in the order in which that does it. Without the epoch, which follows each change: its number says nothing but that
 * connections are judged anew.
 */
export class PolicyForecast {
  readonly #planner: PolicyPlanner;
  readonly #chains: readonly Item[];
  readonly #nodeName: string;
  #cluster: Cluster;
  /** Planned of the cluster as it is. */
  readonly items: readonly Contribution[];

  constructor({ policy: node, held }: NodeSetting, cluster: Cluster) {
    this.#planner = new PolicyPlanner({ node, held: held ?? new Map() });
    this.#chains = planPolicyChains({ podLinks: node.podLinks });
    this.#nodeName = node.name;
    this.#cluster = {
      ...cluster,
      world: { ...cluster.world, nodes: [], namespaces: new Map(), pods: [], policies: [], given: [] },
      dns: [],
    };
    this.items = this.become(cluster);
  }

  /** What is wanted otherwise once the cluster is like this. An agent has no planner while there are no policies: nothing is planned then. */
  become(cluster: Cluster): readonly Contribution[] {
    const planner = this.#planner;
    const was = planner.isActive;
    const [{ world: before, dns }, { world: after }] = [this.#cluster, cluster];
    this.#cluster = cluster;
    const nodes = differenceOf(before.nodes, after.nodes, ({ name }) => name);
    for (const { name } of nodes.deleted) planner.deleteNode(name);
    for (const node of nodes.set) planner.setNode(node);
    for (const name of before.namespaces.keys()) if (!after.namespaces.has(name)) planner.deleteNamespace(name);
    for (const [name, labels] of after.namespaces) planner.setNamespace(name, labels);
    const pods = differenceOf(before.pods, after.pods, podKey, isAlike);
    for (const pod of pods.deleted) planner.deletePod(podKey(pod));
    for (const pod of pods.set) planner.setPod(pod);
    if (!isAlike(dns, cluster.dns)) planner.setClusterDns(cluster.dns);
    // As an agent hears of them: the planner itself closes what is over the limit of networks.
    const policies = differenceOf(before.given, after.given, policyName, isAlike);
    for (const policy of policies.deleted) planner.deletePolicy(policy);
    for (const policy of policies.set) planner.setPolicy(policy);
    const changes = [...planner.changes()];
    if (was === planner.isActive) return changes;
    return [[layoutOwner, planner.isActive ? this.#chains : []], ...changes];
  }

  get node(): string {
    return this.#nodeName;
  }
}

/** Addresses and prefixes are values: they are the same when their texts are. */
const isAlike = (a: unknown, b: unknown): boolean => text(a) === text(b);
const text = (value: unknown): string =>
  JSON.stringify(value, (_, one: unknown) => (typeof one === 'bigint' ? String(one) : one));
