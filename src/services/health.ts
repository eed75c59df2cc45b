import type { Service } from '../kube/types.ts';
import type { Family } from '../net/ip.ts';
import type { Backend } from './endpoints.ts';
import type { ServicePortView } from './service.ts';

/** What a load balancer asks the node about a Service with externalTrafficPolicy Local (SD26). */
export interface ServiceHealth {
  namespace: string;
  name: string;
  /** spec.healthCheckNodePort */
  port: number;
  /** Ready endpoints on this node; those that end do not count. */
  localEndpoints: Readonly<Partial<Record<Family, number>>>;
}

/** @param ports of the Service with all their endpoints */
export function healthOf(
  { metadata, spec }: Service,
  ports: readonly { port: ServicePortView; backends: readonly Backend[] }[],
): ServiceHealth | undefined {
  const { type, externalTrafficPolicy, healthCheckNodePort } = spec ?? {};
  if (type !== 'LoadBalancer' || externalTrafficPolicy !== 'Local' || !healthCheckNodePort) return undefined;
  const addresses: Partial<Record<Family, Set<string>>> = {};
  for (const { port, backends } of ports) {
    const ofFamily = (addresses[port.family] ??= new Set());
    for (const { ready, isLocal, address } of backends) if (ready && isLocal) ofFamily.add(`${address}`);
  }
  return {
    ...{ namespace: metadata.namespace ?? 'default', name: metadata.name ?? '', port: healthCheckNodePort },
    localEndpoints: Object.fromEntries(Object.entries(addresses).map(([family, set]) => [family, set.size])),
  };
}
