import type {
  EndpointSlice,
  Endpoints,
  Ingress,
  IngressClass,
  IPAddress,
  NetworkPolicy,
  Service,
  ServiceCIDR,
} from '../../kube/types.ts';
import { ageColumn, firstThree, labelsText, list, none, printer, selectorText, text, wideText } from './columns.ts';

interface LoadBalancerStatus {
  ingress?: { ip?: string; hostname?: string }[];
}

const loadBalancerText = (status: LoadBalancerStatus | undefined): string =>
  [...new Set((status?.ingress ?? []).map(({ ip, hostname }) => ip || hostname || ''))].filter(Boolean).sort().join(',');

function externalIp({ spec, status }: Service): string {
  if (spec?.type === 'ExternalName') return spec.externalName ?? '';
  const external = spec?.externalIPs ?? [];
  if (spec?.type !== 'LoadBalancer') return list(external);
  const balanced = loadBalancerText(status?.loadBalancer);
  return [balanced, ...external].filter(Boolean).join(',') || '<pending>';
}

export const services = printer<Service>([
  text('Type', ({ spec }) => spec?.type ?? ''),
  text('Cluster-IP', ({ spec }) => spec?.clusterIPs?.[0] || spec?.clusterIP || none),
  text('External-IP', externalIp),
  text('Port(s)', ({ spec }) =>
    list(spec?.ports?.map(({ port, nodePort, protocol }) => `${port}${nodePort ? `:${nodePort}` : ''}/${protocol}`)),
  ),
  ageColumn(),
  wideText('Selector', ({ spec }) => labelsText(spec?.selector)),
]);

const hostPort = (ip: string, port: number): string => (ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`);

export const endpoints = printer<Endpoints>([
  text('Endpoints', ({ subsets }) =>
    firstThree(
      (subsets ?? []).flatMap(({ addresses = [], ports = [] }) =>
        ports.length === 0
          ? addresses.map(({ ip }) => ip)
          : ports.flatMap(({ port }) => addresses.map(({ ip }) => hostPort(ip, port))),
      ),
      none,
    ),
  ),
  ageColumn(),
]);

export const endpointSlices = printer<EndpointSlice>([
  text('AddressType', ({ addressType }) => addressType),
  text('Ports', ({ ports }) =>
    firstThree(
      (ports ?? []).map(({ port }) => String(port ?? '*')),
      '<unset>',
    ),
  ),
  text('Endpoints', (slice) =>
    firstThree(
      (slice.endpoints ?? []).flatMap(({ addresses }) => addresses ?? []),
      '<unset>',
    ),
  ),
  ageColumn(),
]);

export const networkPolicies = printer<NetworkPolicy>([
  text('Pod-Selector', ({ spec }) => selectorText(spec?.podSelector)),
  ageColumn(),
]);

export const ingresses = printer<Ingress>([
  text('Class', ({ spec }) => spec?.ingressClassName || none),
  text('Hosts', ({ spec }) =>
    firstThree(
      (spec?.rules ?? []).map(({ host }) => host || '*'),
      '*',
    ),
  ),
  text('Address', ({ status }) => loadBalancerText(status?.loadBalancer)),
  text('Ports', ({ spec }) => (spec?.tls?.length ? '80, 443' : '80')),
  ageColumn(),
]);

export const ingressClasses = printer<IngressClass>([
  text('Controller', ({ spec }) => spec?.controller ?? ''),
  text('Parameters', ({ spec }) => {
    const parameters = spec?.parameters;
    return parameters ? `${parameters.kind}${parameters.apiGroup ? `.${parameters.apiGroup}` : ''}/${parameters.name}` : none;
  }),
  ageColumn(),
]);

export const serviceCidrs = printer<ServiceCIDR>([text('CIDRs', ({ spec }) => list(spec?.cidrs, '')), ageColumn()]);

export const ipAddresses = printer<IPAddress>([
  text('ParentRef', ({ spec }) => {
    const ref = spec?.parentRef;
    if (!ref) return none;
    const resource = ref.group ? `${ref.resource}.${ref.group}` : ref.resource;
    return `${resource}/${ref.namespace ? `${ref.namespace}/` : ''}${ref.name}`;
  }),
  ageColumn(),
]);
