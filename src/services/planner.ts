import type { EndpointSlice, Service } from '../kube/types.ts';
import { type Item, keyOf, type NftElement, type NodeNetwork } from '../reconcile/model.ts';
import { Numbers } from '../reconcile/numbers.ts';
import { Adopted } from './adopted.ts';
import { type Backend, backendsOf, chooseBackends, elsewhere } from './endpoints.ts';
import { healthOf, type ServiceHealth } from './health.ts';
import { type LayoutTimeouts, planLayout } from './layout.ts';
import { layoutVersion, named, tableName } from './names.ts';
import type { ServiceNode } from './node.ts';
import { type ServiceObject, ServiceObjects } from './objects.ts';
import { PortPlan } from './port-plan.ts';
import { type ServiceFacts, type ServicePortView, serviceKey, viewOf } from './service.ts';
import { Timeouts } from './timeouts.ts';
import { affinityClass, maxSetId } from './values.ts';

/** The owner of the table, its chains and sets. */
export const layoutOwner = 'services';

/** Connections that a service port of UDP accepts and where they may go on living; for the clean-up of conntrack. Those of other protocols end by themselves. */
export interface PlannedPort extends ServicePortView {
  serving: readonly Backend[];
}

/** What a Service holds from plan to plan. */
interface ServicePlan {
  ports: PortPlan[];
  udp: readonly PlannedPort[] | undefined;
  /** Timeout of its session affinity, in use. */
  seconds: number | undefined;
  health: ServiceHealth | undefined;
}

/** Everything that must be known before the first plan is made. */
export interface PlannerStart {
  node: ServiceNode;
  /** All of the cluster: numbers of the kernel that none of them owns are free. */
  services: Iterable<Service>;
  slices: Iterable<EndpointSlice>;
  /** What the kernel holds, from `reconciler.observe()`: slots and ids are taken from it. Nothing is taken of a table of another layout, which is replaced. */
  held: NodeNetwork;
  /** Service ports that this node answers itself, see `setAnswered`. */
  answered?: ReadonlySet<string>;
  /** Those that it answers when it can; always the same. */
  answerable?: ReadonlySet<string>;
}

/**
 * Plans the nftables elements of Services on one node: feed it objects in any order, take what changed, and contribute that to the Reconciler.
 * Planning one Service touches no other; slots and ids are kept from plan to plan, so that a change of one endpoint is a change of few elements.
 */
export class ServicePlanner {
  #node: ServiceNode;
  readonly #objects = new ServiceObjects<ServicePlan>();
  readonly #ids: Numbers;
  readonly #timeouts: Timeouts;
  #answered: ReadonlySet<string>;
  readonly #answerable: ReadonlySet<string>;
  /** Until the first plan is made. */
  #adopted: Adopted | undefined;
  #layoutChanged = true;
  #usedTimeouts: LayoutTimeouts = [];

  constructor({ node, services, slices, held, answered = new Set(), answerable = answered }: PlannerStart) {
    this.#node = node;
    this.#answered = answered;
    this.#answerable = answerable;
    const table = held.get(keyOf({ kind: 'nft-table', name: tableName }));
    if (table?.kind === 'nft-table' && table.comment === layoutVersion) this.#adopted = new Adopted(held);
    this.#ids = new Numbers(1, maxSetId, 'ids of endpoint sets', this.#adopted?.setIds);
    this.#timeouts = new Timeouts(this.#adopted);
    for (const service of services) this.#objects.setService(service);
    for (const slice of slices) this.#objects.setSlice(slice);
  }

