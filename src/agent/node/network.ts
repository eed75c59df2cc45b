import { type AttachMode, attachModes, type LinkNode } from '../../links/index.ts';
import type { IpAddr } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';
import type { Reconciler } from '../../reconcile/index.ts';
import { type Overlap, overlapsOf, overlapWords } from '../../routes/overlaps.ts';
import {
  planPeer,
  planSelf,
  podMtu,
  problemsOfSelf,
  type RouteNode,
  type RoutesConfig,
  remedy,
  svcLink,
  vxlanLink,
  wayTo,
} from '../../routes/plan.ts';
import { planTunnelDoor, planTunnelPeer } from '../../routes/tunnel-door.ts';
import { egressOwner, layoutOwner, planEgress, type ServiceNode } from '../../services/index.ts';
import { type Door, doorOwner } from '../attach/door.ts';
import { hostPortsItems, hostPortsOwner } from '../attach/hostports.ts';
import type { Settings } from '../settings.ts';
import type { NodeView } from '../watch/views.ts';
import type { NodeFacts } from './facts.ts';

/** Owners of what every node holds, whatever pods, peers and Services there are. */
const selfOwner = 'this node';
const modeOwner = 'attach mode';
const tunnelOwner = 'door of the tunnel';
const peerOwner = (name: string): string => `node ${name}`;

/** Without these in the kernel a pod's packets have no way: no ADD is answered before they are done. */
export const essentialOwners: readonly string[] = [selfOwner, modeOwner, layoutOwner, egressOwner, doorOwner, tunnelOwner, hostPortsOwner];

const text = (overlaps: readonly Overlap[]): string =>
  overlaps.map(({ cidr, other, holder }) => `${cidr} ${other} ${holder}`).join();
const remedyFor = (node: string): string => remedy.replace('the node', `node ${node}`);

/** Another node, with all addresses that its Node tells. */
interface Peer extends RouteNode {
  ends: readonly IpAddr[];
  faults: readonly string[];
}

/** One way that leads to pods of other nodes. */
export interface WayToPods {
  podCidr: Prefix;
  /** Name of the link. */
  link: string;
  /** Of a tunnel: where it ends. */
  tunnelEnd?: IpAddr;
}

/** Contributes what follows from Nodes: own forwarding and links, routes to the others, what is not masqueraded. */
export class NodeNetwork {
  readonly #reconciler: Reconciler;
  readonly #settings: Settings;
  readonly #mode: AttachMode;
  readonly #door: Door;
  #routes: RoutesConfig;
  readonly #peers = new Map<string, Peer>();
  readonly #problems = new Map<string, readonly string[]>();
  /** Names of peers that came, went or changed since they were planned. */
  readonly #changed = new Set<string>();
  #facts: NodeFacts | undefined;
  #mtu: number | undefined;
  /** Pod CIDRs that another node had before, by the node that has them as well. */
  #overlaps: ReadonlyMap<string, readonly Overlap[]> = new Map();
  #linkNode: LinkNode | undefined;

  constructor(reconciler: Reconciler, settings: Settings, door: Door) {
    this.#reconciler = reconciler;
    this.#door = door;
    this.#settings = settings;
    this.#mode = attachModes[settings.attach];
    const { families, backend, serviceCidrs, clusterDns, vxlan } = settings;
    this.#routes = { families, backend, serviceCidrs, clusterDns, vxlan };
  }

  get facts(): NodeFacts | undefined {
    return this.#facts;
  }

