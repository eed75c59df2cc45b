import type { ChangeKind } from './changes.ts';
import { clusterCidr, clusterIpOf, endpointAddressOf, endpointsOf, firstEndpointOf, servicePort, type Size, targetPort } from '../objects.ts';
import type { Layout } from './peers.ts';

/**
 * kube-proxy's nftables layout (pkg/proxy/nftables/proxier.go): a verdict map of Services, a chain for each Service, a chain for each endpoint. A change is what its
 * partial sync writes: the chains of one Service.
 */
const table = 'ip kube-proxy';
const serviceChain = (service: number): string => `service-${service}`;
const endpointChain = (service: number, address: string): string => `endpoint-${service}-${address.replaceAll('.', '_')}`;

const addressesOf = (size: Size, service: number): string[] =>
  Array.from({ length: endpointsOf(size, service) }, (_, i) => endpointAddressOf(firstEndpointOf(size, service) + i));

const endpointRules = (service: number, address: string): string[] => [
  `add chain ${table} ${endpointChain(service, address)}`,
  `add rule ${table} ${endpointChain(service, address)} ip saddr ${address} jump mark-for-masquerade`,
  `add rule ${table} ${endpointChain(service, address)} meta l4proto tcp dnat to ${address}:${targetPort}`,
];

const serviceRules = (service: number, addresses: readonly string[]): string[] => {
  const chain = serviceChain(service);
  const choices = addresses.map((address, i) => `${i} : goto ${endpointChain(service, address)}`);
  return [
    `add rule ${table} ${chain} ip daddr ${clusterIpOf(service)} tcp dport ${servicePort} ip saddr != ${clusterCidr} jump mark-for-masquerade`,
    `add rule ${table} ${chain} numgen random mod ${addresses.length} vmap { ${choices.join(', ')} }`,
  ];
};

const element = (service: number): string => `${clusterIpOf(service)} . tcp . ${servicePort}`;

const wholeService = (service: number, addresses: readonly string[]): string[] => [
  ...addresses.flatMap((address) => endpointRules(service, address)),
  `add chain ${table} ${serviceChain(service)}`,
  ...serviceRules(service, addresses),
  `add element ${table} service-ips { ${element(service)} : goto ${serviceChain(service)} }`,
];

const deleteEndpoint = (service: number, address: string): string[] => [
  `flush chain ${table} ${endpointChain(service, address)}`,
  `delete chain ${table} ${endpointChain(service, address)}`,
];

const rewrite = (service: number, now: readonly string[]): string[] => [
  `flush chain ${table} ${serviceChain(service)}`,
  ...serviceRules(service, now),
];

function changeOf(size: Size, kind: ChangeKind, round: number): string[] {
  const service = (round * 37 + 11) % size.services;
  const before = addressesOf(size, service);
  const fresh = endpointAddressOf(size.endpoints + round);
  switch (kind) {
    case 'replace': {
      const now = [...before.slice(1), fresh];
      const there = [...endpointRules(service, fresh), ...rewrite(service, now), ...deleteEndpoint(service, before[0]!)];
      return there;
    }
    case 'scale-up': {
      const other = endpointAddressOf(size.endpoints + 1000 + round);
      return [...endpointRules(service, other), ...rewrite(service, [...before.slice(1), fresh, other])];
    }
    case 'scale-down': {
      const other = endpointAddressOf(size.endpoints + 1000 + round);
      return [...rewrite(service, [...before.slice(1), fresh]), ...deleteEndpoint(service, other)];
    }
    case 'add':
      return wholeService(size.services + round, newAddresses(size, round));
    case 'remove': {
      const added = size.services + round;
      return [
        `delete element ${table} service-ips { ${element(added)} }`,
        `flush chain ${table} ${serviceChain(added)}`,
        `delete chain ${table} ${serviceChain(added)}`,
        ...newAddresses(size, round).flatMap((address) => deleteEndpoint(added, address)),
      ];
    }
  }
}

const newAddresses = (size: Size, round: number): string[] =>
  Array.from({ length: 10 }, (_, i) => endpointAddressOf(size.endpoints + 2000 + round * 10 + i));

export const nftLayout: Layout = {
  title: 'nft -f, kube-proxy nftables',
  command: ['nft', '-f', '-'],
  changeCommand: ['nft', '-f', '-'],
  load(size) {
    const lines = [
      `add table ${table}`,
      `add map ${table} service-ips { type ipv4_addr . inet_proto . inet_service : verdict; }`,
      `add chain ${table} mark-for-masquerade`,
      `add rule ${table} mark-for-masquerade meta mark set meta mark or 0x4000`,
      `add chain ${table} services`,
      `add rule ${table} services ip daddr . meta l4proto . th dport vmap @service-ips`,
      ...['prerouting', 'output'].flatMap((hook) => [
        `add chain ${table} nat-${hook} { type nat hook ${hook} priority -100; }`,
        `add rule ${table} nat-${hook} jump services`,
      ]),
      `add chain ${table} nat-postrouting { type nat hook postrouting priority 100; }`,
      `add rule ${table} nat-postrouting meta mark & 0x4000 != 0 masquerade fully-random`,
    ];
    for (let service = 0; service < size.services; service++) lines.push(...wholeService(service, addressesOf(size, service)));
    return `${lines.join('\n')}\n`;
  },
  change: (size, kind, round) => `${changeOf(size, kind, round).join('\n')}\n`,
};
