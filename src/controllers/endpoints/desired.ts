import { isDeleting, isPodFinished, isPodReady, podIps } from '../../kube/objects.ts';
import type { Endpoint, EndpointSlicePort, Node, Pod, Service } from '../../kube/types.ts';
import { IpAddr } from '../../net/ip.ts';
import { portsKey, portsOf } from './ports.ts';

export const zoneLabel = 'topology.kubernetes.io/zone';

/** Endpoints that share address type and ports, and so may share slices. */
export interface EndpointGroup {
  addressType: 'IPv4' | 'IPv6' | 'FQDN';
  ports: EndpointSlicePort[];
  endpoints: Endpoint[];
}

export type AddressType = 'IPv4' | 'IPv6';

/** The families of a Service's slices; a Service older than ipFamilies has that of its cluster address. */
export function addressTypesOf(service: Service): AddressType[] {
  const { ipFamilies, clusterIP } = service.spec ?? {};
  const given = (ipFamilies ?? []).filter((family): family is AddressType => family === 'IPv4' || family === 'IPv6');
  if (given.length > 0) return given;
  return [clusterIP?.includes(':') ? 'IPv6' : 'IPv4'];
}

/** One pod as an endpoint of one family (ES2, ES3, ES10). Absent when it has no address of the family. */
function endpointOf(service: Service, pod: Pod, node: Node | undefined, addressType: AddressType): Endpoint | undefined {
  const address = podIps(pod)
    .map((text) => IpAddr.tryParse(text))
    .find((ip) => ip && (ip.family === 'ipv4') === (addressType === 'IPv4'));
  if (!address) return undefined;
  const serving = isPodReady(pod);
  const terminating = isDeleting(pod);
  const ready = Boolean(service.spec?.publishNotReadyAddresses) || (serving && !terminating);
  const { nodeName, hostname, subdomain } = pod.spec ?? {};
  const { name, namespace, uid } = pod.metadata;
  const zone = node?.metadata.labels?.[zoneLabel];
  const hints = ready ? hintsOf(service, nodeName, zone) : undefined;
  return {
    addresses: [address.toString()],
    conditions: { ready, serving, terminating },
    ...(hostname && subdomain === service.metadata.name ? { hostname } : {}),
    ...(nodeName ? { nodeName } : {}),
    ...(zone ? { zone } : {}),
    ...(hints ? { hints } : {}),
    targetRef: { kind: 'Pod', name, namespace, uid },
  };
}

/** SA16: who asks for zones by weight (which podnet does not compute) does not get the other kind instead. */
const topologyMode = (service: Service): string | undefined =>
  service.metadata.annotations?.['service.kubernetes.io/topology-mode'] ??
  service.metadata.annotations?.['service.kubernetes.io/topology-aware-hints'];

function hintsOf(service: Service, nodeName: string | undefined, zone: string | undefined): Endpoint['hints'] {
  if (topologyMode(service)?.toLowerCase() === 'auto') return undefined;
  const wanted = service.spec?.trafficDistribution;
  const forZones = zone ? { forZones: [{ name: zone }] } : undefined;
  if (wanted === 'PreferSameNode' && nodeName) return { ...forZones, forNodes: [{ name: nodeName }] };
  return wanted === 'PreferClose' || wanted === 'PreferSameZone' ? forZones : undefined;
}

export interface Desired {
  groups: EndpointGroup[];
  /** Pods whose node is not known (yet): the Service must be looked at again. */
  missingNodes: boolean;
}

/** What the slices of a Service should hold, given the pods that its selector matches. */
export function desiredEndpoints(service: Service, pods: readonly Pod[], node: (name: string) => Node | undefined): Desired {
  const groups = new Map<string, EndpointGroup>();
  let missingNodes = false;
  for (const pod of [...pods].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))) {
    if (isPodFinished(pod) || podIps(pod).length === 0) continue;
    const { nodeName = '' } = pod.spec ?? {};
    const itsNode = node(nodeName);
    if (!itsNode && nodeName !== '' && !service.spec?.publishNotReadyAddresses) {
      missingNodes = true;
      continue;
    }
    const ports = portsOf(service, pod);
    for (const addressType of addressTypesOf(service)) {
      const endpoint = endpointOf(service, pod, itsNode, addressType);
      if (!endpoint) continue;
      const id = `${addressType} ${portsKey(ports)}`;
      const group = groups.get(id) ?? { addressType, ports, endpoints: [] };
      groups.set(id, group);
      group.endpoints.push(endpoint);
    }
  }
  // ES5: a family without any endpoint has one empty slice without ports.
  for (const addressType of addressTypesOf(service)) {
    if (![...groups.values()].some((group) => group.addressType === addressType))
      groups.set(addressType, { addressType, ports: [], endpoints: [] });
  }
  return { groups: [...groups.values()], missingNodes };
}