  get problems(): string[] {
    return [...this.#problems.values()].flat();
  }

  /** Why this node may give no addresses: another had them before (F27). Its pods go on until they are deleted. */
  get clash(): string | undefined {
    const name = this.#facts?.self.name ?? '';
    const own = this.#overlaps.get(name);
    return (
      own &&
      `${own.map((overlap) => overlapWords(name, overlap)).join('; ')}: new pods would have addresses of its pods; ${remedy}`
    );
  }

  /** What attaching pods needs to know; undefined until the node is known, and the same object until it changes. */
  get linkNode(): LinkNode | undefined {
    if (!this.#facts || this.#mtu === undefined) return undefined;
    const { addresses, podCidrs } = this.#facts.self;
    const known = this.#linkNode;
    if (known?.addresses === addresses && known.podCidrs === podCidrs && known.podMtu === this.#mtu) return known;
    this.#linkNode = { families: this.#settings.families, addresses, podCidrs, podMtu: this.#mtu };
    return this.#linkNode;
  }

  /** For each family and each link that leads to other nodes' pods, the first of them. */
  waysToPods(): WayToPods[] {
    const ways = new Map<string, WayToPods>();
    const { local } = this.#facts ?? {};
    if (!local) return [];
    for (const peer of this.#peers.values()) {
      for (const podCidr of peer.podCidrs) {
        const { family } = podCidr;
        const way = this.#settings.families.includes(family) ? wayTo(peer, family, local, this.#settings.backend) : 'none';
        const key = `${family} ${way}`;
        if (way === 'none' || ways.has(key)) continue;
        const [end] = peer.addresses;
        const tunnel = way === 'vxlan';
        ways.set(key, { podCidr, link: tunnel ? vxlanLink : local.uplink, ...(tunnel && end ? { tunnelEnd: end } : {}) });
      }
    }
    return [...ways.values()];
  }

  /** Those of the configuration and of ServiceCIDR objects. */
  get serviceCidrs(): readonly Prefix[] {
    return this.#routes.serviceCidrs;
  }

  get serviceNode(): ServiceNode | undefined {
    if (!this.#facts) return undefined;
    const { self, zone, nodePortAddresses } = this.#facts;
    const { name, addresses, podCidrs } = self;
    const { clusterCidrs, services } = this.#settings;
    return {
      ...{ name, ...(zone === undefined ? {} : { zone }), addresses, podCidrs, nodePortAddresses, sink: svcLink },
      ...{ serviceCidrs: this.#routes.serviceCidrs, clusterCidrs, externalIpCidrs: services.externalIpCidrs },
    };
  }

  /** The node itself changed, or its links did: plans everything anew. */
  setSelf(facts: NodeFacts): void {
    this.#facts = facts;
    this.#problems.set(facts.self.name, [...facts.problems, ...problemsOfSelf(facts.self, facts.local, this.#routes)]);
    this.#reconciler.contribute(selfOwner, planSelf(facts.self, facts.local, this.#routes));
    this.#mtu = undefined;
    this.#planShared();
  }

  /** @returns whether they are others than before; then everything is planned anew */
  setServiceCidrs(serviceCidrs: readonly Prefix[]): boolean {
    if (String(serviceCidrs) === String(this.#routes.serviceCidrs)) return false;
    this.#routes = { ...this.#routes, serviceCidrs };
    for (const name of this.#peers.keys()) this.#changed.add(name);
    if (this.#facts) this.setSelf(this.#facts);
    return true;
  }

  /** Call `planPeers` after the last of several. */
  setPeer(view: NodeView): void {
    const { families } = this.#settings;
    const peer: Peer = {
      name: view.name,
      ends: view.addresses,
      addresses: families.flatMap((family) => view.addresses.find((address) => address.family === family) ?? []),
      podCidrs: view.podCidrs,
      created: view.created,
      faults: view.faults,
    };
    this.#peers.set(peer.name, peer);
    this.#changed.add(peer.name);
  }

  deletePeer(name: string): void {
    if (!this.#peers.delete(name)) return;
    this.#problems.delete(name);
    this.#reconciler.withdraw(peerOwner(name));
    this.#changed.add(name);
  }

  /** Plans what follows from the peers that were set and deleted: once for all of them, since part of it costs what all nodes together are. */
  planPeers(): void {
    if (this.#facts && this.#changed.size > 0) this.#planShared();
  }

  /** @param lost pod CIDRs of it that other nodes had before */
  #planPeer(peer: Peer, lost: readonly Overlap[]): void {
    const { self, local } = this.#facts!;
    // Of the very same pod CIDR there can be one route only; where one is wider both ways lead as far as they can.
    const isTwin = (cidr: Prefix): boolean =>
      lost.some(({ cidr: one, other, holder }) => one === cidr && other.equals(cidr) && holder !== self.name);
    const podCidrs = peer.podCidrs.filter((cidr) => !isTwin(cidr));
    const { items, problems } = planPeer({ ...peer, podCidrs }, self, local, this.#routes, this.#mtu);
    const others = lost.filter(({ cidr }) => !self.podCidrs.some((own) => own.overlaps(cidr)));
    const entrance = planTunnelPeer({ addresses: peer.ends, podCidrs: peer.podCidrs }, self, this.#routes);
    this.#reconciler.contribute(peerOwner(peer.name), [...items, ...entrance]);
    const told = others.map((overlap) => `${overlapWords(peer.name, overlap)}; ${remedyFor(peer.name)}`);
    this.#problems.set(peer.name, [...peer.faults, ...problems, ...told]);
  }

  /** What depends on all nodes together. Peers that are as they were are planned anew only when the MTU of pods is another now. */
  #planShared(): void {
    const { self, local } = this.#facts!;
    const peers = [...this.#peers.values()];
    const before = this.#mtu;
    this.#mtu = podMtu(self, peers, local, this.#routes);
    const overlaps = overlapsOf([self, ...peers]);
    const formerly = this.#overlaps;
    this.#overlaps = overlaps;
    for (const peer of peers) {
      const lost = overlaps.get(peer.name) ?? [];
      const isOther = this.#mtu !== before || this.#changed.has(peer.name) || text(lost) !== text(formerly.get(peer.name) ?? []);
      if (isOther) this.#planPeer(peer, lost);
    }
    this.#changed.clear();
    this.#reconciler.contribute(modeOwner, this.#mode.planNode(this.linkNode!));
    this.#reconciler.contribute(doorOwner, this.#door.items());
    this.#reconciler.contribute(tunnelOwner, planTunnelDoor(self, [self, ...peers], local, this.#routes));
    this.#reconciler.contribute(hostPortsOwner, hostPortsItems(self.addresses));
    const { clusterCidrs, nonMasqueradeCidrs } = this.#settings;
    const { serviceCidrs } = this.#routes;
    const all = [self, ...peers];
    const egress = {
      podCidrs: [...clusterCidrs, ...all.flatMap(({ podCidrs }) => podCidrs)],
      nodeAddresses: all.flatMap(({ addresses }) => addresses.map((address) => Prefix.host(address))),
      ...{ serviceCidrs, nonMasqueradeCidrs },
    };
    this.#reconciler.contribute(egressOwner, planEgress(egress));
  }
}
