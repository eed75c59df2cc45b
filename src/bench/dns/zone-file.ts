import { clusterIps, isHeadless, namespaces, outsideAddress, outsideName, outsideNames, outsideZone, serviceName, services, zone } from './cluster.ts';

const ttl = 5;
const start = (apex: string, address: string): string[] => [
  `$ORIGIN ${apex}.`,
  `$TTL ${ttl}`,
  `@ SOA ns.dns.${apex}. hostmaster.${apex}. 1 7200 1800 86400 ${ttl}`,
  `@ NS ns.dns.${apex}.`,
  `ns.dns A ${address}`,
];

/** The cluster's names as a zone file: what the Kubernetes DNS specification has for these objects, without the reverse names. */
export function* clusterZone(count: number): Iterable<string> {
  yield* start(zone, '10.96.0.10');
  yield 'dns-version TXT "1.1.0"';
  for (const namespace of namespaces) yield `${namespace}.svc TXT "namespace"`;
  for (const { service, addresses } of services(count)) {
    const name = `${serviceName(service)}.`;
    if (!isHeadless(service)) {
      for (const ip of clusterIps(service)) yield `${name} ${ip.includes(':') ? 'AAAA' : 'A'} ${ip}`;
      yield `_http._tcp.${name} SRV 0 100 80 ${name}`;
      continue;
    }
    for (const ip of addresses) {
      const endpoint = `${ip.replaceAll('.', '-')}.${name}`;
      yield `${name} A ${ip}`;
      yield `${endpoint} A ${ip}`;
      yield `_http._tcp.${name} SRV 0 100 8080 ${endpoint}`;
    }
  }
}

export function* outsideZoneFile(): Iterable<string> {
  yield* start(outsideZone, '198.51.100.1');
  for (let i = 0; i < outsideNames; i++) yield `${outsideName(i)}. 86400 A ${outsideAddress(i)}`;
}
