import { jsonEqual } from '../../../kube/objects.ts';
import type { Service, ServiceSpec } from '../../../kube/types.ts';

export const isHeadless = (spec: ServiceSpec): boolean => spec.clusterIP === 'None' || spec.clusterIPs?.[0] === 'None';
export const needsClusterIp = (spec: ServiceSpec): boolean => spec.type !== 'ExternalName';
export const allowsNodePorts = (spec: ServiceSpec): boolean => spec.type === 'NodePort' || spec.type === 'LoadBalancer';
/** SA10: a load balancer may do without node ports. */
export const wantsNodePorts = (spec: ServiceSpec): boolean =>
  spec.type === 'NodePort' || (spec.type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts !== false);
export const needsHealthCheckPort = (spec: ServiceSpec): boolean =>
  spec.type === 'LoadBalancer' && spec.externalTrafficPolicy === 'Local';
/** SA8 */
export const isExternallyAccessible = (spec: ServiceSpec): boolean =>
  allowsNodePorts(spec) || (spec.type === 'ClusterIP' && (spec.externalIPs?.length ?? 0) > 0);

export function defaultService({ spec, status }: Service): void {
  if (!spec) return;
  // SA13
  if (spec.type === 'LoadBalancer')
    for (const ingress of status?.loadBalancer?.ingress ?? []) if (ingress.ip) ingress.ipMode ??= 'VIP';
  spec.sessionAffinity ||= 'None';
  if (spec.sessionAffinity === 'None') delete spec.sessionAffinityConfig;
  if (spec.sessionAffinity === 'ClientIP') {
    spec.sessionAffinityConfig ??= {};
    spec.sessionAffinityConfig.clientIP ??= {};
    spec.sessionAffinityConfig.clientIP.timeoutSeconds ??= 10800;
  }
  spec.type ||= 'ClusterIP';
  for (const port of spec.ports ?? []) {
    port.protocol ||= 'TCP';
    if (port.targetPort === undefined || port.targetPort === 0 || port.targetPort === '') port.targetPort = port.port;
  }
  if (isExternallyAccessible(spec)) spec.externalTrafficPolicy ||= 'Cluster';
  if (spec.type !== 'ExternalName') spec.internalTrafficPolicy ??= 'Cluster';
  if (spec.type === 'LoadBalancer') spec.allocateLoadBalancerNodePorts ??= true;
}

/** SA2: `clusterIP` and `clusterIPs[0]` are one; whoever writes only one of them means both. */
export function normalizeClusterIps(spec: ServiceSpec, old: ServiceSpec | undefined): void {
  if (!old) {
    if (spec.clusterIP && !spec.clusterIPs?.length) spec.clusterIPs = [spec.clusterIP];
    return;
  }
  if (spec.clusterIP === old.clusterIP) return;
  const same = jsonEqual(spec.clusterIPs, old.clusterIPs);
  if (!spec.clusterIP && same) delete spec.clusterIPs;
  else if (spec.clusterIP && !old.clusterIP && !spec.clusterIPs?.length) spec.clusterIPs = [spec.clusterIP];
  else if (spec.clusterIP && same && spec.clusterIPs?.length) spec.clusterIPs = [spec.clusterIP, ...spec.clusterIPs.slice(1)];
}

/** What was allocated and the writer left out (`kubectl replace` does) stays. */
export function keepAllocated(spec: ServiceSpec, old: ServiceSpec): void {
  if (needsClusterIp(spec) && needsClusterIp(old)) {
    if (!spec.clusterIP && old.clusterIP) spec.clusterIP = old.clusterIP;
    if (!spec.clusterIPs?.length && spec.clusterIP === old.clusterIP && old.clusterIPs) spec.clusterIPs = [...old.clusterIPs];
  }
  if (allowsNodePorts(spec) && allowsNodePorts(old)) {
    const before = new Map((old.ports ?? []).map((port) => [`${port.protocol}/${port.port}`, port.nodePort]));
    const taken = new Set((spec.ports ?? []).map(({ nodePort }) => nodePort));
    for (const port of spec.ports ?? []) {
      const kept = before.get(`${port.protocol}/${port.port}`);
      if (!port.nodePort && kept && !taken.has(kept)) port.nodePort = kept;
    }
  }
  if (needsHealthCheckPort(spec) && needsHealthCheckPort(old) && !spec.healthCheckNodePort && old.healthCheckNodePort)
    spec.healthCheckNodePort = old.healthCheckNodePort;
}

/** Values of the old type that the new type cannot have, and that the writer did not touch, go with the old type. */
export function dropTypeDependent(spec: ServiceSpec, old: ServiceSpec): void {
  const drop = (name: keyof ServiceSpec, needed: (of: ServiceSpec) => boolean): void => {
    if (needed(old) && !needed(spec) && jsonEqual(spec[name], old[name])) delete spec[name];
  };
  drop('clusterIP', needsClusterIp);
  drop('clusterIPs', needsClusterIp);
  drop('ipFamilies', needsClusterIp);
  drop('ipFamilyPolicy', needsClusterIp);
  drop('internalTrafficPolicy', needsClusterIp);
  drop('healthCheckNodePort', needsHealthCheckPort);
  drop('externalTrafficPolicy', isExternallyAccessible);
  const balanced = (of: ServiceSpec): boolean => of.type === 'LoadBalancer';
  drop('allocateLoadBalancerNodePorts', balanced);
  drop('loadBalancerClass', balanced);
  if (allowsNodePorts(old) && !allowsNodePorts(spec)) {
    const before = new Set((old.ports ?? []).map(({ nodePort }) => nodePort).filter(Boolean));
    const ports = (spec.ports ?? []).filter(({ nodePort }) => nodePort);
    if (ports.every(({ nodePort }) => before.has(nodePort))) for (const port of ports) delete port.nodePort;
  }
}
