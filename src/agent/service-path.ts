import type { Conntrack } from '../kernel/conntrack.ts';
import type { Change } from '../kube/informer.ts';
import type { EndpointSlice, Service } from '../kube/types.ts';
import type { IpAddr } from '../net/ip.ts';
import type { Reconciler } from '../reconcile/index.ts';
import { nodePortAddressesOf, type ServiceNode, ServicePlanner } from '../services/index.ts';
import type { Sources } from './sources.ts';
import { StaleUdp } from './stale-udp.ts';

const dnsPort = 53;

/** Where this node's DNS listens, as the planner names service ports. */
const answeredKeys = (addresses: readonly IpAddr[]): ReadonlySet<string> =>
  new Set(addresses.flatMap((address) => ['udp', 'tcp'].map((protocol) => `${address} . ${protocol} . ${dnsPort}`)));

/** Services on this node: plans what changed, contributes it, and cleans conntrack up once the kernel holds it. */
export class ServicePath {
  readonly #reconciler: Reconciler;
  readonly #sources: Sources;
  readonly #stale: StaleUdp;
  readonly #clusterDns: readonly IpAddr[];
  #node: ServiceNode;
  #answered: ReadonlySet<string> = new Set();
  /** From `begin` on. */
  #planner: ServicePlanner | undefined;
  #changed = true;
  #dnsGone = false;
  #deleted = 0;

  /** @param sources in sync; heard from `begin` on */
  constructor(reconciler: Reconciler, conntrack: Conntrack, sources: Sources, node: ServiceNode, clusterDns: readonly IpAddr[]) {
    this.#reconciler = reconciler;
    this.#stale = new StaleUdp(conntrack);
    this.#node = node;
    this.#clusterDns = clusterDns;
    this.#sources = sources;
  }

  /** Contributes from here on. What the kernel holds from before a restart is taken over, so that what is right stays as it is. */
  begin(): void {
    const { services, slices } = this.#sources;
    const planner = new ServicePlanner({
      ...{ node: this.#node, services: services.list(), slices: slices.list() },
      ...{ held: this.#reconciler.observe(), answered: this.#answered },
    });
    services.onChange((changes) => this.#setServices(planner, changes));
    slices.onChange((changes) => this.#setSlices(planner, changes));
    this.#planner = planner;
    this.#contribute();
  }

  /** UDP entries of conntrack that were deleted since the start. */
  get deleted(): number {
    return this.#deleted;
  }

  setNode(node: ServiceNode): void {
    this.#node = node;
    this.#planner?.setNode(node);
    this.#contribute();
  }

  /** While this node's own DNS answers, the cluster DNS address is not translated; else it leads to other nodes' DNS. */
  setDnsReady(ready: boolean): void {
    this.#answered = answeredKeys(ready ? this.#clusterDns : []);
    this.#planner?.setAnswered(this.#answered);
    this.#dnsGone = !ready;
    this.#contribute();
  }

  /**
   * To be called when the kernel was written to (SD25).
   * @param complete it holds all that was contributed; else, and after a throw, the next call cleans again
   */
  clean(complete: boolean): void {
    if (!this.#changed) return;
    if (this.#dnsGone) this.#deleted += this.#stale.forgetAnswered(this.#clusterDns, dnsPort);
    this.#deleted += this.#stale.clean(complete);
    if (complete) this.#changed = this.#dnsGone = false;
  }

  #setServices(planner: ServicePlanner, changes: readonly Change<Service>[]): void {
    for (const { type, key, object } of changes) {
      if (type === 'deleted') planner.deleteService(...namesOf(key));
      else planner.setService(object);
    }
    this.#contribute();
  }

  #setSlices(planner: ServicePlanner, changes: readonly Change<EndpointSlice>[]): void {
    for (const { type, key, object } of changes) {
      if (type === 'deleted') planner.deleteSlice(...namesOf(key));
      else planner.setSlice(object);
    }
    this.#contribute();
  }

  #contribute(): void {
    const planner = this.#planner;
    if (!planner) return;
    const nodePortAddresses = nodePortAddressesOf(this.#node);
    for (const [owner, items] of planner.take()) {
      this.#reconciler.contribute(owner, items);
      this.#stale.services.set(owner, planner.portsOf(owner), nodePortAddresses);
    }
    this.#changed = true;
  }
}

/** @param key `namespace/name` */
const namesOf = (key: string): [namespace: string, name: string] => {
  const slash = key.indexOf('/');
  return [key.slice(0, slash), key.slice(slash + 1)];
};
