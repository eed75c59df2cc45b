import type { EndpointSlice, Namespace, Pod, Service } from '../../kube/types.ts';
import { clusterIpOf, endpointAddressOf, nameOf, serviceOf as plainService, sliceOf } from '../objects.ts';

/**
 * The cluster that is asked about: of every hundred Services one is headless with 100 endpoints; the others have a cluster IP, every second one of both families, and
 * nine or ten endpoints. 10,000 Services have 100,000 endpoints.
 */
export const zone = 'cluster.local';
const headlessEndpoints = 100;
export const isHeadless = (service: number): boolean => service % 100 === 99;
export const isDual = (service: number): boolean => service % 2 === 0;
const endpointsOf = (service: number): number => (isHeadless(service) ? headlessEndpoints : service % 11 === 0 ? 10 : 9);

export const namespaces: readonly string[] = Array.from({ length: 100 }, (_, i) => `team-${i}`);
/** `service-7.team-7.svc.cluster.local` */
export const serviceName = (service: number): string => `${nameOf(service)}.${namespaces[service % 100]}.svc.${zone}`;
export const clusterIps = (service: number): string[] => [
  clusterIpOf(service),
  ...(isDual(service) ? [`fd00:10:96::${(0x10000 + service).toString(16).replace(/(....)$/, ':$1')}`] : []),
];

/** Where each Service's endpoints begin among all. */
export function* services(count: number): Iterable<{ service: number; addresses: string[] }> {
  let first = 0;
  for (let service = 0; service < count; service++) {
    const from = first;
    yield { service, addresses: Array.from({ length: endpointsOf(service) }, (_, i) => endpointAddressOf(from + i)) };
    first += endpointsOf(service);
  }
}

function serviceObject(service: number): Service {
  const plain = plainService(service);
  const spec = isHeadless(service)
    ? { clusterIP: 'None', clusterIPs: ['None'] }
    : {
        clusterIPs: clusterIps(service),
        ...(isDual(service) ? { ipFamilies: ['IPv4', 'IPv6'], ipFamilyPolicy: 'PreferDualStack' } : {}),
      };
  return { ...plain, spec: { ...plain.spec, ...spec } } as Service;
}

export function* serviceObjects(count: number): Iterable<Service> {
  for (let service = 0; service < count; service++) yield serviceObject(service);
}

export function* sliceObjects(count: number): Iterable<EndpointSlice> {
  for (const { service, addresses } of services(count)) yield sliceOf(service, 0, addresses);
}

export const namespaceObjects = (): Namespace[] => namespaces.map((name) => ({ metadata: { name, uid: `ns-${name}`, resourceVersion: '1' } }));

/** The pods behind the endpoints. */
export function* podObjects(count: number): Iterable<Pod> {
  for (const { service, addresses } of services(count))
    for (const ip of addresses)
      yield {
        metadata: { name: `${nameOf(service)}-${ip}`, namespace: namespaces[service % 100]!, uid: `pod-${ip}`, resourceVersion: '1' },
        spec: { nodeName: `node-${service % 500}`, containers: [{ name: 'main', image: 'app:1' }] },
        status: { phase: 'Running', podIP: ip, podIPs: [{ ip }] },
      };
}

/** Names outside of the cluster, which a resolver has in its cache when it is asked. */
export const outsideZone = 'example.test';
export const outsideNames = 1000;
export const outsideName = (i: number): string => `host-${i}.${outsideZone}`;
export const outsideAddress = (i: number): string => `198.51.${100 + (i >> 8)}.${i & 255}`;
