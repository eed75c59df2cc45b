import type { EndpointSlice, Service } from '../kube/types.ts';

/** A cluster as large as is asked for: Services of one port, and so many endpoints behind each. */
export interface Size {
  services: number;
  /** Behind all Services together. */
  endpoints: number;
}

export const serviceCidr = '10.96.0.0/12';
export const clusterCidr = '10.128.0.0/9';
/** Of the node that is measured; no endpoint is in it. */
export const nodeCidr = '10.128.0.0/24';
export const servicePort = 80;
export const targetPort = 8080;
/** As the EndpointSlice controller makes them. */
const endpointsPerSlice = 100;

const text = (value: number): string => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
/** 10.96.1.0 and on: the addresses before it are a cluster's own. */
export const clusterIpOf = (service: number): string => text(0x0a600100 + service);
/** 10.129.0.0 and on, each once. */
export const endpointAddressOf = (endpoint: number): string => text(0x0a810000 + endpoint);

/** The n-th Service's share: the rest of the division goes to the first ones. */
export function endpointsOf({ services, endpoints }: Size, service: number): number {
  return Math.floor(endpoints / services) + (service < endpoints % services ? 1 : 0);
}

/** Where its addresses begin among all. */
export const firstEndpointOf = ({ services, endpoints }: Size, service: number): number =>
  service * Math.floor(endpoints / services) + Math.min(service, endpoints % services);

const created = '2026-01-01T00:00:00Z';
const uidOf = (kind: number, number: number): string =>
  `${kind.toString(16).padStart(8, '0')}-0000-4000-8000-${number.toString(16).padStart(12, '0')}`;
const namespaceOf = (service: number): string => `team-${service % 100}`;
export const nameOf = (service: number): string => `service-${service}`;

export function serviceOf(service: number, resourceVersion = 1): Service {
  const clusterIP = clusterIpOf(service);
  return {
    metadata: {
      ...{ name: nameOf(service), namespace: namespaceOf(service), uid: uidOf(1, service), creationTimestamp: created },
      ...{ resourceVersion: String(resourceVersion), labels: { app: nameOf(service) } },
    },
    spec: {
      ...{ type: 'ClusterIP', clusterIP, clusterIPs: [clusterIP], ipFamilies: ['IPv4'], ipFamilyPolicy: 'SingleStack' },
      ...{ internalTrafficPolicy: 'Cluster', sessionAffinity: 'None', selector: { app: nameOf(service) } },
      ports: [{ name: 'http', protocol: 'TCP', port: servicePort, targetPort }],
    },
  };
}

/**
 * One of a Service's slices, as the controller writes it.
 * @param addresses of its endpoints
 */
export function sliceOf(service: number, place: number, addresses: readonly string[], resourceVersion = 1): EndpointSlice {
  const name = nameOf(service);
  return {
    metadata: {
      ...{ name: `${name}-${place}`, namespace: namespaceOf(service), uid: uidOf(2 + place, service), creationTimestamp: created },
      ...{ resourceVersion: String(resourceVersion), generation: resourceVersion },
      labels: {
        ...{ app: name, 'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io' },
        'kubernetes.io/service-name': name,
      },
      ownerReferences: [{ apiVersion: 'v1', kind: 'Service', name, uid: uidOf(1, service), controller: true, blockOwnerDeletion: true }],
    },
    addressType: 'IPv4',
    ports: [{ name: 'http', protocol: 'TCP', port: targetPort }],
    endpoints: addresses.map((address, i) => ({
      addresses: [address],
      conditions: { ready: true, serving: true, terminating: false },
      nodeName: `node-${(service + i) % 500}`,
      targetRef: { kind: 'Pod', name: `${name}-${address}`, namespace: namespaceOf(service), uid: uidOf(3, service) },
      zone: 'zone-a',
    })),
  };
}

/** The addresses of a Service's endpoints, slice by slice. */
export function slicedAddresses(size: Size, service: number): string[][] {
  const first = firstEndpointOf(size, service);
  const all = Array.from({ length: endpointsOf(size, service) }, (_, i) => endpointAddressOf(first + i));
  return Array.from({ length: Math.max(1, Math.ceil(all.length / endpointsPerSlice)) }, (_, i) =>
    all.slice(i * endpointsPerSlice, (i + 1) * endpointsPerSlice),
  );
}

export function* servicesOf(size: Size): Iterable<Service> {
  for (let service = 0; service < size.services; service++) yield serviceOf(service);
}

export function* slicesOf(size: Size): Iterable<EndpointSlice> {
  for (let service = 0; service < size.services; service++) {
    const slices = slicedAddresses(size, service);
    for (let place = 0; place < slices.length; place++) yield sliceOf(service, place, slices[place]!);
  }
}
