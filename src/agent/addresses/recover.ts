import type { Ipam, Lease, LeaseKey } from '../../ipam/index.ts';
import { keyText } from '../../ipam/index.ts';
import type { Link } from '../../kernel/rtnetlink/links.ts';
import type { Neighbour } from '../../kernel/rtnetlink/neighbours.ts';
import type { RtNetlink } from '../../kernel/rtnetlink/rtnetlink.ts';
import { deletionGroup, hostLinkName, isPodLink, podMac, podOf, readBandwidth } from '../../links/index.ts';
import type { Family, IpAddr } from '../../net/ip.ts';
import type { AttachmentNotes } from '../attach/attachment.ts';

/** Network of the leases that were made anew from links: whose they are is known when the runtime asks for one of them. No network can be named so (CNI4). */
export const unknownNetwork = '?';

/**
 * Makes leases anew for pods' links that have none (F23): their addresses are those that the node was told the pod's MAC for. A link's name is made of its
 * attachment's key, so that the key is found again when a runtime names it (`recoveredLease`), and its alias is the pod's name.
 * @param portsOf the note about the host ports of a pod with these addresses
 * @returns what was done, a sentence each
 */
export function recoverLeases(
  ipam: Ipam,
  rt: RtNetlink,
  families: readonly Family[],
  portsOf: (addresses: readonly IpAddr[]) => string,
): string[] {
  const known = new Set(ipam.leases().map(({ notes }) => notes.link));
  const links = rt.links();
  const names = new Set(links.map(({ name }) => name));
  // A disk that lost what was last written to it may bring leases back that were given up.
  const isDead = ({ notes }: Lease): boolean => !names.has(notes.link ?? '');
  const lost = links.filter(({ name, group }) => isPodLink(name) && group !== deletionGroup && !known.has(name));
  if (lost.length === 0) return [];
  const qdiscs = rt.qdiscs();
  return lost.map((link) => {
    const behind = neighboursBehind(link, rt);
    const addresses = behind
      .map(({ address }) => address)
      .sort((a, b) => families.indexOf(a.family) - families.indexOf(b.family));
    const mac = behind[0]?.mac;
    if (!mac) return `the link ${link.name} has no lease, and nothing tells its addresses`;
    const bandwidth = readBandwidth(rt, link.name, qdiscs);
    const notes: AttachmentNotes = {
      ...{ link: link.name, mtu: String(link.mtu), netns: '', inode: '', pod: podOf(link.alias), traits: '', since: '' },
      ports: portsOf(addresses),
      mac: mac.equals(podMac({ addresses })) ? '' : String(mac),
      bandwidth: bandwidth ? JSON.stringify(bandwidth) : '',
    };
    try {
      ipam.restore({ network: unknownNetwork, containerId: link.name, ifname: '?' }, addresses, notes, isDead);
      return `the lease of ${addresses.join(' and ')} was made anew from the link ${link.name}`;
    } catch (error) {
      return `the link ${link.name} has no lease: ${(error as Error).message}`;
    }
  });
}

/** Routed: neighbour entries of the link itself. On a bridge: those of the bridge with the MAC that is behind the port. */
function neighboursBehind({ index, master }: Link, rt: RtNetlink): Neighbour[] {
  const isFixed = (state: readonly string[] | undefined): boolean => state?.includes('permanent') === true;
  const on = rt.neighbours({ link: master ?? index }).filter(({ state }) => isFixed(state));
  if (master === undefined) return on;
  const macs = rt.fdb().filter((entry) => entry.link === index && entry.state?.includes('noarp'));
  return on.filter(({ mac }) => mac && macs.some((entry) => entry.mac.equals(mac)));
}

/** The lease that was made anew from the link which an attachment of this key has. */
export function recoveredLease(ipam: Ipam, key: LeaseKey): Lease | undefined {
  let names: string[] | undefined;
  return ipam.leases().find(({ key: { network }, notes }) => {
    if (network !== unknownNetwork) return false;
    names ??= [0, 1, 2, 3].map((attempt) => hostLinkName(keyText(key), attempt));
    return names.includes(notes.link ?? '');
  });
}
