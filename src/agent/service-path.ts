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
  readonly #planner: ServicePlanner;
  readonly #stale: StaleUdp;
  readonly #clusterDns: readonly IpAddr[];
  #node: ServiceNode;
  #begun = false;
  #changed = true;
  #dnsGone = false;
  #deleted = 0;

  /** @param sources in sync; heard from then on */
  constructor(reconciler: Reconciler, conntrack: Conntrack, sources: Sources, node: ServiceNode, clusterDns: readonly IpAddr[]) {
    this.#reconciler = reconciler;
    this.#stale = new StaleUdp(conntrack);
    this.#node = node;
    this.#clusterDns = clusterDns;
    this.#planner = new ServicePlanner(node);
    sources.services.onChange((changes) => this.#setServices(changes));
    sources.slices.onChange((changes) => this.#setSlices(changes));
  }

  /** Contributes from here on. What the kernel holds from before a restart is taken over, so that what is right stays as it is. */
  begin(): void {
    this.#begun = true;
    this.#planner.adopt(this.#reconciler.observe());
    this.#contribute();
  }

  /** UDP entries of conntrack that were deleted since the start. */
  get deleted(): number {
    return this.#deleted;
  }

  setNode(node: ServiceNode): void {
    this.#node = node;
    this.#planner.setNode(node);
    this.#contribute();
  }

  /** While this node's own DNS answers, the cluster DNS address is not translated; else it leads to other nodes' DNS. */
  setDnsReady(ready: boolean): void {
    this.#planner.setAnswered(answeredKeys(ready ? this.#clusterDns : []));
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

  #setServices(changes: readonly Change<Service>[]): void {
    for (const { type, key, object } of changes) {
      if (type === 'deleted') this.#planner.deleteService(...namesOf(key));
      else this.#planner.setService(object);
    }
    this.#contribute();
  }

  #setSlices(changes: readonly Change<EndpointSlice>[]): void {
    for (const { type, key, object } of changes) {
      if (type === 'deleted') this.#planner.deleteSlice(...namesOf(key));
      else this.#planner.setSlice(object);
    }
    this.#contribute();
  }

  #contribute(): void {
    if (!this.#begun) return;
    const nodePortAddresses = nodePortAddressesOf(this.#node);
    for (const [owner, items] of this.#planner.take()) {
      this.#reconciler.contribute(owner, items);
      this.#stale.services.set(owner, this.#planner.portsOf(owner), nodePortAddresses);
    }
    this.#changed = true;
  }
}

/** @param key `namespace/name` */
const namesOf = (key: string): [namespace: string, name: string] => {
  const slash = key.indexOf('/');
  return [key.slice(0, slash), key.slice(slash + 1)];
};
