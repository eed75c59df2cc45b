import type { RtBatch } from '../kernel/rtnetlink/batch.ts';
import type { Ipv4Conf } from '../kernel/rtnetlink/links.ts';
import type { RtNetlink } from '../kernel/rtnetlink/rtnetlink.ts';
import type { Item, Sysctl } from '../reconcile/model.ts';
import type { AttachMode, LinkNode } from './mode.ts';
import { hostMac, type PodLink, podGroup, podMac } from './pod-link.ts';
import { makeShaper } from './shaper.ts';

/** The numbers that a new link is made with. */
export interface LinkNumbers {
  /** ifindex of the host end */
  index: number;
  /** ifindex in the pod; the kernel chooses when absent */
  peerIndex: number | undefined;
  /** ifindex of the ifb of a limited pod; any for another */
  shaper: number;
  /** Descriptor of the pod's network namespace. */
  netNs: number;
}

/**
 * Makes a pod's link, both ends of it where they belong, and all of its host side, in one batch that is written to the node.
 * @param items of the pod, from the mode
 * @param hostEnd what the mode wants of it besides
 */
export function makeHostSide(
  batch: RtBatch,
  pod: PodLink,
  numbers: LinkNumbers,
  mode: AttachMode,
  items: readonly Item[],
  hostEnd: ReturnType<AttachMode['hostEnd']>,
): void {
  const { mtu, hostLink, ifname } = pod;
  const { index, peerIndex, netNs } = numbers;
  const peer = { name: ifname, index: peerIndex, mtu, mac: podMac(pod), netNs };
  batch.addLink({ type: 'veth', name: hostLink, index, mtu, mac: hostMac, group: podGroup, ...hostEnd, peer });
  configureHostSide(batch, pod, numbers, mode, items, hostEnd);
}

/** All but the making of the link; where a part of it is there already that part is EEXIST. */
export function configureHostSide(
  batch: RtBatch,
  pod: PodLink,
  { index, shaper }: LinkNumbers,
  mode: AttachMode,
  items: readonly Item[],
  hostEnd: ReturnType<AttachMode['hostEnd']>,
): void {
  const { hostLink } = pod;
  if (pod.bandwidth) makeShaper(batch, items, index, shaper);
  // Up before the pod's end is: no frame comes before `finish`, and the pod's end, which comes up last, sends at once.
  batch.setLink(index, { addrGenMode: 'none', ipv4: ipv4ConfOf(items, hostLink), up: true });
  mode.finish(batch, index, pod);
  for (const item of items) {
    if (item.kind !== 'route' && item.kind !== 'neighbour') continue;
    const link = item.link === hostLink || item.link === undefined ? index : hostEnd.master;
    // Replace: a route or entry of a former holder of the address says nothing about this one.
    if (item.kind === 'route') batch.replaceRoute({ ...item, link });
    else batch.replaceNeighbour({ link: link ?? index, address: item.address, mac: item.mac });
  }
}

const ipv4Conf = ['proxy_arp', 'accept_redirects', 'send_redirects', 'rp_filter'] as const;
const ipv4ConfName = (link: string, name: string): string => `net/ipv4/conf/${link}/${name}`;

/** Whether netlink sets it together with the link. */
const isIpv4Conf = ({ name }: Sysctl, link: string): boolean => ipv4Conf.some((one) => name === ipv4ConfName(link, one));

/** Not to be written at first: a link that has it on refuses its addresses. */
const isOff = ({ name }: Sysctl): boolean => name.endsWith('/disable_ipv6');

/** The other settings, by folder: each look-up of one costs. */
export function foldersOf(items: readonly Item[], link: string): Map<string, Record<string, string>> {
  const folders = new Map<string, Record<string, string>>();
  for (const item of items) {
    if (item.kind !== 'sysctl' || isIpv4Conf(item, link) || isOff(item)) continue;
    const slash = item.name.lastIndexOf('/');
    const folder = item.name.slice(0, slash);
    const settings = folders.get(folder) ?? {};
    settings[item.name.slice(slash + 1)] = item.value;
    folders.set(folder, settings);
  }
  return folders;
}

function ipv4ConfOf(items: readonly Item[], link: string): Ipv4Conf | undefined {
  const own = items.filter((item) => item.kind === 'sysctl').filter((item) => isIpv4Conf(item, link));
  if (own.length === 0) return undefined;
  return Object.fromEntries(own.map(({ name, value }) => [name.slice(ipv4ConfName(link, '').length), Number(value)]));
}

/** What is wrong with the node's end of an attachment, in words. */
export function checkHost(rt: RtNetlink, pod: PodLink, mode: AttachMode, node: LinkNode): string[] {
  const link = rt.link(pod.hostLink);
  if (!link) return [`the node has no link ${pod.hostLink}`];
  const wrong: string[] = [];
  if (!link.up) wrong.push(`${pod.hostLink} is down`);
  if (!link.mac?.equals(hostMac)) wrong.push(`${pod.hostLink} has the MAC ${link.mac}, not ${hostMac}`);
  for (const item of mode.planPod(pod, node)) {
    if (item.kind !== 'route') continue;
    const { family } = item.destination;
    const via = item.link === undefined ? undefined : rt.link(item.link)?.index;
    const found = rt.routes({ family, table: 254, link: via }).some((route) => route.destination.equals(item.destination));
    if (!found) wrong.push(`the node has no route to ${item.destination} by ${item.link}`);
  }
  return wrong;
}
