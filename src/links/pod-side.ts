import { isNotFound, type KernelError } from '../kernel/errors.ts';
import type { RtBatch } from '../kernel/rtnetlink/batch.ts';
import type { RtNetlink } from '../kernel/rtnetlink/rtnetlink.ts';
import { writeSysctls } from '../kernel/sysctl.ts';
import type { IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { checkFurther } from './further.ts';
import type { AttachMode, LinkNode } from './mode.ts';
import { hostMac, type PodLink, podMac } from './pod-link.ts';

/**
 * The pod's link in one batch that may be repeated: up, addresses, the gateway's MAC, the default routes.
 * A default route that is there already is EEXIST: `hasOtherDefault` tells what that means.
 * @param link ifindex in the pod
 */
export function configurePod(batch: RtBatch, link: number, pod: PodLink, mode: AttachMode, node: LinkNode): void {
  // No link-local address: nobody on the link could be reached by it, and making one costs time and packets.
  batch.setLink(link, { addrGenMode: 'none', ipv4: { accept_redirects: 0 } });
  const ipv4 = pod.addresses.filter(({ family }) => family === 'ipv4');
  for (const address of ipv4) addAddress(batch, link, address, mode, node);
  // A link that comes up wakes a worker of the kernel (linkwatch_event), which then holds the lock that all of this needs, for up to some milliseconds: as little as
  // can be is left to be done after. IPv6's addresses are in service sooner on a link that is up.
  batch.setLink(link, { up: true });
  for (const address of ipv4) addDefault(batch, link, address, mode, node);
  for (const address of pod.addresses.filter(({ family }) => family === 'ipv6')) {
    addAddress(batch, link, address, mode, node);
    addDefault(batch, link, address, mode, node);
  }
}

function addAddress(batch: RtBatch, link: number, address: IpAddr, mode: AttachMode, node: LinkNode): void {
  const prefixLength = mode.prefixLength(address, node);
  const flags = prefixLength === Prefix.host(address).length ? [] : (['noprefixroute'] as const);
  batch.replaceAddress({ link, address, prefixLength, flags: address.family === 'ipv6' ? [...flags, 'nodad'] : flags });
  batch.replaceNeighbour({ link, address: mode.gateway(address, node), mac: hostMac });
}

/** Never in the place of another interface's (`further.ts`). */
const addDefault = (batch: RtBatch, link: number, address: IpAddr, mode: AttachMode, node: LinkNode): void =>
  void batch.addRoute({ destination: Prefix.all(address.family), link, gateway: mode.gateway(address, node), onlink: true });

/**
 * What no packet of the pod waits for, to be called inside of its namespace: the settings that netlink cannot give. Its routes and neighbours are what it was given, and no
 * router's or neighbour's word changes them: the door lets none through, and the pod would not listen either. Loopback is the runtime's: containerd and CRI-O call the
 * plugin `loopback` for it, podman and the lab's runner bring it up themselves.
 *
 * IPv4's own setting comes with the link. That of all links would count besides (IN_DEV_RX_REDIRECTS, include/linux/inetdevice.h), and is left: a look-up in
 * /proc/sys/net costs 50 µs and more, the more the more namespaces there are (proc_sys_compare).
 */
export function settlePod({ ifname, addresses }: PodLink): void {
  try {
    writeSysctls(`net/ipv6/conf/${ifname}`, { accept_redirects: '0', accept_ra: '0' });
  } catch (error) {
    // A kernel without IPv6 has no such settings, and no such danger.
    if (addresses.some(({ family }) => family === 'ipv6') || !isNotFound(error as KernelError)) throw error;
  }
}

/** What the runtime was told of a pod by the whole chain of plugins: it must be there, whoever made it. */
export interface ToldOfPod {
  addresses?: readonly IpAddr[];
  destinations?: readonly Prefix[];
}

/** What is wrong inside the pod, in words; nothing when all is well (CNI8). Additional addresses and routes are nobody's business. */
export function checkPod(rt: RtNetlink, pod: PodLink, mode: AttachMode, node: LinkNode, told: ToldOfPod = {}): string[] {
  const link = rt.link(pod.ifname);
  if (!link) return [`the container has no interface ${pod.ifname}`];
  const wrong: string[] = [];
  if (!link.up) wrong.push(`${pod.ifname} is down`);
  const mac = podMac(pod);
  if (!link.mac?.equals(mac)) wrong.push(`${pod.ifname} has the MAC ${link.mac}, not ${mac}`);
  if (link.mtu > pod.mtu)
    wrong.push(`${pod.ifname} has the MTU ${link.mtu}, more than the ${pod.mtu} that the pod network carries`);
  const addresses = rt.addresses({ link: link.index });
  const routes = rt.routes({ link: link.index, table: 254 });
  const neighbours = rt.neighbours({ link: link.index });
  for (const address of pod.addresses) {
    if (!addresses.some((found) => found.address.equals(address))) wrong.push(`${pod.ifname} has lost its address ${address}`);
    const gateway = mode.gateway(address, node);
    const isDefault = routes.some((route) => route.destination.length === 0 && route.gateway?.equals(gateway));
    if (!isDefault) wrong.push(`the default route via ${gateway} is gone`);
    if (!neighbours.some((found) => found.address.equals(gateway) && found.mac?.equals(hostMac)))
      wrong.push(`the neighbour entry of the gateway ${gateway} is gone`);
  }
  wrong.push(...checkFurther(rt, link.index, pod));
  const isOwn = (address: IpAddr): boolean => pod.addresses.some((one) => one.equals(address));
  for (const address of told.addresses ?? [])
    if (!isOwn(address) && !addresses.some((found) => found.address.equals(address)))
      wrong.push(`${pod.ifname} does not have ${address}, which prevResult has`);
  const destinations = (told.destinations ?? []).filter(({ length }) => length > 0);
  const all = destinations.length === 0 ? [] : rt.routes();
  for (const destination of destinations)
    if (!all.some((route) => route.destination.equals(destination)))
      wrong.push(`the container has no route to ${destination}, which prevResult has`);
  return wrong;
}
