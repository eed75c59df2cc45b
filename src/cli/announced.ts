import { wantedOf } from '../announce/index.ts';
import { key } from '../kube/objects.ts';
import type { Service } from '../kube/types.ts';

/** An address of a load balancer, and which nodes answer ARP and Neighbour Discovery for it. */
export interface AnnouncedAddress {
  address: string;
  /** `default/web` */
  service: string;
  /** One, but for the moment in which it moves. */
  by: string[];
  /** Why nobody does. */
  why?: string;
}

/** Addresses that podnet is to announce, in the order of their Services. @param nodes with the addresses that each of them announces */
export function announcedAddresses(
  services: readonly Service[],
  nodes: readonly { name: string; announced: readonly string[] }[],
): AnnouncedAddress[] {
  return services.flatMap((service) => {
    const wanted = wantedOf(service);
    return (wanted?.addresses ?? []).map((ip): AnnouncedAddress => {
      const address = String(ip);
      const by = nodes.filter(({ announced }) => announced.includes(address)).map(({ name }) => name);
      const what = wanted!.local ? 'no Ready node on its link has an endpoint (externalTrafficPolicy Local)' : 'no Ready node is on its link';
      return { address, service: key(service), by, ...(by.length === 0 ? { why: what } : {}) };
    });
  });
}
