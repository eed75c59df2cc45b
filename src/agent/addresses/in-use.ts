import { type Hold, hostLocalLeases, thisBoot } from '../../ipam/index.ts';
import { routeProtocol } from '../../kernel/rtnetlink/routes.ts';
import type { RtNetlink } from '../../kernel/rtnetlink/rtnetlink.ts';
import { bridgeLink, deletionGroup } from '../../links/index.ts';
import { addressBits } from '../../net/ip.ts';

/** Other than of this table, a route to one address says nothing about who lives there. RT_TABLE_MAIN */
const mainTable = 254;

/**
 * Addresses that somebody has on this node, whether there is a lease or not: those of the node's own links, and those that a route of their own leads to.
 * A pod of another plugin, or one whose lease was lost, is found so (F23).
 */
export function addressesInUse(rt: RtNetlink): Hold[] {
  const links = new Map(rt.links().map((link) => [link.index, link]));
  // The gateway of pods on a bridge is podnet's, and never given.
  const isGateway = (link: number | undefined): boolean => links.get(link ?? 0)?.name === bridgeLink;
  const own = rt
    .addresses()
    .filter(({ address, link }) => !address.isLinkLocal && !isGateway(link))
    .map(({ address, link }) => ({ address, why: `the node's own address on ${links.get(link)?.name ?? 'a link'}` }));
  const routed = rt.routes({ table: mainTable }).flatMap(({ destination, link, type, protocol }): Hold[] => {
    if (isGateway(link) && protocol === routeProtocol.kernel) return [];
    if (type !== 'unicast' || link === undefined || destination.length < addressBits(destination.family)) return [];
    const by = links.get(link);
    // Of a pod that was deleted this moment.
    if (by?.group === deletionGroup) return [];
    return [{ address: destination.address, why: `the route to ${destination.address} by ${by?.name ?? `link ${link}`}` }];
  });
  return [...own, ...routed];
}

/** @param directory of host-local's networks */
export const leasesOfHostLocal = (directory: string): Hold[] => hostLocalLeases(directory, thisBoot().startedMs);
