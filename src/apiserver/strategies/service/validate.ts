import type { Service, ServicePort, ServiceSpec } from '../../../kube/types.ts';
import { IpAddr } from '../../../net/ip.ts';
import type { FieldErrors } from '../../validation/field-errors.ts';
import { validateCidr, validateIp, validateNonSpecialIp } from '../../validation/ip.ts';
import { validateLabels } from '../../validation/metadata.ts';
import { inRange, isDns1123Label, isDns1123Subdomain, isPort, isPortName, isQualifiedName } from '../../validation/names.ts';
import { isExternallyAccessible, isHeadless, needsClusterIp, needsHealthCheckPort } from './fields.ts';

const types = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'];
const protocols = ['SCTP', 'TCP', 'UDP'];

/** SA1-SA17, with the paths and words of pkg/apis/core/validation. */
export function validateService(service: Service, errors: FieldErrors): void {
  const spec = service.spec ?? {};
  const { ports = [] } = spec;
  validateTopologyAnnotations(service, errors);
  if (ports.length === 0 && !isHeadless(spec) && spec.type !== 'ExternalName') errors.required('spec.ports');
  if (spec.type === 'LoadBalancer' && isHeadless(spec))
    errors.invalid('spec.clusterIPs[0]', 'None', "may not be set to 'None' for LoadBalancer services");
  if (spec.type === 'NodePort' && isHeadless(spec))
    errors.invalid('spec.clusterIPs[0]', 'None', "may not be set to 'None' for NodePort services");
  if (spec.type === 'ExternalName') validateExternalName(spec, errors);
  if (!types.includes(spec.type ?? '')) errors.notSupported('spec.type', spec.type ?? '', types);
  validatePorts(spec, errors);
  validateLabels(spec.selector, 'spec.selector', errors);
  if (spec.sessionAffinity !== 'None' && spec.sessionAffinity !== 'ClientIP')
    errors.notSupported('spec.sessionAffinity', spec.sessionAffinity ?? '', ['ClientIP', 'None']);
  if (spec.sessionAffinity === 'ClientIP') {
    const seconds = spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? 0;
    if (seconds < 1 || seconds > 86400)
      errors.invalid(
        'spec.sessionAffinityConfig.clientIP.timeoutSeconds',
        seconds,
        'must be greater than 0 and less than or equal to 86400',
      );
  }
  validateAddresses(spec, errors);
  validateSourceRanges(service, errors);
  validatePolicies(spec, errors);
}

const topologyMode = 'service.kubernetes.io/topology-mode';
const topologyAwareHints = 'service.kubernetes.io/topology-aware-hints';

/** The second is the first one's older name. */
function validateTopologyAnnotations({ metadata: { annotations = {} } }: Service, errors: FieldErrors): void {
  const [mode, hints] = [annotations[topologyMode], annotations[topologyAwareHints]];
  if (mode !== undefined && hints !== undefined && mode !== hints)
    errors.invalid(`metadata.annotations[${topologyMode}]`, mode, `must match annotations[${topologyAwareHints}] when both are specified`);
}

function validateExternalName(spec: ServiceSpec, errors: FieldErrors): void {
  if (spec.clusterIP) errors.forbidden('spec.clusterIPs', 'may not be set for ExternalName services');
  if (spec.externalName)
    for (const fault of isDns1123Subdomain(spec.externalName.replace(/\.$/, '')))
      errors.invalid('spec.externalName', spec.externalName, fault);
  else errors.required('spec.externalName');
  if (spec.ipFamilies?.length) errors.forbidden('spec.ipFamilies', 'may not be set for ExternalName services');
  if (spec.ipFamilyPolicy) errors.forbidden('spec.ipFamilyPolicy', 'may not be set for ExternalName services');
}

function validatePorts(spec: ServiceSpec, errors: FieldErrors): void {
  const { ports = [] } = spec;
  const names = new Set<string>();
  const keys = new Set<string>();
  const nodePorts = new Set<string>();
  ports.forEach((port, at) => {
    const path = `spec.ports[${at}]`;
    validatePort(port, path, ports.length > 1, errors);
    if (port.name && names.has(port.name)) errors.duplicate(`${path}.name`, port.name);
    if (port.name) names.add(port.name);
    const key = `${port.protocol}/${port.port}`;
    if (keys.has(key)) errors.duplicate(path, { port: port.port, protocol: port.protocol });
    keys.add(key);
    if (!port.nodePort) return;
    if (spec.type === 'ClusterIP') errors.forbidden(`${path}.nodePort`, "may not be used when `type` is 'ClusterIP'");
    const nodeKey = `${port.protocol}/${port.nodePort}`;
    if (nodePorts.has(nodeKey)) errors.duplicate(`${path}.nodePort`, port.nodePort);
    nodePorts.add(nodeKey);
  });
}

