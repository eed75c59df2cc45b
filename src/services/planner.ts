import type { EndpointSlice, Service } from '../kube/types.ts';
import { type Item, keyOf, type NftElement, type NodeNetwork } from '../reconcile/model.ts';
import { Adopted } from './adopted.ts';
import { type Backend, backendsOf, chooseBackends } from './endpoints.ts';
import { Ids } from './ids.ts';
import { layoutVersion, named, planLayout, tableName } from './layout.ts';
import type { ServiceNode } from './node.ts';
import { PortPlan } from './port-plan.ts';
import { type ServicePortView, serviceKey, viewOf } from './service.ts';
import { maxSetId, smallestBalancers } from './values.ts';

/** The owner of the table, its chains and sets. */
export const layoutOwner = 'services';

/** `service default/web` */
export const ownerOf = (namespace: string | undefined, name: string): string => `service ${namespace ?? 'default'}/${name}`;

const serviceNameLabel = 'kubernetes.io/service-name';
const headlessLabel = 'service.kubernetes.io/headless';

/** Connections that a service port accepts and where they may go on living; for the clean-up of conntrack. */
export interface PlannedPort extends ServicePortView {
  serving: readonly Backend[];
}

interface Entry {
  service?: Service;
  slices: Map<string, EndpointSlice>;
  ports: Map<string, PortPlan>;
  planned: PlannedPort[];
  size: number;
}

/**
 * Plans the nftables elements of Services on one node: feed it objects in any order, take what changed, and contribute that to the Reconciler.
 * Planning one Service touches no other; slots and ids are kept from plan to plan, so that a change of one endpoint is a change of few elements.
 */
export class ServicePlanner {
  #node: ServiceNode;
  readonly #entries = new Map<string, Entry>();
  /** Which Service each slice belongs to. */
  readonly #ownerOfSlice = new Map<string, string>();
  readonly #changed = new Set<string>();
  readonly #setIds = new Ids(maxSetId, 'ids of endpoint sets');
  readonly #endpointIds = new Ids(0xfffffffe, 'ids of endpoints');
  #answered: ReadonlySet<string> = new Set();
  #adopted: Adopted | undefined;
  #balancers = smallestBalancers;

  constructor(node: ServiceNode) {
    this.#node = node;
    this.#changed.add(layoutOwner);
  }

  /**
   * Takes the ids and slots that the kernel holds. Call it before the first `take`, with `reconciler.observe()`, and only once all Services and slices of
   * the cluster have been given: ids of which nobody is the owner by then are free. Nothing is taken of a table of another layout, which is replaced.
   */
  adopt(network: NodeNetwork): void {
    const table = network.get(keyOf({ kind: 'nft-table', name: tableName }));
    if (table?.kind === 'nft-table' && table.comment === layoutVersion)
      this.#adopted = new Adopted(network, this.#setIds, this.#endpointIds);
  }

