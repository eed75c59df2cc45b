import { selects } from '../policy/match.ts';
import { type Policy, policyName } from '../policy/model.ts';
import { PolicyPlanner, planPolicyChains } from '../policy/plan/index.ts';
import { type Labels, type PolicyNode, type PolicyPod, podKey } from '../policy/world.ts';
import type { Item } from '../reconcile/index.ts';
import type { Cluster } from './cluster.ts';
import { type Difference, differenceOf } from './difference.ts';
import type { NodeSetting } from './predict.ts';

type Contribution = readonly [owner: string, items: readonly Item[]];

const layoutOwner = 'policy layout';

/** What agents hear of policies, and of whom they are about, when a cluster becomes another one: found once for all nodes. */
export interface PolicyNews {
  nodes: Difference<PolicyNode>;
  pods: Difference<PolicyPod>;
  policies: Difference<Policy>;
  namespaces: { set: readonly (readonly [name: string, labels: Labels])[]; deleted: readonly string[] };
  /** All pods that stand for cluster DNS; absent where they stay as they are. */
  dns?: readonly PolicyPod[];
}

/** @param before absent: there was nothing */
export function policyNews(before: Cluster | undefined, { world: after, dns }: Cluster): PolicyNews {
  const was = before?.world;
  return {
    nodes: differenceOf(was?.nodes ?? [], after.nodes, ({ name }) => name, isAlike),
    pods: differenceOf(was?.pods ?? [], after.pods, podKey, isAlike),
    // As an agent hears of them: the planner itself closes what is over the limit of networks.
    policies: differenceOf(was?.given ?? [], after.given, policyName, isAlike),
    namespaces: {
      set: [...after.namespaces],
      deleted: [...(was?.namespaces.keys() ?? [])].filter((name) => !after.namespaces.has(name)),
    },
    ...(isAlike(before?.dns ?? [], dns) ? {} : { dns }),
  };
}

/**
 * Nodes on which what is planned of policies may become another: those with pods that a changed policy selects, since a node plans nothing of policies that are about
 * pods elsewhere. `undefined`: all of them.
 */
export function touchedNodes(before: Cluster, after: Cluster, news: PolicyNews): ReadonlySet<string> | undefined {
  const [was, is] = [before.world, after.world];
  const isSame = <T>({ set, deleted }: Difference<T>): boolean => set.length + deleted.length === 0;
  const areOthersSame = isSame(news.nodes) && isSame(news.pods) && !news.dns && isAlike([...was.namespaces], [...is.namespaces]);
  if (!areOthersSame || (was.given.length === 0) !== (is.given.length === 0)) return undefined;
  // A policy that comes may close rules of others, which then is over the limit of networks.
  const limited = differenceOf(was.policies, is.policies, policyName, isAlike);
  const names = new Set([news.policies, limited].flatMap(({ set, deleted }) => [...set, ...deleted].map(policyName)));
  const subjects = [...was.policies, ...is.policies].filter((policy) => names.has(policyName(policy))).map(({ subject }) => subject);
  const isSelected = (pod: PolicyPod): boolean => subjects.some((subject) => selects(is, subject, pod));
  // Who asks cluster DNS is asked about on every node.
  if (after.dns.some(isSelected)) return undefined;
  const touched = new Set<string>();
  for (const pod of is.pods) if (pod.node !== undefined && !touched.has(pod.node) && isSelected(pod)) touched.add(pod.node);
  return touched;
}

/**
 * What a node's agent plans of policies, fed in the order in which that does it. Without the epoch, which follows each change: its number says nothing but that
 * connections are judged anew.
 */
export class PolicyForecast {
  readonly #planner: PolicyPlanner;
  readonly #chains: readonly Item[];
  /** Planned of the cluster as it is. */
  readonly items: readonly Contribution[];

  /** @param all that there is */
  constructor({ policy: node, held }: NodeSetting, all: PolicyNews) {
    this.#planner = new PolicyPlanner({ node, held: held ?? new Map() });
    this.#chains = planPolicyChains({ podLinks: node.podLinks });
    this.items = this.hear(all);
  }

  /** What is wanted otherwise after this. An agent has no planner while there are no policies: nothing is planned then. */
  hear({ nodes, pods, policies, namespaces, dns }: PolicyNews): readonly Contribution[] {
    const planner = this.#planner;
    const was = planner.isActive;
    for (const { name } of nodes.deleted) planner.deleteNode(name);
    for (const node of nodes.set) planner.setNode(node);
    for (const name of namespaces.deleted) planner.deleteNamespace(name);
    for (const [name, labels] of namespaces.set) planner.setNamespace(name, labels);
    for (const pod of pods.deleted) planner.deletePod(podKey(pod));
    for (const pod of pods.set) planner.setPod(pod);
    if (dns) planner.setClusterDns(dns);
    for (const policy of policies.deleted) planner.deletePolicy(policy);
    for (const policy of policies.set) planner.setPolicy(policy);
    const changes = [...planner.changes()];
    if (was === planner.isActive) return changes;
    return [[layoutOwner, planner.isActive ? this.#chains : []], ...changes];
  }
}

/** Addresses and prefixes are values: they are the same when their texts are. */
const isAlike = (a: unknown, b: unknown): boolean => a === b || text(a) === text(b);
const text = (value: unknown): string =>
  JSON.stringify(value, (_, one: unknown) => (typeof one === 'bigint' ? String(one) : one));