function validatePort(port: ServicePort, path: string, named: boolean, errors: FieldErrors): void {
  if (named && !port.name) errors.required(`${path}.name`);
  else if (port.name) for (const fault of isDns1123Label(port.name)) errors.invalid(`${path}.name`, port.name, fault);
  for (const fault of isPort(port.port ?? 0)) errors.invalid(`${path}.port`, port.port ?? 0, fault);
  if (!protocols.includes(port.protocol ?? '')) errors.notSupported(`${path}.protocol`, port.protocol ?? '', protocols);
  const target = port.targetPort;
  const faults = typeof target === 'number' ? isPort(target) : isPortName(String(target ?? ''));
  for (const fault of faults) errors.invalid(`${path}.targetPort`, target, fault);
  if (port.appProtocol)
    for (const fault of isQualifiedName(port.appProtocol)) errors.invalid(`${path}.appProtocol`, port.appProtocol, fault);
}

function validateAddresses(spec: ServiceSpec, errors: FieldErrors): void {
  const { clusterIPs = [], ipFamilies = [] } = spec;
  if (needsClusterIp(spec)) {
    if (spec.clusterIP && clusterIPs.length === 0) errors.required('spec.clusterIPs');
    if (clusterIPs.length > 0 && spec.clusterIP !== clusterIPs[0])
      errors.invalid('spec.clusterIP', spec.clusterIP ?? '', 'must be the same as the first value of `clusterIPs`');
    if (clusterIPs.length > 2) errors.invalid('spec.clusterIPs', clusterIPs, 'may only hold up to 2 values');
    clusterIPs.forEach((ip, at) => {
      if (ip === 'None') {
        if (clusterIPs.length > 1) errors.invalid(`spec.clusterIPs[${at}]`, ip, "must be empty or the only value when 'None'");
      } else validateIp(ip, `spec.clusterIPs[${at}]`, errors);
    });
    ipFamilies.forEach((family, at) => {
      if (family !== 'IPv4' && family !== 'IPv6') errors.notSupported(`spec.ipFamilies[${at}]`, family, ['IPv4', 'IPv6']);
      else if (ipFamilies.indexOf(family) !== at) errors.duplicate(`spec.ipFamilies[${at}]`, family);
    });
    if (spec.ipFamilyPolicy && !['SingleStack', 'PreferDualStack', 'RequireDualStack'].includes(spec.ipFamilyPolicy))
      errors.notSupported('spec.ipFamilyPolicy', spec.ipFamilyPolicy, ['SingleStack', 'PreferDualStack', 'RequireDualStack']);
  }
  spec.externalIPs?.forEach((text, at) => {
    const ip = validateIp(text, `spec.externalIPs[${at}]`, errors);
    if (ip) validateNonSpecialIp(ip, text, `spec.externalIPs[${at}]`, errors);
  });
}

const sourceRangesAnnotation = 'service.beta.kubernetes.io/load-balancer-source-ranges';

/** SA12: by the field, or where that is absent by the annotation that was there before it. */
function validateSourceRanges({ metadata, spec }: Service, errors: FieldErrors): void {
  const onlyBalancers = "may only be used when `type` is 'LoadBalancer'";
  const annotated = metadata.annotations?.[sourceRangesAnnotation];
  if (spec?.loadBalancerSourceRanges?.length) {
    // kube-apiserver writes it with a capital letter.
    const path = 'spec.LoadBalancerSourceRanges';
    if (spec.type !== 'LoadBalancer') errors.forbidden(path, onlyBalancers);
    spec.loadBalancerSourceRanges.forEach((cidr, at) => void validateCidr(cidr.trim(), `${path}[${at}]`, errors));
  } else if (annotated !== undefined) {
    const path = `metadata.annotations[${sourceRangesAnnotation}]`;
    if (spec?.type !== 'LoadBalancer') errors.forbidden(path, onlyBalancers);
    if (annotated.trim() !== '') for (const text of annotated.split(',')) validateCidr(text.trim(), path, errors);
  }
}

