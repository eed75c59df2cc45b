import type { NftElement } from '../reconcile/model.ts';
import type { Adopted } from './adopted.ts';
import type { Backend, BackendSets } from './endpoints.ts';
import type { Ids } from './ids.ts';
import { named } from './layout.ts';
import { nodePortKey, type ServicePortView, type ServiceView, serviceKey } from './service.ts';
import { assignSlots } from './slots.ts';
import { endpointKey, maxEndpoints, serviceValue, slotKey } from './values.ts';

/** One set of endpoints as it stands in the kernel: who is in which slot. */
interface EndpointSet {
  id: number;
  slots: readonly string[];
}

/** What a service port holds between two plans. */
interface PortState {
  cluster?: EndpointSet;
  local?: EndpointSet;
  /** By address and port. */
  endpointIds: Map<string, number>;
}

const element = (set: string, key: string, data?: string): NftElement =>
  data === undefined ? { kind: 'nft-element', set, key } : { kind: 'nft-element', set, key, data };

/** Keeps the ids and slots of one service port in one family, and writes its elements. */
export class PortPlan {
  readonly #setIds: Ids;
  readonly #endpointIds: Ids;
  readonly #state: PortState = { endpointIds: new Map() };

  constructor(setIds: Ids, endpointIds: Ids) {
    this.#setIds = setIds;
    this.#endpointIds = endpointIds;
  }

  /** The most endpoints that one of its sets has. */
  get size(): number {
    return Math.max(this.#state.cluster?.slots.length ?? 0, this.#state.local?.slots.length ?? 0);
  }

  plan(
    view: ServiceView,
    port: ServicePortView,
    { cluster, local }: BackendSets,
    answeredHere: boolean,
    adopted: Adopted | undefined,
  ): NftElement[] {
    const { family } = port;
    const elements: NftElement[] = [];
    const hasNodePort = port.nodePort !== undefined;
    const serviceIps = named('service-ips', family);
    if (answeredHere) elements.push(element(named('answered', family), serviceKey(port)));
    if (cluster.length === 0 && local.length === 0) {
      this.release();
      if (hasNodePort) elements.push(element(named('nodeports-refused', family), nodePortKey(port)));
      return elements;
    }
    // A port that is answered here has no lead to its set, by which a restarted agent would know it again: it has none.
    const usesCluster = (!view.internalLocal && !answeredHere) || hasNodePort;
    const usesLocal = (view.internalLocal && !answeredHere) || (view.externalLocal && hasNodePort);
    const leads = this.#leads(view, port);
    const clusterValue = this.#set('cluster', usesCluster ? cluster : undefined, leads.cluster, adopted, elements);
    const localValue = this.#set('local', usesLocal ? local : undefined, leads.local, adopted, elements);
    this.#writeEndpoints(port, [...(usesCluster ? cluster : []), ...(usesLocal ? local : [])], elements);
    if (!answeredHere) elements.push(element(serviceIps, serviceKey(port), view.internalLocal ? localValue : clusterValue));
    if (!hasNodePort) return elements;
    elements.push(element(named('nodeports', family), nodePortKey(port), clusterValue));
    if (view.externalLocal) {
      elements.push(element(named('nodeports-outside', family), nodePortKey(port), localValue));
      elements.push(element(`nodeports-local-${port.protocol}`, `${port.nodePort}`));
    }
    return elements;
  }

  /** Gives all ids back. */
  release(): void {
    this.#releaseSet('cluster');
    this.#releaseSet('local');
    for (const id of this.#state.endpointIds.values()) this.#endpointIds.release(id);
    this.#state.endpointIds.clear();
  }

  /** Which elements of the kernel tell the ids of these sets from before a restart. */
  #leads(view: ServiceView, port: ServicePortView): { cluster: string[]; local: string[] } {
    const service = `${named('service-ips', port.family)} ${serviceKey(port)}`;
    const nodePort = `${named('nodeports', port.family)} ${nodePortKey(port)}`;
    const outside = `${named('nodeports-outside', port.family)} ${nodePortKey(port)}`;
    return view.internalLocal ? { cluster: [nodePort], local: [service] } : { cluster: [service, nodePort], local: [outside] };
  }

  /** @returns the value that leads to the set; undefined when the set is not needed */
  #set(
    which: 'cluster' | 'local',
    backends: readonly Backend[] | undefined,
    leads: readonly string[],
    adopted: Adopted | undefined,
    elements: NftElement[],
  ): string | undefined {
    if (!backends) {
      this.#releaseSet(which);
      return undefined;
    }
    const before = this.#state[which] ?? this.#adopt(leads, adopted) ?? { id: this.#setIds.take(), slots: [] };
    const wanted = new Set(backends.slice(0, maxEndpoints).map((backend) => backend.key));
    const slots = assignSlots(before.slots, wanted);
    this.#state[which] = { id: before.id, slots };
    slots.forEach((endpoint, slot) => {
      elements.push(element('slots', slotKey(before.id, slot), endpointKey(this.#endpointId(endpoint))));
    });
    return serviceValue(before.id, slots.length);
  }

  #adopt(leads: readonly string[], adopted: Adopted | undefined): EndpointSet | undefined {
    const found = adopted?.find(leads);
    if (!found || !this.#setIds.claim(found.id)) return undefined;
    for (const [endpoint, id] of found.endpointIds) {
      if (!this.#state.endpointIds.has(endpoint) && this.#endpointIds.claim(id)) this.#state.endpointIds.set(endpoint, id);
    }
    return { id: found.id, slots: found.slots };
  }

  #endpointId(endpoint: string): number {
    let id = this.#state.endpointIds.get(endpoint);
    if (id === undefined) {
      id = this.#endpointIds.take();
      this.#state.endpointIds.set(endpoint, id);
    }
    return id;
  }

  #writeEndpoints({ family }: ServicePortView, backends: readonly Backend[], elements: NftElement[]): void {
    const used = new Set([...(this.#state.cluster?.slots ?? []), ...(this.#state.local?.slots ?? [])]);
    for (const [endpoint, id] of this.#state.endpointIds) {
      if (used.has(endpoint)) elements.push(element(named('endpoints', family), endpointKey(id), endpoint));
      else {
        this.#state.endpointIds.delete(endpoint);
        this.#endpointIds.release(id);
      }
    }
    const hairpin = new Set(
      backends.filter((backend) => backend.isLocal && used.has(backend.key)).map((backend) => `${backend.address}`),
    );
    for (const address of hairpin) elements.push(element(named('hairpin', family), `${address} . ${address}`));
  }

  #releaseSet(which: 'cluster' | 'local'): void {
    const set = this.#state[which];
    if (set) this.#setIds.release(set.id);
    this.#state[which] = undefined;
  }
}
