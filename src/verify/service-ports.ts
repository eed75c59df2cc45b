import type { EndpointSlice, Service } from '../kube/types.ts';
import { type Family, IpAddr } from '../net/ip.ts';

export interface ServiceEndpoint {
  address: IpAddr;
  port: number;
  node: string | undefined;
  ready: boolean;
  /** Not ready any more, but serving while it ends: used when nobody is ready (KEP-1669). */
  lastResort: boolean;
  /** A topology hint says for whom it is. */
  hinted: boolean;
}

/** One port of a Service in one family, as the API has it. Read here afresh, not by the code that plans the data path: a proof does not ask the accused. */
export interface ServicePort {
  /** `default/frontend` */
  service: string;
  family: Family;
  protocol: 'tcp' | 'udp';
  address: IpAddr;
  port: number;
  nodePort: number | undefined;
  endpoints: readonly ServiceEndpoint[];
  internalLocal: boolean;
  externalLocal: boolean;
  /** sessionAffinity ClientIP: one client stays at one endpoint. */
  sticky: boolean;
}

/** What a connection to a Service must meet. */
export type Expected =
  /** Only these; each of them sooner or later when `all`. */
  | { kind: 'endpoints'; endpoints: readonly ServiceEndpoint[]; all: boolean }
  /** Nobody anywhere: refused at once. */
  | { kind: 'refused' }
  /** Somebody elsewhere, but the policy is Local: dropped, so that load balancers and clients go elsewhere. */
  | { kind: 'silent' };

export const serviceName = ({ metadata }: Service): string => `${metadata.namespace ?? 'default'}/${metadata.name}`;

/** Has records in the cluster's domain, addresses or endpoints'. */
export const isNamed = ({ spec }: Service): boolean => spec !== undefined && spec.type !== 'ExternalName';

/** The ClusterIPs; none of a headless Service. */
export function clusterIpsOf({ spec }: Service): IpAddr[] {
  const texts = spec?.clusterIPs?.length ? spec.clusterIPs : [spec?.clusterIP ?? ''];
  return texts.map((text) => IpAddr.tryParse(text)).filter((address) => address !== undefined);
}

export function slicesOf(service: Service, slices: readonly EndpointSlice[]): EndpointSlice[] {
  const { name, namespace = 'default' } = service.metadata;
  const isOf = ({ metadata }: EndpointSlice): boolean =>
    metadata.labels?.['kubernetes.io/service-name'] === name && (metadata.namespace ?? 'default') === namespace;
  return slices.filter(isOf);
}

const addressType = { ipv4: 'IPv4', ipv6: 'IPv6' } as const;

/** Addresses of a headless Service's ready endpoints. */
export function readyAddresses(slices: readonly EndpointSlice[], family: Family): IpAddr[] {
  const texts = slices
    .filter((slice) => slice.addressType === addressType[family])
    .flatMap((slice) => (slice.endpoints ?? []).filter(({ conditions }) => conditions?.ready ?? true))
    .flatMap(({ addresses }) => addresses);
  return [...new Set(texts)].map(IpAddr.parse);
}

/** The ports that the data path serves: not of headless Services, nor of those that another proxy takes. */
export function portsOf(service: Service, slices: readonly EndpointSlice[], family: Family): ServicePort[] {
  const { spec, metadata } = service;
  const address = clusterIpsOf(service).find((ip) => ip.family === family);
  if (!spec || !address || !isNamed(service) || metadata.labels?.['service.kubernetes.io/service-proxy-name'] !== undefined)
    return [];
  const exposed = spec.type === 'NodePort' || spec.type === 'LoadBalancer';
  return (spec.ports ?? []).flatMap((port): ServicePort[] => {
    const protocol = (port.protocol ?? 'TCP').toLowerCase();
    if (protocol !== 'tcp' && protocol !== 'udp') return [];
    return [
      {
        ...{ service: serviceName(service), family, protocol, address, port: port.port },
        nodePort: exposed ? port.nodePort || undefined : undefined,
        endpoints: endpointsOf(slices, port.name ?? '', protocol, family),
        internalLocal: spec.internalTrafficPolicy === 'Local',
        externalLocal: exposed && spec.externalTrafficPolicy === 'Local',
        sticky: spec.sessionAffinity === 'ClientIP',
      },
    ];
  });
}

function endpointsOf(slices: readonly EndpointSlice[], portName: string, protocol: string, family: Family): ServiceEndpoint[] {
  const found = new Map<string, ServiceEndpoint>();
  for (const slice of slices) {
    if (slice.addressType !== addressType[family]) continue;
    for (const { name, protocol: given, port } of slice.ports ?? []) {
      if ((name ?? '') !== portName || (given ?? 'TCP').toLowerCase() !== protocol || !port) continue;
      for (const { addresses, conditions, nodeName, hints } of slice.endpoints ?? []) {
        const address = IpAddr.tryParse(addresses[0] ?? '');
        if (!address) continue;
        const { ready = true, serving = true, terminating = false } = conditions ?? {};
        const hinted = (hints?.forZones?.length ?? 0) + (hints?.forNodes?.length ?? 0) > 0;
        const endpoint = { address, port, node: nodeName, ready, lastResort: serving && terminating, hinted };
        // Slices overlap while they are rewritten: the readiest counts.
        const other = found.get(endpointKey(endpoint));
        if (!other || (ready && !other.ready)) found.set(endpointKey(endpoint), endpoint);
      }
    }
  }
  return [...found.values()];
}

export const socketText = (address: IpAddr, port: number): string =>
  address.family === 'ipv4' ? `${address}:${port}` : `[${address}]:${port}`;

export const endpointKey = ({ address, port }: Pick<ServiceEndpoint, 'address' | 'port'>): string => socketText(address, port);

/** @param scope whether only endpoints on the node count */
export function expectedOn(node: string, { endpoints, sticky }: ServicePort, scope: 'cluster' | 'local'): Expected {
  const usable = (of: readonly ServiceEndpoint[]): ServiceEndpoint[] => {
    const ready = of.filter((endpoint) => endpoint.ready);
    return ready.length > 0 ? ready : of.filter((endpoint) => endpoint.lastResort);
  };
  const chosen = usable(scope === 'local' ? endpoints.filter((endpoint) => endpoint.node === node) : endpoints);
  const hinted = chosen.some((endpoint) => endpoint.hinted);
  if (chosen.length > 0) return { kind: 'endpoints', endpoints: chosen, all: !sticky && (scope === 'local' || !hinted) };
  return { kind: usable(endpoints).length > 0 ? 'silent' : 'refused' };
}