function validatePolicies(spec: ServiceSpec, errors: FieldErrors): void {
  const external = spec.externalTrafficPolicy;
  if (external) {
    if (!isExternallyAccessible(spec))
      errors.invalid('spec.externalTrafficPolicy', external, 'may only be set for externally-accessible services');
    if (external !== 'Cluster' && external !== 'Local')
      errors.notSupported('spec.externalTrafficPolicy', external, ['Cluster', 'Local']);
  } else if (isExternallyAccessible(spec))
    errors.required('spec.externalTrafficPolicy', 'required for externally-accessible services');
  if (spec.healthCheckNodePort) {
    if (spec.healthCheckNodePort < 0 || spec.healthCheckNodePort > 65535)
      errors.invalid('spec.healthCheckNodePort', spec.healthCheckNodePort, inRange(1, 65535));
    if (!needsHealthCheckPort(spec))
      errors.invalid(
        'spec.healthCheckNodePort',
        spec.healthCheckNodePort,
        "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
      );
  }
  const internal = spec.internalTrafficPolicy;
  if (internal && internal !== 'Cluster' && internal !== 'Local')
    errors.notSupported('spec.internalTrafficPolicy', internal, ['Cluster', 'Local']);
  if (spec.type !== 'LoadBalancer') {
    if (spec.allocateLoadBalancerNodePorts !== undefined)
      errors.forbidden('spec.allocateLoadBalancerNodePorts', "may only be used when `type` is 'LoadBalancer'");
    if (spec.loadBalancerClass !== undefined)
      errors.forbidden('spec.loadBalancerClass', "may only be used when `type` is 'LoadBalancer'");
  } else if (spec.loadBalancerClass !== undefined)
    for (const fault of isQualifiedName(spec.loadBalancerClass))
      errors.invalid('spec.loadBalancerClass', spec.loadBalancerClass, fault);
  const distribution = spec.trafficDistribution;
  const distributions = ['PreferClose', 'PreferSameZone', 'PreferSameNode'];
  if (distribution !== undefined && !distributions.includes(distribution))
    errors.notSupported('spec.trafficDistribution', distribution, distributions);
}

export function validateServiceUpdate(service: Service, old: Service, errors: FieldErrors): void {
  const [spec, before] = [service.spec ?? {}, old.spec ?? {}];
  const immutable = 'field is immutable';
  if (needsClusterIp(spec) && needsClusterIp(before)) {
    const [a, b] = [spec.clusterIPs ?? [], before.clusterIPs ?? []];
    // The primary address stays; the second may come or go (SA2, SA6).
    if (b[0] && a[0] !== b[0]) errors.invalid('spec.clusterIPs[0]', a, 'may not change once set');
    if (b[1] && a[1] && a[1] !== b[1]) errors.invalid('spec.clusterIPs[1]', a, 'may not change once set');
    const [families, had] = [spec.ipFamilies ?? [], before.ipFamilies ?? []];
    if (had[0] && families[0] && families[0] !== had[0])
      errors.invalid('spec.ipFamilies[0]', families, 'may not change once set');
  }
  if (
    needsHealthCheckPort(spec) &&
    needsHealthCheckPort(before) &&
    before.healthCheckNodePort &&
    spec.healthCheckNodePort !== before.healthCheckNodePort
  )
    errors.forbidden('spec.healthCheckNodePort', immutable);
  if (spec.type === 'LoadBalancer' && before.type === 'LoadBalancer' && spec.loadBalancerClass !== before.loadBalancerClass)
    errors.invalid('spec.loadBalancerClass', spec.loadBalancerClass ?? null, 'may not change once set');
}

/** SA13, ValidateLoadBalancerStatus: only load balancers have addresses of one, and ipMode is said of an address. */
export function validateLoadBalancerStatus({ spec, status }: Service, errors: FieldErrors): void {
  const path = 'status.loadBalancer.ingress';
  const ingress = status?.loadBalancer?.ingress ?? [];
  if (ingress.length > 0 && spec?.type !== 'LoadBalancer') {
    errors.forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'");
    return;
  }
  ingress.forEach(({ ip, ipMode, hostname }, at) => {
    const here = `${path}[${at}]`;
    if (ip) validateIp(ip, `${here}.ip`, errors);
    if (ip && ipMode === undefined) errors.required(`${here}.ipMode`, 'must be specified when `ip` is set');
    else if (!ip && ipMode !== undefined) errors.forbidden(`${here}.ipMode`, 'may not be specified when `ip` is not set');
    else if (ipMode !== undefined && ipMode !== 'VIP' && ipMode !== 'Proxy')
      errors.notSupported(`${here}.ipMode`, ipMode, ['Proxy', 'VIP']);
    if (!hostname) return;
    for (const fault of isDns1123Subdomain(hostname)) errors.invalid(`${here}.hostname`, hostname, fault);
    if (IpAddr.tryParse(hostname)) errors.invalid(`${here}.hostname`, hostname, 'must be a DNS name, not an IP address');
  });
}
