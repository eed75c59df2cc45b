import type { EndpointSlice, Service } from '../kube/types.ts';
import type { IpAddr } from '../net/ip.ts';
import type { Item } from '../reconcile/model.ts';
import { rank } from './election.ts';
import { type AnnounceNode, linkOf, planAnnouncement } from './plan.ts';
import { nodesWithEndpoints, type Wanted, wantedOf } from './service.ts';

/** A node that may announce: Ready, and not taken out of load balancing. */
export interface Candidate {
  name: string;
  addresses: readonly IpAddr[];
}

/** How many nodes behind the first keep an eye on those before them. */
const watchers = 2;

interface Address {
  address: IpAddr;
  /** The Services that have it, by key; more than one only when somebody wrote their status by hand. */
  services: Set<string>;
  /** Candidates in their order; those that are dead too. */
  order: readonly string[];
}

/** The owner by which an address's items are contributed. */
export const announcementOwner = (address: string): string => `announcement of ${address}`;

/**
 * From Services, Nodes and EndpointSlices to what this node announces. Every node plans by the same objects and finds the same order for an address; the
 * first that is alive has it. Whether a node is alive, its next two in the order find out on the wire (liveness.ts), since the API learns of a death
 * too late. Pure: no clock, no kernel.
 */
export class AnnouncementPlanner {
  readonly #slicesOf: (serviceKey: string) => readonly EndpointSlice[];
  readonly #candidates = new Map<string, Candidate>();
  readonly #services = new Map<string, Wanted>();
  readonly #addresses = new Map<string, Address>();
  readonly #dead = new Set<string>();
  /** What changed since `take`. */
  readonly #changed = new Set<string>();
  readonly #announced = new Map<string, IpAddr>();
  #node: AnnounceNode | undefined;

  /** @param slicesOf the slices of a Service, by `namespace/name` */
  constructor(slicesOf: (serviceKey: string) => readonly EndpointSlice[]) {
    this.#slicesOf = slicesOf;
  }

  setNode(node: AnnounceNode): void {
    this.#node = node;
    this.#orderAll();
  }

  /** @param candidate undefined when the node went, is not Ready, or is taken out */
  setCandidate(name: string, candidate: Candidate | undefined): void {
    const before = this.#candidates.get(name);
    if (before?.addresses.join() === candidate?.addresses.join()) return;
    if (candidate) this.#candidates.set(name, candidate);
    else this.#candidates.delete(name);
    this.#orderAll();
  }

  setService(key: string, service: Service | undefined): void {
    const wanted = service && wantedOf(service);
    const before = this.#services.get(key);
    if (wanted) this.#services.set(key, wanted);
    else this.#services.delete(key);
    for (const address of before?.addresses ?? []) this.#addresses.get(address.toString())?.services.delete(key);
    for (const address of wanted?.addresses ?? []) {
      const text = address.toString();
      const entry = this.#addresses.get(text) ?? { address, services: new Set(), order: [] };
      this.#addresses.set(text, entry);
      entry.services.add(key);
    }
    for (const address of [...(before?.addresses ?? []), ...(wanted?.addresses ?? [])]) this.#order(address.toString());
  }

  /** Endpoints of the Service changed. */
  setEndpoints(key: string): void {
    const wanted = this.#services.get(key);
    if (wanted?.local) for (const address of wanted.addresses) this.#order(address.toString());
  }

  /** What was found out on the wire of a node that `watched` names. */
  setAlive(name: string, alive: boolean): void {
    if (alive === !this.#dead.has(name)) return;
    if (alive) this.#dead.delete(name);
    else this.#dead.add(name);
    for (const [text, { order }] of this.#addresses) if (order.includes(name)) this.#changed.add(text);
  }

  /** There is something to `take`, and other nodes may have to be watched. */
  get isChanged(): boolean {
    return this.#changed.size > 0;
  }

  /** The nodes whose life matters to this one: those before it, where it comes second or third; each with an address on the link. */
  watched(): Map<string, IpAddr> {
    const found = new Map<string, IpAddr>();
    if (!this.#node) return found;
    for (const { address, order } of this.#addresses.values()) {
      const place = order.indexOf(this.#node.name);
      if (place < 1 || place > watchers) continue;
      for (const name of order.slice(0, place)) {
        const known = found.get(name);
        // IPv4 where there is a choice: its question can be sent to one node alone.
        if (known?.family === 'ipv4') continue;
        const peer = this.#candidates.get(name)?.addresses.find(({ family }) => family === address.family);
        if (peer) found.set(name, peer);
      }
    }
    // What is not watched any more is taken for alive, as the API says.
    for (const name of this.#dead) if (!found.has(name)) this.setAlive(name, true);
    return found;
  }

  /** Announced by this node. */
  announced(): IpAddr[] {
    return [...this.#announced.values()];
  }

  /** The node that announces an address, as this one sees it. */
  announcerOf(address: string): string | undefined {
    return this.#addresses.get(address)?.order.find((name) => !this.#dead.has(name));
  }

  /** @returns what changed since the last call: items by owner, none for what is another's now */
  take(): Map<string, readonly Item[]> {
    const plans = new Map<string, readonly Item[]>();
    for (const text of this.#changed) {
      const entry = this.#addresses.get(text);
      const mine = entry !== undefined && this.#node !== undefined && this.announcerOf(text) === this.#node.name;
      if (mine) {
        plans.set(announcementOwner(text), planAnnouncement(entry.address, this.#node!));
        this.#announced.set(text, entry.address);
      } else if (this.#announced.delete(text)) plans.set(announcementOwner(text), []);
    }
    this.#changed.clear();
    return plans;
  }

  #orderAll(): void {
    for (const text of [...this.#addresses.keys()]) this.#order(text);
  }

  #order(text: string): void {
    const entry = this.#addresses.get(text);
    if (!entry) return;
    this.#changed.add(text);
    if (entry.services.size === 0) {
      // `announced` still knows it: `take` gives it back.
      this.#addresses.delete(text);
      return;
    }
    entry.order = rank(entry.address, this.#eligible(entry));
  }

  /** Candidates on the link that the address is on; with endpoints of their own, where that is demanded. */
  #eligible({ address, services }: Address): string[] {
    const link = this.#node && linkOf(address, this.#node);
    if (!link) return [];
    const local = [...services].filter((key) => this.#services.get(key)!.local);
    const nodes = local.map((key) => nodesWithEndpoints(this.#slicesOf(key), address.family));
    return [...this.#candidates.values()]
      .filter(({ name, addresses }) => nodes.every((some) => some.has(name)) && addresses.some((one) => link.contains(one)))
      .map(({ name }) => name);
  }
}
