import type { IpAddr } from '../net/ip.ts';
import { isOfFamily, type PortMapping, specificAddress } from './mapping.ts';

/** What is looked at of a conntrack entry of UDP: where it was opened to, and who answers. */
export interface UdpEntry {
  destination: IpAddr;
  destinationPort: number;
  replySource: IpAddr;
  replySourcePort: number;
}

/** Whether a new mapping makes it stale: it was opened to the node itself while the port led nowhere, and would hold the client off the pod. */
export const isStaleAfterAdd = (
  entry: UdpEntry,
  mappings: readonly PortMapping[],
  isLocal: (address: IpAddr) => boolean,
): boolean =>
  entry.replySource.equals(entry.destination) &&
  entry.replySourcePort === entry.destinationPort &&
  isLocal(entry.destination) &&
  mappings.some(
    (mapping) =>
      mapping.protocol === 'udp' &&
      mapping.hostPort === entry.destinationPort &&
      isOfFamily(mapping, entry.destination.family) &&
      (specificAddress(mapping)?.equals(entry.destination) ?? true),
  );

/** Whether a mapping that is gone makes it stale: it leads to the pod that had it. */
export const isStaleAfterDelete = (
  { destinationPort, replySource, replySourcePort }: UdpEntry,
  mappings: readonly PortMapping[],
  addresses: readonly IpAddr[],
): boolean =>
  addresses.some((address) => address.equals(replySource)) &&
  mappings.some(
    (mapping) => mapping.protocol === 'udp' && mapping.containerPort === replySourcePort && mapping.hostPort === destinationPort,
  );
