import type { ChangeKind } from './changes.ts';
import { clusterCidr, clusterIpOf, endpointAddressOf, endpointsOf, firstEndpointOf, servicePort, type Size, targetPort } from '../objects.ts';
import type { Layout } from './peers.ts';

/**
 * kube-proxy's iptables layout (pkg/proxy/iptables/proxier.go): a rule for each Service in one chain, a chain for each Service and endpoint. A change is what its partial
 * sync gives to `iptables-restore --noflush`: the rules of all Services, and the chains of the changed one.
 */
const code = (kind: string, number: number): string => `KUBE-${kind}-${number.toString(36).toUpperCase().padStart(16, '0')}`;
const serviceChain = (service: number): string => code('SVC', service);
/** By the number within its address, which is its own. */
const endpointChain = (address: string): string =>
  code('SEP', address.split('.').reduce((value, part) => value * 256 + Number(part), 0));

const addressesOf = (size: Size, service: number): string[] =>
  Array.from({ length: endpointsOf(size, service) }, (_, i) => endpointAddressOf(firstEndpointOf(size, service) + i));

const dispatch = (service: number): string =>
  `-A KUBE-SERVICES -m comment --comment "team/service-${service}:http cluster IP" -m tcp -p tcp -d ${clusterIpOf(service)} --dport ${servicePort} -j ${serviceChain(service)}`;

function serviceRules(service: number, addresses: readonly string[]): string[] {
  const chain = serviceChain(service);
  const masquerade = `-A ${chain} -m tcp -p tcp -d ${clusterIpOf(service)} --dport ${servicePort} ! -s ${clusterCidr} -j KUBE-MARK-MASQ`;
  const choices = addresses.map((address, i) => {
    const left = addresses.length - i;
    const chance = left > 1 ? ` -m statistic --mode random --probability ${(1 / left).toFixed(10)}` : '';
    return `-A ${chain}${chance} -j ${endpointChain(address)}`;
  });
  return [masquerade, ...choices];
}

const endpointRules = (address: string): string[] => [
  `-A ${endpointChain(address)} -s ${address} -j KUBE-MARK-MASQ`,
  `-A ${endpointChain(address)} -m tcp -p tcp -j DNAT --to-destination ${address}:${targetPort}`,
];

const chainsOf = (service: number, addresses: readonly string[]): string[] =>
  [serviceChain(service), ...addresses.map(endpointChain)].map((chain) => `:${chain} - [0:0]`);

const rulesOf = (service: number, addresses: readonly string[]): string[] => [
  ...serviceRules(service, addresses),
  ...addresses.flatMap(endpointRules),
];

const all = (size: Size): string[] => Array.from({ length: size.services }, (_, service) => dispatch(service));

function restore(chains: readonly string[], rules: readonly string[]): string {
  return ['*nat', ':KUBE-SERVICES - [0:0]', ':KUBE-MARK-MASQ - [0:0]', ...chains, '-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000', ...rules, 'COMMIT', ''].join('\n');
}

function changeOf(size: Size, kind: ChangeKind, round: number): string {
  const service = (round * 37 + 11) % size.services;
  const before = addressesOf(size, service);
  const [fresh, other] = [endpointAddressOf(size.endpoints + round), endpointAddressOf(size.endpoints + 1000 + round)];
  const changed = (now: readonly string[], gone: readonly string[]): string =>
    restore(
      [...chainsOf(service, now), ...gone.map((address) => `:${endpointChain(address)} - [0:0]`)],
      [...all(size), ...rulesOf(service, now), ...gone.map((address) => `-X ${endpointChain(address)}`)],
    );
  const replaced = [...before.slice(1), fresh];
  const added = size.services + round;
  const addresses = Array.from({ length: 10 }, (_, i) => endpointAddressOf(size.endpoints + 2000 + round * 10 + i));
  switch (kind) {
    case 'replace':
      return changed(replaced, before.slice(0, 1));
    case 'scale-up':
      return changed([...replaced, other], []);
    case 'scale-down':
      return changed(replaced, [other]);
    case 'add':
      return restore(chainsOf(added, addresses), [...all(size), dispatch(added), ...rulesOf(added, addresses)]);
    case 'remove':
      return restore(chainsOf(added, addresses), [
        ...all(size),
        ...[serviceChain(added), ...addresses.map(endpointChain)].map((chain) => `-X ${chain}`),
      ]);
  }
}

export const iptablesLayout: Layout = {
  title: 'iptables-restore, kube-proxy iptables',
  command: ['iptables-nft-restore', '--noflush'],
  changeCommand: ['iptables-nft-restore', '--noflush'],
  load(size) {
    const chains: string[] = [];
    const rules = ['-A PREROUTING -j KUBE-SERVICES', '-A OUTPUT -j KUBE-SERVICES', ...all(size)];
    for (let service = 0; service < size.services; service++) {
      chains.push(...chainsOf(service, addressesOf(size, service)));
      rules.push(...rulesOf(service, addressesOf(size, service)));
    }
    return restore(chains, rules);
  },
  change: changeOf,
};
