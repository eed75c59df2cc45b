import { setImmediate } from 'node:timers/promises';
import type { Conntrack } from '../../kernel/conntrack.ts';
import type { Nft } from '../../kernel/nftables/index.ts';
import type { Change } from '../../kube/informer.ts';
import type { EndpointSlice, Service } from '../../kube/types.ts';
import { IpAddr } from '../../net/ip.ts';
import type { Reconciler } from '../../reconcile/index.ts';
import {
  AffinityMemory,
  explainService,
  type ListedService,
  listService,
  nodePortAddressesOf,
  ownerOf,
  type ServiceNode,
  ServicePlanner,
} from '../../services/index.ts';
import type { Sources } from '../watch/sources.ts';
import type { HealthPorts } from './health-ports.ts';
import { ProgrammingLatency } from './programming-latency.ts';
import { NodeKernelView, type ServiceReport } from './report.ts';
import { StaleUdp } from './stale-udp.ts';

const dnsPort = 53;
/** So many Services are listed before others get their turn. */
const atOnce = 50;

/** Where this node's DNS listens, as the planner names service ports. */
const answeredKeys = (addresses: readonly IpAddr[]): ReadonlySet<string> =>
  new Set(addresses.flatMap((address) => ['udp', 'tcp'].map((protocol) => `${address} . ${protocol} . ${dnsPort}`)));

export interface ServicePathParts {
  reconciler: Reconciler;
  conntrack: Conntrack;
  nft: Nft;
  /** In sync; heard from `begin` on. */
  sources: Sources;
  node: ServiceNode;
  clusterDns: readonly IpAddr[];
  healthPorts: HealthPorts;
  /** Nobody has the address, though it is of this node's pods. */
  isFree: (address: IpAddr) => boolean;
}

/** Services on this node: plans what changed, contributes it, and cleans conntrack up once the kernel holds it. */
export class ServicePath {
  readonly #reconciler: Reconciler;
  readonly #sources: Sources;
  readonly #conntrack: Conntrack;
  readonly #nft: Nft;
  readonly #stale: StaleUdp;
  readonly #clusterDns: readonly IpAddr[];
  readonly #memory: AffinityMemory;
  readonly #healthPorts: HealthPorts;
  readonly #isFree: (address: IpAddr) => boolean;
  /** From a change of endpoints to the kernel (SD29). */
  readonly latency = new ProgrammingLatency();
  #node: ServiceNode;
  #answered: ReadonlySet<string> = new Set();
  /** From `begin` on. */
  #planner: ServicePlanner | undefined;
  #changed = true;
  #dnsGone = false;
  #deleted = 0;

  constructor({ reconciler, conntrack, nft, sources, node, clusterDns, healthPorts, isFree }: ServicePathParts) {
    this.#reconciler = reconciler;
    this.#conntrack = conntrack;
    this.#nft = nft;
    this.#stale = new StaleUdp(conntrack);
    this.#memory = new AffinityMemory(nft);
    this.#node = node;
    this.#clusterDns = clusterDns;
    this.#sources = sources;
    this.#healthPorts = healthPorts;
    this.#isFree = isFree;
  }

  /** Contributes from here on. What the kernel holds from before a restart is taken over, so that what is right stays as it is. */
  begin(): void {
    const { services, slices } = this.#sources;
    const held = this.#reconciler.observe();
    this.#stale.services.remember(held);
    const planner = new ServicePlanner({
      ...{ node: this.#node, services: services.list(), slices: slices.list(), held },
      ...{ answered: this.#answered, answerable: answeredKeys(this.#clusterDns) },
    });
    services.onChange((changes) => this.#setServices(planner, changes));
    slices.onChange((changes) => this.#setSlices(planner, changes));
    this.#planner = planner;
    // From `observe` on the table can be written to. Nobody was remembered to be forgotten before a kill.
    this.#memory.forgetWhere((address) => this.#isFree(IpAddr.parse(address)));
    this.#contribute();
  }

  /** Pods that had these addresses are gone: whoever has them next is nobody's old client (T19, F54). */
  forget(addresses: readonly IpAddr[]): void {
    // What went before `begin` is forgotten there.
    if (this.#planner) this.#memory.forget(addresses);
  }

  /** @returns undefined before `begin`, and when there is no such Service */
  explain(namespace: string, name: string): ServiceReport | undefined {
    const owner = ownerOf(namespace, name);
    const facts = this.#planner?.factsOf(owner);
    if (!facts) return undefined;
    const elements = [...this.#reconciler.itemsOf(owner)].filter((item) => item.kind === 'nft-element');
    const status = this.#reconciler.status(owner);
    return {
      ...explainService(facts, elements, new NodeKernelView(this.#nft, this.#conntrack)),
      state: status?.state ?? 'done',
      ...(status?.state === 'error' ? { why: status.why } : {}),
    };
  }

  /** A line for each Service; those that the kernel refused say why. @returns undefined before `begin` */
  async list(): Promise<ListedService[] | undefined> {
    const planner = this.#planner;
    if (!planner) return undefined;
    const found: ListedService[] = [];
    for (const owner of planner.owners()) {
      // 10,000 Services take half a second; nothing else that the agent does waits for it.
      if (found.length % atOnce === atOnce - 1) await setImmediate();
      const facts = planner.factsOf(owner);
      if (!facts) continue;
      const listed = listService(facts);
      const status = this.#reconciler.status(owner);
      found.push(status?.state === 'error' ? { ...listed, problems: [status.why, ...listed.problems] } : listed);
    }
    return found;
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
    if (complete) this.latency.written();
    if (!this.#changed) return;
    if (this.#dnsGone) this.#deleted += this.#stale.forgetAnswered(this.#clusterDns, dnsPort);
    this.#deleted += this.#stale.clean(complete);
    if (complete) this.#changed = this.#dnsGone = false;
  }

  #setServices(planner: ServicePlanner, changes: readonly Change<Service>[]): void {
    for (const { type, key, object } of changes) {
      if (type === 'deleted') planner.deleteService(...splitKey(key));
      else planner.setService(object);
    }
    this.#contribute();
  }

  #setSlices(planner: ServicePlanner, changes: readonly Change<EndpointSlice>[]): void {
    this.latency.heard(changes);
    for (const { type, key, object } of changes) {
      if (type === 'deleted') planner.deleteSlice(...splitKey(key));
      else planner.setSlice(object);
    }
    this.#contribute();
  }

  #contribute(): void {
    const planner = this.#planner;
    if (!planner) return;
    const nodePortAddresses = nodePortAddressesOf(this.#node);
    for (const [owner, items] of planner.changes()) {
      this.#reconciler.contribute(owner, items);
      this.#stale.services.set(owner, planner.udpPortsOf(owner), nodePortAddresses);
      this.#healthPorts.set(owner, planner.healthOf(owner));
    }
    this.#healthPorts.setAddresses(nodePortAddresses);
    this.#changed = true;
  }
}

/** @param key `namespace/name` */
export const splitKey = (key: string): [namespace: string, name: string] => {
  const slash = key.indexOf('/');
  return [key.slice(0, slash), key.slice(slash + 1)];
};