  /** Facts of the node changed: everything is planned anew. */
  setNode(node: ServiceNode): void {
    this.#node = node;
    this.#changed.add(layoutOwner);
    for (const owner of this.#entries.keys()) this.#changed.add(owner);
  }

  /**
   * Service ports that this node answers itself, without translation (the cluster's DNS), as `10.96.0.10 . udp . 53`.
   */
  setAnswered(keys: ReadonlySet<string>): void {
    const before = this.#answered;
    this.#answered = keys;
    for (const [owner, { planned }] of this.#entries) {
      if (planned.some((port) => keys.has(serviceKey(port)) !== before.has(serviceKey(port)))) this.#changed.add(owner);
    }
  }

  setService(service: Service): void {
    const owner = ownerOf(service.metadata.namespace, service.metadata.name ?? '');
    this.#entry(owner).service = service;
    this.#changed.add(owner);
  }

  deleteService(namespace: string, name: string): void {
    const owner = ownerOf(namespace, name);
    const entry = this.#entries.get(owner);
    if (!entry) return;
    entry.service = undefined;
    this.#changed.add(owner);
  }

  setSlice(slice: EndpointSlice): void {
    const key = `${slice.metadata.namespace ?? 'default'}/${slice.metadata.name}`;
    const { labels } = slice.metadata;
    const service = labels?.[headlessLabel] === undefined ? labels?.[serviceNameLabel] : undefined;
    const owner = service === undefined ? undefined : ownerOf(slice.metadata.namespace, service);
    const before = this.#ownerOfSlice.get(key);
    if (before !== undefined && before !== owner) this.#dropSlice(key, before);
    if (owner === undefined) return;
    this.#ownerOfSlice.set(key, owner);
    this.#entry(owner).slices.set(key, slice);
    this.#changed.add(owner);
  }

  deleteSlice(namespace: string, name: string): void {
    const key = `${namespace}/${name}`;
    const owner = this.#ownerOfSlice.get(key);
    if (owner !== undefined) this.#dropSlice(key, owner);
  }

  /** What is planned otherwise than at the last call, by owner; no items for a Service that went. */
  take(): Map<string, Item[]> {
    const plans = new Map<string, Item[]>();
    for (const owner of this.#changed) if (owner !== layoutOwner) plans.set(owner, this.#plan(owner));
    const needed = Math.max(smallestBalancers, ...[...plans.keys()].map((owner) => this.#entries.get(owner)?.size ?? 0));
    const balancers = Math.ceil(needed / smallestBalancers) * smallestBalancers;
    // Chains are not taken away again: it would cost as much as making them.
    if (balancers > this.#balancers) {
      this.#balancers = balancers;
      this.#changed.add(layoutOwner);
    }
    if (this.#changed.has(layoutOwner)) plans.set(layoutOwner, planLayout(this.#node, this.#balancers));
    this.#changed.clear();
    if (this.#adopted) {
      this.#adopted = undefined;
      this.#setIds.finishAdoption();
      this.#endpointIds.finishAdoption();
    }
    for (const owner of plans.keys()) {
      const entry = this.#entries.get(owner);
      if (entry && !entry.service && entry.slices.size === 0) this.#entries.delete(owner);
    }
    return plans;
  }

  /** The service ports of an owner as last planned; none when it is gone. */
  portsOf(owner: string): readonly PlannedPort[] {
    return this.#entries.get(owner)?.planned ?? [];
  }

  #entry(owner: string): Entry {
    let entry = this.#entries.get(owner);
    if (!entry) {
      entry = { slices: new Map(), ports: new Map(), planned: [], size: 0 };
      this.#entries.set(owner, entry);
    }
    return entry;
  }

  #dropSlice(key: string, owner: string): void {
    this.#ownerOfSlice.delete(key);
    this.#entries.get(owner)?.slices.delete(key);
    this.#changed.add(owner);
  }

  #plan(owner: string): NftElement[] {
    const entry = this.#entries.get(owner);
    if (!entry) return [];
    const view = entry.service ? viewOf(entry.service) : undefined;
    const gone = new Map(entry.ports);
    const elements: NftElement[] = (view?.clusterIps ?? []).map((address) => ({
      kind: 'nft-element',
      set: named('cluster-ips', address.family),
      key: `${address}`,
    }));
    entry.planned = [];
    entry.size = 0;
    for (const port of view?.ports ?? []) {
      const id = `${port.family} ${port.protocol} ${port.port} ${port.name}`;
      gone.delete(id);
      let plan = entry.ports.get(id);
      if (!plan) entry.ports.set(id, (plan = new PortPlan(this.#setIds, this.#endpointIds)));
      const backends = backendsOf(entry.slices.values(), port.name, port.protocol, port.family, this.#node);
      const sets = chooseBackends(backends, this.#node);
      elements.push(...plan.plan(view!, port, sets, this.#answered.has(serviceKey(port)), this.#adopted));
      entry.planned.push({ ...port, serving: sets.serving });
      entry.size = Math.max(entry.size, plan.size);
    }
    for (const [id, plan] of gone) {
      plan.release();
      entry.ports.delete(id);
    }
    return elements;
  }
}
