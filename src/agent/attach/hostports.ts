import { CniError, cniCode } from '../../cni/errors.ts';
import type { AttachmentKey } from '../../cni/request.ts';
import {
  collide,
  formatMappings,
  type HostPortsNode,
  hostSide,
  isOfFamily,
  isStaleAfterAdd,
  isStaleAfterDelete,
  mappingsIn,
  type PortMapping,
  parseMappings,
  planHostPorts,
  planMappings,
  specificAddress,
  type UdpEntry,
} from '../../hostports/index.ts';
import { type Ipam, keyText, type Lease } from '../../ipam/index.ts';
import type { Conntrack, ConntrackEntry } from '../../kernel/conntrack.ts';
import type { Nft } from '../../kernel/nftables/index.ts';
import type { RtNetlink } from '../../kernel/rtnetlink/rtnetlink.ts';
import { type Family, families, type IpAddr } from '../../net/ip.ts';
import type { Prefix } from '../../net/prefix.ts';
import type { Item, NodeNetwork } from '../../reconcile/model.ts';
import { serviceSets, takenPortKeys } from '../../services/index.ts';

/** The owner of what holds for all host ports. */
export const hostPortsOwner = 'host ports';

/** The owner of one pod's elements. */
export const mappingOwner = (key: AttachmentKey): string => `host ports of ${keyText(key)}`;

/** @param addresses of the node, one for each family */
export const hostPortsItems = (addresses: readonly IpAddr[]): Item[] => {
  const services: HostPortsNode['services'] = { ipv4: serviceSets('ipv4'), ipv6: serviceSets('ipv6') };
  return planHostPorts({ addresses, services });
};

/** What the pod of a lease has. */
const mappingsOf = ({ notes }: Lease): PortMapping[] => parseMappings(notes.ports ?? '');

export const mappingItems = (lease: Lease): Item[] => (lease.notes.ports ? planMappings(mappingsOf(lease), lease.addresses) : []);

/** What the note of a lost lease said, as the kernel holds it. @param addresses of the pod */
export function notedInKernel(nft: Pick<Nft, 'read'>, addresses: readonly IpAddr[]): string {
  const held = nft.read('podnet').content?.elements ?? [];
  const elements = Array.from(held, ([set, list]) => list.map((one) => ({ set, ...one }))).flat();
  return formatMappings(mappingsIn(elements, addresses));
}

export interface HostPortsOptions {
  ipam: Ipam;
  rt: Pick<RtNetlink, 'addresses'>;
  conntrack: Pick<Conntrack, 'list' | 'deleteAll'>;
  serviceCidrs: readonly Prefix[];
}

/** Who may have which port of the node, and what the node remembers of connections to it. Leases are the only record: a restart knows all again. */
export class HostPorts {
  readonly #options: HostPortsOptions;

  constructor(options: HostPortsOptions) {
    this.#options = options;
  }

  /**
   * What leads to another interface of the same container already stays there: runtimes ask for a container's ports with each network that it is added to.
   * @param pod `namespace/name`, or '': a former sandbox of the same pod is no obstacle
   * @param podFamilies of the addresses that it gets
   * @returns what the lease keeps, and which leases of the same pod give their ports up
   * @throws CniError 7 when one cannot be had, with the reason or the holder
   */
  claim(
    wanted: readonly PortMapping[],
    { containerId }: AttachmentKey,
    pod: string,
    podFamilies: readonly Family[],
  ): { note: string; former: Lease[] } {
    if (wanted.length === 0) return { note: '', former: [] };
    this.#requireReachable(wanted, podFamilies);
    requireDistinct(wanted);
    const former = new Set<Lease>();
    const served = new Set<PortMapping>();
    for (const lease of this.#options.ipam.leases()) {
      if (!lease.notes.ports) continue;
      const shared = podFamilies.filter((family) => lease.addresses.some((address) => address.family === family));
      for (const theirs of mappingsOf(lease)) {
        const mine = wanted.find((one) => collide(one, theirs, shared));
        if (!mine) continue;
        const isOwn = lease.key.containerId === containerId;
        if (isOwn && String(specificAddress(mine)) !== String(specificAddress(theirs))) continue;
        if (isOwn && mine.containerPort === theirs.containerPort) served.add(mine);
        else if (!isOwn && pod !== '' && lease.notes.pod === pod) former.add(lease);
        else
          throw refused(
            `host port ${hostSide(mine)} is taken: ${holderOf(lease)} has ${hostSide(theirs)} on this node`,
            'delete that pod, or choose another port or address',
          );
      }
    }
    return { note: formatMappings(wanted.filter((one) => !served.has(one))), former: [...former] };
  }

