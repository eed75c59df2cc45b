import type { EndpointSlice, Service } from '../kube/types.ts';
import { type Family, IpAddr } from '../net/ip.ts';

/** The class by which Services ask for addresses that podnet announces (SA11); those without a class get them too. */
export const loadBalancerClass = 'podnet/load-balancer';

/** On a node: it takes no traffic of load balancers (k8s.io/cloud-provider). */
export const excludeLabel = 'node.kubernetes.io/exclude-from-external-load-balancers';

/** What is to be announced for a Service. */
export interface Wanted {
  addresses: readonly IpAddr[];
  /** externalTrafficPolicy Local: only nodes with endpoints of their own take traffic. */
  local: boolean;
}

/**
 * The addresses of a load balancer that nodes take for their own on the wire (SA11, SA13).
 * @returns undefined when there is nothing to announce; addresses in mode Proxy are another machine's
 */
export function wantedOf({ spec, status }: Service): Wanted | undefined {
  if (spec?.type !== 'LoadBalancer') return undefined;
  if (spec.loadBalancerClass !== undefined && spec.loadBalancerClass !== loadBalancerClass) return undefined;
  const addresses = (status?.loadBalancer?.ingress ?? []).flatMap(({ ip, ipMode = 'VIP' }) => {
    const address = ip && ipMode === 'VIP' ? IpAddr.tryParse(ip) : undefined;
    return address && !address.isLoopback && !address.isMulticast && !address.isUnspecified && !address.isLinkLocal
      ? address
      : [];
  });
  return addresses.length > 0 ? { addresses, local: spec.externalTrafficPolicy === 'Local' } : undefined;
}

const addressTypes: Readonly<Record<Family, string>> = { ipv4: 'IPv4', ipv6: 'IPv6' };

/** Nodes with endpoints of a family that traffic is sent to (SD5): ready ones; when there are none anywhere, those that still serve while they end. */
export function nodesWithEndpoints(slices: readonly EndpointSlice[], family: Family): Set<string> {
  const ready = new Set<string>();
  const draining = new Set<string>();
  for (const { addressType, endpoints } of slices) {
    if (addressType !== addressTypes[family]) continue;
    for (const { nodeName, conditions } of endpoints ?? []) {
      if (nodeName === undefined) continue;
      const { ready: isReady = true, serving = true, terminating = false } = conditions ?? {};
      if (isReady) ready.add(nodeName);
      else if (serving && terminating) draining.add(nodeName);
    }
  }
  return ready.size > 0 ? ready : draining;
}
