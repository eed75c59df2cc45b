import { IpAddr } from '../../net/ip.ts';
import { labelsOf, lowerName, nameOf, parseName, type WireName } from '../wire/names.ts';
import type { Endpoint } from './endpoint-names.ts';
import type { EndpointFacts, NamespaceFacts, PodFacts, ServiceFacts, SliceFacts } from './facts.ts';
import { addressRecord, cnameRecord, nsRecord, ptrRecord, srvRecord, txtRecord, type ZoneRecord } from './records.ts';
import { reverseName } from './reverse.ts';
import type { Contribution } from './zone.ts';

/** The records that Kubernetes objects stand for (DNS specification 1.1.0). Pure; D-numbers are those of the semantics reference. */

export interface Naming {
  /** e.g. `cluster.local.`, in lower case. */
  zone: WireName;
  /** Seconds. */
  ttl: number;
}

/** As in the specification: the schema's version changes rarely. */
const versionTtl = 28800;

export const serviceName = ({ zone }: Naming, namespace: string, name: string): WireName =>
  lowerName(nameOf([name, namespace, 'svc'], zone));

/** The zone's own names: version (D1), name server (D17), and the two folders that exist in any case (D14). */
export function zoneRecords({ zone, ttl }: Naming, apexes: readonly WireName[], servers: readonly IpAddr[]): Contribution {
  const server = nameOf(['ns', 'dns'], zone);
  return {
    records: [
      txtRecord(nameOf(['dns-version'], zone), '1.1.0', versionTtl),
      ...apexes.map((apex) => nsRecord(apex, server, ttl)),
      ...servers.map((address) => addressRecord(server, address, ttl)),
    ],
    names: [nameOf(['svc'], zone), nameOf(['pod'], zone)],
  };
}

/** An existing namespace is NODATA, one that does not exist NXDOMAIN (D14). */
export const namespaceRecords = ({ zone }: Naming, { name }: NamespaceFacts): Contribution => ({
  records: [],
  names: [lowerName(nameOf([name, 'svc'], zone)), lowerName(nameOf([name, 'pod'], zone))],
});

/** What a Service says by itself: ClusterIP (D2-D4) or ExternalName (D9). A headless one has only what its slices give. */
export function serviceRecords(naming: Naming, service: ServiceFacts): Contribution {
  const name = serviceName(naming, service.namespace, service.name);
  const { ttl } = naming;
  if (service.kind === 'external') {
    const target = externalTarget(service.externalName);
    return { records: target === undefined ? [] : [cnameRecord(name, target, ttl)] };
  }
  if (service.kind === 'headless') return { records: [] };
  const addresses = service.clusterIps.map((text) => IpAddr.tryParse(text)).filter((address) => address !== undefined);
  return {
    records: [
      ...addresses.map((address) => addressRecord(name, address, ttl)),
      ...addresses.map((address) => ptrRecord(reverseName(address), name, ttl)),
      ...service.ports.flatMap((port) => {
        const owner = portName(port, name);
        return owner === undefined || port.port === undefined ? [] : [srvRecord(owner, port.port, name, ttl)];
      }),
    ],
  };
}

/** What one ready endpoint (D10) of a headless Service says (D5-D8). */
export function headlessRecords(naming: Naming, slice: SliceFacts, endpoint: EndpointFacts): ZoneRecord[] {
  const service = serviceName(naming, slice.namespace, slice.service);
  const { ttl } = naming;
  if (slice.isFqdn) return unique(hostRecords(naming, slice, service, endpoint.hostname, endpoint.addresses));
  const records = endpoint.addresses.flatMap((text) => {
    const address = IpAddr.tryParse(text);
    if (!address) return [];
    const name = lowerName(nameOf([endpoint.hostname || dashed(address)], service));
    return [
      ...[addressRecord(service, address, ttl), addressRecord(name, address, ttl), ptrRecord(reverseName(address), name, ttl)],
      ...portRecords(slice, service, name, ttl),
    ];
  });
  return unique(records);
}

/** Endpoints that are names themselves (addressType FQDN): an alias below the Service, and SRV to it. */
function hostRecords(
  { ttl }: Naming,
  slice: SliceFacts,
  service: WireName,
  hostname: string | undefined,
  targets: readonly string[],
): ZoneRecord[] {
  const target = externalTarget(targets[0]);
  if (target === undefined) return [];
  if (!hostname) return portRecords(slice, service, target, ttl);
  const name = lowerName(nameOf([hostname], service));
  return [cnameRecord(name, target, ttl), ...portRecords(slice, service, name, ttl)];
}

/** Port numbers of a headless Service are those of the endpoints (D7). */
const portRecords = (slice: SliceFacts, service: WireName, target: WireName, ttl: number): ZoneRecord[] =>
  slice.ports.flatMap((port) => {
    const owner = portName(port, service);
    return owner === undefined || port.port === undefined ? [] : [srvRecord(owner, port.port, target, ttl)];
  });

/** `<a-b-c-d>.<namespace>.pod.<zone>` for pods that are really there (D12, "verified"). */
export function podRecords(naming: Naming, pod: PodFacts): Contribution {
  const records = pod.ips.flatMap((text) => {
    const address = IpAddr.tryParse(text);
    if (!address) return [];
    const name = lowerName(nameOf([dashed(address), pod.namespace, 'pod'], naming.zone));
    return [addressRecord(name, address, naming.ttl)];
  });
  return { records };
}

/** `10-0-0-1`; `fd00--1` for fd00::1, the text with dashes in place of colons. A label must not begin or end with a dash: a zero is put there. */
const dashed = (address: IpAddr): string =>
  String(address).replaceAll(/[.:]/g, '-').replace(/^-/, '0-').replace(/-$/, '-0');

/** The address that `dashed` was made of. */
export function undashed(label: string): IpAddr | undefined {
  // What is no address is told by an exception, which takes longer than all else.
  if (!/^[\da-f]+(?:-[\da-f]*)+$/.test(label)) return undefined;
  const address = IpAddr.tryParse(label.replaceAll('-', /^\d+(?:-\d+){3}$/.test(label) ? '.' : ':'));
  return address && dashed(address) === label ? address : undefined;
}

const isReverse = (name: WireName): boolean => labelsOf(name).at(-1) === 'arpa';

/** What is asked for of an endpoint by its name (D6), and its address (D8). */
export function endpointRecord(naming: Naming, name: WireName, { hostname, address, facts }: Endpoint): ZoneRecord {
  if (!isReverse(name)) return addressRecord(name, address, naming.ttl);
  const target = nameOf([hostname ?? dashed(address)], serviceName(naming, facts.namespace, facts.service));
  return ptrRecord(name, lowerName(target), naming.ttl);
}

/** `_http._tcp.<service>`; only named ports have one (D3). */
function portName({ name, protocol }: { name?: string; protocol: string }, service: WireName): WireName | undefined {
  return name ? lowerName(nameOf([`_${name}`, `_${protocol}`], service)) : undefined;
}

function externalTarget(text: string | undefined): WireName | undefined {
  if (!text) return undefined;
  try {
    const name = parseName(text);
    return labelsOf(name).length > 0 ? name : undefined;
  } catch {
    // The API refuses such names; there is nothing to answer with.
    return undefined;
  }
}

/** Several ports may say the same. */
function unique(records: readonly ZoneRecord[]): ZoneRecord[] {
  return [...new Map(records.map((record) => [`${record.type} ${record.name} ${record.data}`, record])).values()];
}
