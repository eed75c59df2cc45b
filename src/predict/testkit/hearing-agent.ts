import assert from 'node:assert/strict';
import type { EndpointSlice, Service } from '../../kube/types.ts';
import { policyName } from '../../policy/model.ts';
import { defaultConnmarkMask, PolicyPlanner, planEpoch, planPolicyChains } from '../../policy/plan/index.ts';
import { podKey } from '../../policy/world.ts';
import { type Item, type NftElement, Reconciler } from '../../reconcile/index.ts';
import { ServicePlanner } from '../../services/index.ts';
import type { Cluster } from '../cluster.ts';
import { differenceOf } from '../difference.ts';
import type { ElementChange } from '../elements.ts';
import { type NodeSetting, predict } from '../predict.ts';
import { nodeSettings } from '../settings.ts';

/** An agent's planners, told of one object after the other. */
export class HearingAgent {
  readonly #services: ServicePlanner;
  readonly #policies: PolicyPlanner;
  readonly #reconciler: Reconciler;
  readonly #chains: readonly Item[];
  readonly #hasEpoch: boolean;

  /** @param hasEpoch the kernel is real, and takes no jump to a chain that is not there */
  constructor({ service, policy, answered, answerable }: NodeSetting, reconciler: Reconciler, hasEpoch = false) {
    this.#hasEpoch = hasEpoch;
    const held = new Map();
    this.#services = new ServicePlanner({ node: service, services: [], slices: [], held, answered, answerable });
    this.#policies = new PolicyPlanner({ node: policy, held });
    this.#chains = planPolicyChains({ podLinks: policy.podLinks });
    this.#reconciler = reconciler;
  }

  /** @returns what was written */
  become(before: Cluster, after: Cluster): ReturnType<Reconciler['sync']> {
    const objects = ({ metadata }: Service | EndpointSlice): string => `${metadata.namespace}/${metadata.name}`;
    const services = differenceOf(before.services, after.services, objects);
    for (const { metadata } of services.deleted) this.#services.deleteService(metadata.namespace!, metadata.name);
    for (const one of services.set) this.#services.setService(one);
    const slices = differenceOf(before.slices, after.slices, objects);
    for (const { metadata } of slices.deleted) this.#services.deleteSlice(metadata.namespace!, metadata.name);
    for (const one of slices.set) this.#services.setSlice(one);
    const policies = this.#policies;
    const alike = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);
    const nodes = differenceOf(before.world.nodes, after.world.nodes, ({ name }) => name, alike);
    for (const { name } of nodes.deleted) policies.deleteNode(name);
    for (const node of nodes.set) policies.setNode(node);
    for (const name of before.world.namespaces.keys()) if (!after.world.namespaces.has(name)) policies.deleteNamespace(name);
    for (const [name, labels] of after.world.namespaces)
      if (!alike(before.world.namespaces.get(name), labels)) policies.setNamespace(name, labels);
    const pods = differenceOf(before.world.pods, after.world.pods, podKey);
    for (const pod of pods.deleted) policies.deletePod(podKey(pod));
    for (const pod of pods.set) policies.setPod(pod);
    if (!alike(before.dns, after.dns)) policies.setClusterDns(after.dns);
    const rules = differenceOf(
      before.world.given,
      after.world.given,
      policyName,
      (a, b) => JSON.stringify(a) === JSON.stringify(b),
    );
    for (const policy of rules.deleted) policies.deletePolicy(policy);
    for (const policy of rules.set) policies.setPolicy(policy);
    this.#reconciler.contribute('policy layout', policies.isActive ? this.#chains : []);
    if (this.#hasEpoch) this.#reconciler.contribute('policy epoch', policies.isActive ? planEpoch(1, defaultConnmarkMask) : []);
    for (const [owner, items] of [...this.#services.changes(), ...policies.changes()]) this.#reconciler.contribute(owner, items);
    const result = this.#reconciler.sync();
    if (result.failures.length > 0) throw result.failures[0]!.error;
    return result;
  }
}

export const nothing = (cluster: Cluster): Cluster => ({
  ...cluster,
  ...{ services: [], slices: [], dns: [] },
  world: { ...cluster.world, pods: [], policies: [], given: [], nodes: [], namespaces: new Map() },
});

/** A kernel in memory that takes all that NftWriter writes. */
const inMemory = (): Reconciler =>
  new Reconciler([
    { kinds: new Set(['nft-table', 'nft-chain', 'nft-set', 'nft-element', 'nft-counter']), observe: () => [], apply: () => [] },
  ]);

export const text = ({ verb, kind, name, key, data, before }: ElementChange): string =>
  [verb, kind, name, key, data, before].filter((part) => part !== undefined).join(' | ');
const written = (operations: ReturnType<Reconciler['sync']>['operations']): string[] =>
  operations
    .map((operation) => {
      const item = operation.verb === 'delete' ? operation.actual : operation.item;
      const isReplaced = operation.verb === 'replace' && operation.actual.kind === 'nft-element';
      const { set, key, data } = item as NftElement;
      const kind = item.kind.slice(4) as ElementChange['kind'];
      if (item.kind !== 'nft-element') return text({ verb: operation.verb, kind, name: (item as { name: string }).name });
      const was = isReplaced ? { before: (operation.actual as NftElement).data } : {};
      return text({ verb: operation.verb, kind, name: set, key, ...(data === undefined ? {} : { data }), ...was });
    })
    .sort();

/** Holds what is told of a change against what the agent of each node then has written. @returns how many elements were told, for each node */
export function agrees({ now, later }: { now: Cluster; later: Cluster }, seed: number): number[] {
  const settings = nodeSettings(now);
  const prediction = predict(settings, now, later);
  return settings.map((setting, index) => {
    const agent = new HearingAgent(setting, inMemory());
    agent.become(nothing(now), now);
    const { operations } = agent.become(now, later);
    const told = prediction.nodes[index]!.elements;
    assert.deepEqual(told.map(text).sort(), written(operations), `seed ${seed}, ${setting.service.name}`);
    return told.length;
  });
}

