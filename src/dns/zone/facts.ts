import type { EndpointSlice, Namespace, Pod, PodSpec, Service } from '../../kube/types.ts';

/** What DNS needs of each object; everything else is dropped while it is parsed, so that 100,000 endpoints fit. */

export interface PortFacts {
  name?: string;
  /** `tcp`, `udp`, `sctp` */
  protocol: string;
  port?: number;
}

export interface ServiceFacts {
  namespace: string;
  name: string;
  kind: 'cluster' | 'headless' | 'external';
  clusterIps: readonly string[];
  externalName?: string;
  ports: readonly PortFacts[];
}

export interface SliceFacts {
  namespace: string;
  /** Name of the Service, from the label. */
  service: string;
  isFqdn: boolean;
  ports: readonly PortFacts[];
  /** Only ready ones; see `endpointsOf`. One string takes a tenth of the memory: most slices are of Services with a ClusterIP, and are never looked at. */
  endpoints: string;
}

export interface EndpointFacts {
  hostname: string | undefined;
  addresses: readonly string[];
}

export interface PodFacts {
  namespace: string;
  name: string;
  ips: readonly string[];
  nodeName?: string;
  /** It has its node's addresses: they do not tell which pod asks. */
  hostNetwork: boolean;
  /** What decides about its resolv.conf, where that is not as usual (R1-R6). */
  dns?: Pick<PodSpec, 'dnsPolicy' | 'dnsConfig'>;
}

export interface NamespaceFacts {
  name: string;
}

const portOf = (port: { name?: string; protocol?: string; port?: number }): PortFacts => ({
  name: port.name,
  protocol: (port.protocol ?? 'TCP').toLowerCase(),
  port: port.port,
});

export function serviceFacts({ metadata, spec = {} }: Service): ServiceFacts {
  const ips = spec.clusterIPs ?? (spec.clusterIP ? [spec.clusterIP] : []);
  const external = spec.type === 'ExternalName';
  const kind = external ? 'external' : spec.clusterIP === 'None' || ips[0] === 'None' ? 'headless' : 'cluster';
  return {
    ...{ namespace: metadata.namespace ?? '', name: metadata.name, kind },
    // An address that is not handed out yet ("") is none.
    clusterIps: kind === 'cluster' ? ips.filter(Boolean) : [],
    externalName: external ? spec.externalName : undefined,
    ports: kind === 'cluster' ? (spec.ports ?? []).map(portOf) : [],
  };
}

export const serviceNameLabel = 'kubernetes.io/service-name';

/**
 * Not ready is not there (D10, D22): also terminating endpoints, unless the Service publishes them, which makes them ready.
 * @param podNames in place of a hostname that is not set
 */
export function sliceFacts({ metadata, addressType, ports, endpoints }: EndpointSlice, podNames = false): SliceFacts {
  return {
    namespace: metadata.namespace ?? '',
    service: metadata.labels?.[serviceNameLabel] ?? '',
    isFqdn: addressType === 'FQDN',
    ports: (ports ?? []).map(portOf),
    endpoints: flat(
      (endpoints ?? [])
        // A missing condition counts as ready.
        .filter(({ conditions }) => conditions?.ready !== false)
        .map(({ addresses, hostname, targetRef }) => [(labelOf(hostname) || (podNames ? labelOf(targetRef?.name) : '')).toLowerCase(), ...addresses].join(' '))
        .join('\n'),
    ),
  };
}

/** One that is no label names no endpoint. */
const labelOf = (name = ''): string => (name.length > 63 || name.includes('.') ? '' : name);

/** Neither addresses nor hostnames have blanks in them: the API allows none. */
export const endpointsOf = (slice: SliceFacts): EndpointFacts[] => linesOf(slice).map(endpointOf);

/** Endpoints as text, to be compared. */
export const linesOf = ({ endpoints }: SliceFacts): string[] => (endpoints === '' ? [] : endpoints.split('\n'));

export function endpointOf(line: string): EndpointFacts {
  const [hostname, ...addresses] = line.split(' ');
  return { hostname: hostname || undefined, addresses };
}

/** Without the parts that it was made of, which V8 keeps otherwise. */
const flat = (text: string): string => Buffer.from(text, 'latin1').toString('latin1');

export function podFacts({ metadata, spec, status }: Pod): PodFacts {
  const gone = metadata.deletionTimestamp !== undefined || status?.phase === 'Succeeded' || status?.phase === 'Failed';
  const ips = status?.podIPs?.map(({ ip }) => ip) ?? (status?.podIP ? [status.podIP] : []);
  const { dnsPolicy = 'ClusterFirst', dnsConfig, nodeName, hostNetwork = false } = spec ?? {};
  return {
    ...{ namespace: metadata.namespace ?? '', name: metadata.name, ips: gone ? [] : ips, nodeName, hostNetwork },
    ...(dnsPolicy === 'ClusterFirst' && !dnsConfig ? {} : { dns: { dnsPolicy, dnsConfig } }),
  };
}

export const namespaceFacts = ({ metadata }: Namespace): NamespaceFacts => ({ name: metadata.name });

/** To be raised when what stands above is given another shape or meaning: processes leave facts to each other, also to those of another version. */
export const factsVersion = 2;
