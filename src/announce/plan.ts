import type { Family, IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import type { Item } from '../reconcile/model.ts';

/** What announcing needs to know of this node. */
export interface AnnounceNode {
  name: string;
  /** InternalIPs, one of each family. */
  addresses: readonly IpAddr[];
  /** Link that carries them. */
  uplink: string;
  /** Prefixes of the uplink's addresses: neighbours there are asked for by ARP and ND. */
  onLink: readonly Prefix[];
  /** A link of podnet's that the announced addresses are routed to, so that what no Service takes of them ends there. */
  sink: string;
}

/** The prefix of the uplink that an address is in. Others never ask for it on this link. */
export const linkOf = (address: IpAddr, { onLink }: Pick<AnnounceNode, 'onLink'>): Prefix | undefined =>
  onLink.find((prefix) => prefix.contains(address));

/**
 * What the kernel holds on the node that announces an address: an entry for which the uplink answers ARP or ND, and what makes the kernel heed it. No
 * interface has the address, so it never becomes a source, and no process of the node can be reached by it.
 */
export function planAnnouncement(address: IpAddr, node: AnnounceNode): Item[] {
  const source = node.addresses.find(({ family }) => family === address.family);
  const setting = (name: string, value: string): Item => ({ kind: 'sysctl', name, value });
  const neighbours: Record<Family, string> = { ipv4: 'net/ipv4/neigh', ipv6: 'net/ipv6/neigh' };
  return [
    { kind: 'proxy', link: node.uplink, address },
    // ARP is answered for what is routed to another link (arp_process). Also no loop: what no Service takes would go back to the router.
    {
      kind: 'route',
      destination: Prefix.host(address),
      type: 'unicast',
      link: node.sink,
      ...(source ? { source } : {}),
    },
    // 0 of 100ths of a second: else the kernel waits up to 0.8 s before each answer, in favour of a real owner that there is not.
    setting(`${neighbours[address.family]}/${node.uplink}/proxy_delay`, '0'),
    ...(address.family === 'ipv6' ? [setting(`net/ipv6/conf/${node.uplink}/proxy_ndp`, '1')] : []),
  ];
}