  /** To be called when the kernel has a pod's mappings. */
  added(lease: Lease): void {
    const mappings = udpOf(lease);
    if (mappings.length === 0) return;
    const own = new Set(this.#options.rt.addresses().map(({ address }) => String(address)));
    this.#forget(mappings, (entry) => isStaleAfterAdd(entry, mappings, (address) => own.has(String(address))));
  }

  /** To be called when the kernel has a pod's mappings no more, before anybody else may have them. */
  deleted(lease: Lease): void {
    const mappings = udpOf(lease);
    if (mappings.length > 0) this.#forget(mappings, (entry) => isStaleAfterDelete(entry, mappings, lease.addresses));
  }

  /**
   * Host ports that packets do not come to, since a Service has the same port of the node, in words.
   * @param held what the kernel holds
   * @param addresses of the node
   */
  clashes(held: NodeNetwork, addresses: readonly IpAddr[]): string[] {
    return this.#options.ipam
      .leases()
      .flatMap((lease) =>
        (lease.notes.ports ? mappingsOf(lease) : [])
          .filter((mapping) =>
            families.some((family) => isOfFamily(mapping, family) && isTaken(held, family, mapping, addresses)),
          )
          .map(
            (mapping) =>
              `host port ${hostSide(mapping)} of ${holderOf(lease)} is a port of a Service too, which gets the packets`,
          ),
      );
  }

  #requireReachable(wanted: readonly PortMapping[], podFamilies: readonly Family[]): void {
    const own = this.#options.rt.addresses().map(({ address }) => address);
    for (const { hostIp, ...ports } of wanted) {
      if (!hostIp) continue;
      const what = `hostIP ${hostIp} of host port ${hostSide(ports)}`;
      if (!podFamilies.includes(hostIp.family)) throw refused(`${what}: the pod has no ${hostIp.family} address`);
      // All addresses, and those that every node has.
      if (hostIp.isUnspecified || hostIp.isLoopback) continue;
      if (hostIp.isLinkLocal) throw refused(`${what}: a link-local address cannot lead to a pod`);
      if (!own.some((address) => address.equals(hostIp))) throw refused(`${what} is not an address of this node`);
      if (this.#options.serviceCidrs.some((cidr) => cidr.contains(hostIp))) throw refused(`${what} is an address of a Service`);
    }
  }

  #forget(mappings: readonly PortMapping[], isStale: (entry: UdpEntry) => boolean): void {
    const { conntrack } = this.#options;
    const ports = [...new Set(mappings.map(({ hostPort }) => hostPort))];
    const stale = ports
      .flatMap((originalDestinationPort) => conntrack.list({ protocol: 'udp', originalDestinationPort }))
      .filter((entry) => isStale(udpEntry(entry)));
    if (stale.length > 0) conntrack.deleteAll(stale);
  }
}

const refused = (message: string, details?: string): CniError =>
  new CniError(cniCode.invalidConfig, `runtimeConfig.portMappings: ${message}`, details);

const udpOf = (lease: Lease): PortMapping[] =>
  lease.notes.ports ? mappingsOf(lease).filter(({ protocol }) => protocol === 'udp') : [];

const holderOf = ({ key, notes }: Lease): string => notes.pod || `container ${key.containerId}`;

function isTaken(held: NodeNetwork, family: Family, mapping: PortMapping, addresses: readonly IpAddr[]): boolean {
  const one = specificAddress(mapping);
  const at = (one ? [one] : addresses).filter((address) => address.family === family);
  return takenPortKeys(family, mapping.protocol, mapping.hostPort, at).some((key) => held.has(key));
}

/** One pod may have a port on an address and another way on all others, but not two ways at once. */
function requireDistinct(wanted: readonly PortMapping[]): void {
  wanted.forEach((one, i) => {
    const twice = wanted
      .slice(0, i)
      .find(
        (other) =>
          collide(one, other, families) &&
          one.containerPort !== other.containerPort &&
          (specificAddress(one) === undefined) === (specificAddress(other) === undefined),
      );
    if (twice) throw refused(`host port ${hostSide(one)} leads to both ${twice.containerPort} and ${one.containerPort}`);
  });
}

const udpEntry = ({ original, reply }: ConntrackEntry): UdpEntry => ({
  destination: original.destination,
  destinationPort: original.destinationPort ?? 0,
  replySource: reply.source,
  replySourcePort: reply.sourcePort ?? 0,
});
