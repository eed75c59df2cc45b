import type { IpAddr } from '../net/ip.ts';
import type { NodeNetwork } from '../reconcile/model.ts';
import type { PlannedPort } from './planner.ts';

/** What is looked at of a conntrack entry of UDP: where it was opened to, and who answers. */
export interface UdpEntry {
  /** Destination of the original direction. */
  destination: IpAddr;
  destinationPort: number;
  /** Source of the reply direction: the endpoint. */
  replySource: IpAddr;
  replySourcePort: number;
}

interface Served {
  owner: string;
  /** `10.244.1.7 . 53` */
  backends: ReadonlySet<string>;
  /** A ClusterIP: what is sent there is never on its way untranslated, unless this node itself answers. */
  isClusterIp: boolean;
}

const keyOf = (address: IpAddr | string, port: number | string): string => `${address} ${port}`;

const leadsByAddress = /^nft-element (?:service-ips|external-ports)[46] (\S+) \. udp \. (\d+)$/;
const leadsByNodePort = /^nft-element nodeports([46]) udp \. (\d+)$/;
const nodePortAddress = /^nft-element nodeport-ips([46]) (\S+)$/;

/** Destinations of UDP that the kernel leads to endpoints. */
function udpDestinations(held: Pick<NodeNetwork, 'keys'>): string[] {
  const found: string[] = [];
  const nodePorts: [family: string, port: string][] = [];
  const addresses: [family: string, address: string][] = [];
  for (const key of held.keys()) {
    const [, address, port] = leadsByAddress.exec(key) ?? [];
    if (address) found.push(keyOf(address, port!));
    const [, family, nodePort] = leadsByNodePort.exec(key) ?? [];
    if (family) nodePorts.push([family, nodePort!]);
    const [, of, own] = nodePortAddress.exec(key) ?? [];
    if (of) addresses.push([of, own!]);
  }
  return [...found, ...nodePorts.flatMap(([family, port]) => addresses.flatMap(([of, own]) => (of === family ? keyOf(own, port) : [])))];
}

/** Nobody else answers in place of who it was sent to, e.g. this node's own DNS. */
export const isUntranslated = ({ destination, destinationPort, replySource, replySourcePort }: UdpEntry): boolean =>
  replySource.equals(destination) && replySourcePort === destinationPort;

/**
 * Who serves UDP, by destination: tells which conntrack entries lead to endpoints that serve no more (SD25). UDP has no end of a connection, so the client of
 * such an entry would go on sending there for ever. A change costs what the Service has that changed.
 */
export class UdpServices {
  readonly #served = new Map<string, Served>();
  readonly #keys = new Map<string, readonly string[]>();
  /**
   * Destinations that an endpoint left, or that nobody serves any more, since `settled`; and node ports and external addresses that are served since: a flow
   * from before goes on untranslated.
   */
  readonly #left = new Set<string>();
  #looked = false;

  /**
   * Before the first `set`: Services that went while no agent ran are found here alone.
   * @param held what the kernel holds from before a restart
   */
  remember(held: Pick<NodeNetwork, 'keys'>): void {
    for (const key of udpDestinations(held)) this.#left.add(key);
  }

  /**
   * Replaces what a Service serves.
   * @param ports of it, of any protocol; none when it is gone
   * @param nodePortAddresses where node ports answer
   */
  set(owner: string, ports: readonly PlannedPort[], nodePortAddresses: readonly IpAddr[]): void {
    const now = new Map<string, Pick<Served, 'backends' | 'isClusterIp'>>();
    for (const { protocol, clusterIp, externalIps, port, nodePort, family, serving } of ports) {
      if (protocol !== 'udp') continue;
      const backends = new Set(serving.map(({ key }) => key));
      now.set(keyOf(clusterIp, port), { backends, isClusterIp: true });
      for (const address of externalIps) now.set(keyOf(address, port), { backends, isClusterIp: false });
      if (nodePort === undefined) continue;
      for (const address of nodePortAddresses)
        if (address.family === family) now.set(keyOf(address, nodePort), { backends, isClusterIp: false });
    }
    for (const key of this.#keys.get(owner) ?? []) {
      // Another Service may have the address by now.
      if (now.has(key) || this.#served.get(key)?.owner !== owner) continue;
      this.#served.delete(key);
      this.#left.add(key);
    }
    for (const [key, { backends, isClusterIp }] of now) {
      const before = this.#served.get(key)?.backends ?? new Set();
      const isNew = !isClusterIp && before.size === 0 && backends.size > 0;
      if (isNew || [...before].some((backend) => !backends.has(backend))) this.#left.add(key);
      this.#served.set(key, { owner, backends, isClusterIp });
    }
    if (now.size > 0) this.#keys.set(owner, [...now.keys()]);
    else this.#keys.delete(owner);
  }

  /** Whether there may be stale entries: reading conntrack costs the more the more connections there are. Nobody knows what happened before the start. */
  get mayHaveStale(): boolean {
    return this.#left.size > 0 || (!this.#looked && this.#served.size > 0);
  }

  isStale(entry: UdpEntry): boolean {
    const key = keyOf(entry.destination, entry.destinationPort);
    const served = this.#served.get(key);
    if (!served && !this.#left.has(key)) return false;
    if (isUntranslated(entry) && (!served || served.isClusterIp || served.backends.size === 0)) return false;
    return !served?.backends.has(`${entry.replySource} . ${entry.replySourcePort}`);
  }

  /** No stale entry is left, and none can come: the kernel holds what was planned. */
  settled(): void {
    this.#left.clear();
    this.#looked = true;
  }
}
