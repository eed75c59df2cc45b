import { isExists, type KernelError } from '../kernel/errors.ts';
import { routeTable } from '../kernel/rtnetlink/routes.ts';
import type { RtNetlink } from '../kernel/rtnetlink/rtnetlink.ts';
import type { Rule } from '../kernel/rtnetlink/rules.ts';
import type { IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { throwFirst } from './errors.ts';
import type { AttachMode, LinkNode } from './mode.ts';
import type { PodLink } from './pod-link.ts';

/**
 * An interface of a container that has a default route already: the container was added to another network before, or to this one under another name, which the
 * specification allows. The former route stays what it is. What the container sends with this interface's address leaves by this interface, since no other
 * takes it (door):
 *
 *     32000: from 10.244.1.8 lookup 1886257155     default via 169.254.1.1 dev net1 table 1886257155
 *     default via 169.254.1.1 dev net1 metric 1027  for when the other is gone
 */
const rulePriority = 32_000;
/** "pn" in ASCII, and the ifindex */
const tableOf = (link: number): number => 0x706e_0000 + (link & 0xffff);
/** More than any family's own. */
const metricOf = (link: number): number => 1024 + link;

const ruleFor = (link: number, address: IpAddr): Rule => ({
  family: address.family,
  priority: rulePriority,
  from: Prefix.host(address),
  table: tableOf(link),
});

/** Whether all that failed is that somebody has a default route. @throws KernelError what failed else */
export function hasOtherDefault(errors: ReadonlyMap<number, KernelError>): boolean {
  throwFirst(new Map([...errors].filter(([, error]) => !isExists(error))));
  return errors.size > 0;
}

/** For each address whose default route is somebody else's. May be repeated. @param link ifindex in the pod */
export function configureFurther(rt: RtNetlink, link: number, pod: PodLink, mode: AttachMode, node: LinkNode): void {
  const own = rt
    .routes({ link, table: routeTable.main })
    .filter(({ destination, metric }) => destination.length === 0 && metric !== metricOf(link));
  const further = pod.addresses.filter(({ family }) => !own.some(({ destination }) => destination.family === family));
  // Of an interface that had this number before.
  const stale = further.flatMap(({ family }) => rt.rules(family)).filter(({ table }) => table === tableOf(link));
  const errors = rt.tryBatch((batch) => {
    for (const rule of stale) batch.deleteRule(rule);
    for (const address of further) {
      const route = { destination: Prefix.all(address.family), link, gateway: mode.gateway(address, node), onlink: true };
      batch.replaceRoute({ ...route, table: tableOf(link) });
      batch.replaceRoute({ ...route, metric: metricOf(link) });
      batch.addRule(ruleFor(link, address));
    }
  });
  throwFirst(errors);
}

/** What is missing of it, in words; nothing for an interface whose default route is the container's. */
export function checkFurther(rt: RtNetlink, link: number, { addresses }: PodLink): string[] {
  const routes = rt.routes({ link }).filter(({ destination }) => destination.length === 0);
  return addresses.flatMap((address) => {
    const ofFamily = routes.filter(({ destination }) => destination.family === address.family);
    const inMain = ofFamily.filter(({ table }) => table === routeTable.main);
    if (inMain.length === 0 || inMain.some(({ metric }) => metric !== metricOf(link))) return [];
    const { from, table } = ruleFor(link, address);
    const isAsked = rt.rules(address.family).some((rule) => rule.table === table && rule.from?.equals(from!));
    if (isAsked && ofFamily.some((route) => route.table === table)) return [];
    return [`packets from ${address} do not leave by its interface: no rule or route for them`];
  });
}
