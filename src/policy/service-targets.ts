import { fromMap, matches } from '../kube/selectors.ts';
import type { Service, ServicePort } from '../kube/types.ts';
import { IpAddr } from '../net/ip.ts';
import type { Inventory } from './manifests.ts';
import type { PortProtocol } from './model.ts';
import type { PolicyPod } from './world.ts';

/** Where a Service leads: what policies see after its translation (NP17). */
export interface ServiceTarget {
  address: IpAddr;
  port: number;
}

/** What is asked of a Service: one of its ports, by number or name. @throws RangeError that says what the Service has */
export function serviceTargets(inventory: Inventory, service: Service, asked: string, protocol: PortProtocol): ServiceTarget[] {
  const { name } = service.metadata;
  const port = service.spec?.ports?.find(
    ({ port: number, name: itsName, protocol: its = 'TCP' }) =>
      its === protocol && (String(number) === asked || itsName === asked),
  );
  if (!port) {
    const ports = (service.spec?.ports ?? []).map(({ port: number, protocol: its = 'TCP' }) => `${its} ${number}`);
    throw new RangeError(`Service ${name} has no port ${protocol} ${asked}; it has ${ports.join(', ') || 'none'}`);
  }
  // An address that nodes answer themselves is not translated: it is a pod's own to policies (cluster-dns.ts).
  const own = (service.spec?.clusterIPs ?? []).flatMap((text) => IpAddr.tryParse(text) ?? []);
  const answered = own.filter((address) => inventory.world.podAt.has(String(address)));
  if (answered.length > 0) return answered.map((address) => ({ address, port: port.port }));
  return service.spec?.selector && Object.keys(service.spec.selector).length > 0
    ? bySelector(inventory, service, port, protocol)
    : bySlices(inventory, service, port, protocol);
}

function bySelector(
  { world }: Inventory,
  { metadata, spec }: Service,
  port: ServicePort,
  protocol: PortProtocol,
): ServiceTarget[] {
  const selector = fromMap(spec!.selector!);
  return world.pods
    .filter((pod) => pod.namespace === (metadata.namespace ?? 'default') && !pod.ended && matches(selector, pod.labels))
    .flatMap((pod) => {
      const number = targetPort(pod, port, protocol);
      return number === undefined ? [] : pod.addresses.map((address) => ({ address, port: number }));
    });
}

/** The number behind a targetPort on one pod: by name and protocol (SA4). */
function targetPort(pod: PolicyPod, { port, targetPort: target }: ServicePort, protocol: PortProtocol): number | undefined {
  if (target === undefined || target === 0 || target === '') return port;
  if (typeof target === 'number') return target;
  return pod.ports.find(({ name, protocol: its }) => name === target && its === protocol)?.number;
}

/** A Service without selector leads where its EndpointSlices say. */
function bySlices(
  { slices }: Inventory,
  { metadata }: Service,
  { name = '' }: ServicePort,
  protocol: PortProtocol,
): ServiceTarget[] {
  return slices
    .filter(
      ({ metadata: its }) => its.namespace === metadata.namespace && its.labels?.['kubernetes.io/service-name'] === metadata.name,
    )
    .flatMap(({ endpoints, ports }) => {
      const number = ports?.find(
        ({ name: its = '', protocol: itsProtocol = 'TCP' }) => its === name && itsProtocol === protocol,
      )?.port;
      if (number === undefined) return [];
      return (endpoints ?? []).flatMap(({ addresses }) => {
        const address = IpAddr.tryParse(addresses[0] ?? '');
        return address ? [{ address, port: number }] : [];
      });
    });
}