  /** Facts of the node changed: everything is planned anew. */
  setNode(node: ServiceNode): void {
    this.#node = node;
    this.#layoutChanged = true;
    for (const owner of this.#objects.owners()) this.#objects.mark(owner);
  }

  /**
   * Service ports that this node answers itself, without translation (the cluster's DNS), as `10.96.0.10 . udp . 53`.
   */
  setAnswered(keys: ReadonlySet<string>): void {
    const before = this.#answered;
    this.#answered = keys;
    for (const owner of this.#objects.owners()) {
      const { service, plan } = this.#objects.get(owner)!;
      if (!plan) continue;
      const ports = service ? viewOf(service, this.#node).ports : [];
      if (ports.some((port) => keys.has(serviceKey(port)) !== before.has(serviceKey(port)))) this.#objects.mark(owner);
    }
  }

  setService(service: Service): void {
    this.#objects.setService(service);
  }

  deleteService(namespace: string, name: string): void {
    this.#objects.deleteService(namespace, name);
  }

  setSlice(slice: EndpointSlice): void {
    this.#objects.setSlice(slice);
  }

  deleteSlice(namespace: string, name: string): void {
    this.#objects.deleteSlice(namespace, name);
  }

  /** What is planned otherwise than at the last call, by owner; no items for a Service that went. */
  take(): Map<string, Item[]> {
    return new Map(this.changes());
  }

  /** The same one by one, so that the items of a whole cluster need not be there at once. To be read to its end. */
  *changes(): Iterable<[owner: string, items: Item[]]> {
    for (const owner of this.#objects.takeChanged()) yield [owner, this.#plan(owner, this.#objects.get(owner))];
    const timeouts = this.#timeouts.used();
    if (String(timeouts) !== String(this.#usedTimeouts)) this.#layoutChanged = true;
    this.#usedTimeouts = timeouts;
    if (this.#adopted) {
      this.#adopted = undefined;
      this.#ids.finishAdoption();
    }
    if (!this.#layoutChanged) return;
    this.#layoutChanged = false;
    yield [layoutOwner, planLayout(this.#node, timeouts)];
  }

  /** The UDP ports of an owner as last planned; none when it is gone. */
  udpPortsOf(owner: string): readonly PlannedPort[] {
    return this.#objects.get(owner)?.plan?.udp ?? [];
  }

  /** What a load balancer is to be told of the owner, if it asks. */
  healthOf(owner: string): ServiceHealth | undefined {
    return this.#objects.get(owner)?.plan?.health;
  }

  /** What an owner is planned from, for `explainService`; undefined when there is no such Service. */
  factsOf(owner: string): ServiceFacts | undefined {
    const { service, slices } = this.#objects.get(owner) ?? {};
    const silent = new Set([...this.#answerable].filter((key) => !this.#answered.has(key)));
    return service && slices && { service, slices: [...slices], node: this.#node, ...(silent.size > 0 ? { silent } : {}) };
  }

  /** Every Service there is. */
  *owners(): Iterable<string> {
    for (const owner of this.#objects.owners()) if (this.#objects.get(owner)!.service) yield owner;
  }

  #plan(owner: string, object: ServiceObject<ServicePlan> | undefined): NftElement[] {
    const view = object?.service && viewOf(object.service, this.#node);
    const plan: ServicePlan = object?.plan ?? { ports: [], udp: undefined, seconds: undefined, health: undefined };
    const before = plan.seconds;
    const wanted = view?.ports.length ? view.affinitySeconds : undefined;
    plan.seconds = wanted === undefined ? undefined : this.#timeouts.use(wanted);
    if (before !== undefined) this.#timeouts.release(before);
    const former = plan.ports;
    const now: PortPlan[] = [];
    const udp: PlannedPort[] = [];
    const elements: NftElement[] = [];
    for (const address of view?.clusterIps ?? [])
      elements.push({ kind: 'nft-element', set: named('cluster-ips', address.family), key: `${address}` });
    for (const address of view?.loadBalancerIps ?? [])
      elements.push({ kind: 'nft-element', set: named('load-balancers', address.family), key: `${address}` });
    const known: { port: ServicePortView; backends: readonly Backend[] }[] = [];
    for (const port of view?.ports ?? []) {
      const isIt = (plan: PortPlan): boolean => plan.isOf(port);
      let portPlan = now.find(isIt);
      if (!portPlan) now.push((portPlan = former.find(isIt) ?? new PortPlan(port, this.#ids)));
      const backends = backendsOf(object!.slices, port.name, port.protocol, port.family, this.#node);
      known.push({ port, backends });
      const answeredHere = this.#answered.has(serviceKey(port));
      const answerable = this.#answerable.has(serviceKey(port));
      const sets = chooseBackends(answerable && !answeredHere ? elsewhere(backends) : backends, this.#node);
      const planned = portPlan.plan(port, {
        view: view!,
        sets,
        adopted: this.#adopted,
        ...{ answeredHere, answerable },
        affinity: plan.seconds === undefined ? undefined : affinityClass(this.#timeouts.indexOf(plan.seconds)),
      });
      for (const element of planned) elements.push(element);
      if (port.protocol === 'udp') udp.push({ ...port, serving: sets.serving });
    }
    plan.udp = udp.length > 0 ? udp : undefined;
    plan.health = object?.service && healthOf(object.service, known);
    plan.ports = now.slice();
    for (const portPlan of former) if (!now.includes(portPlan)) portPlan.release();
    if (object) object.plan = plan.ports.length > 0 ? plan : undefined;
    this.#objects.tidy(owner);
    return elements;
  }
}
