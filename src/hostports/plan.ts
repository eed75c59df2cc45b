import { type Chain, match, type NftSetSpec, type Rule } from '../kernel/nftables/index.ts';
import { type Family, families, IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { type Item, keyOf, type NftElement } from '../reconcile/model.ts';
import { isOfFamily, type PortMapping, type Protocol, protocols, specificAddress } from './mapping.ts';

const { rule, concat, saddr, daddr, dport, l4proto, originalDaddr, originalDport, isIn, isWithin, addressIsLocal } = match;
const { ctStatusDnat, protocol, dnatByMap, snatTo, keepSource, jump, goto, returns } = match;

/** Sets of the same table that say what belongs to Services, by name. Services come first, so that no pod takes their packets (CVE-2019-9946). */
export interface ServiceSets {
  /** Prefixes of Service addresses, some of which may be the node's own (its DNS). */
  serviceCidrs: string;
  /** Addresses on which node ports answer. */
  nodePortAddresses: string;
  /** `protocol . port` of node ports without an endpoint: refused, and nobody else's. */
  refusedNodePorts: string;
  /** `address . protocol . port` of load balancers and externalIPs without an endpoint; an address of the node may be one. */
  refusedExternals: string;
}

export interface HostPortsNode {
  /** The node's own address for each family: the source that a pod sees where it cannot see the client's. */
  addresses: readonly IpAddr[];
  services: Record<Family, ServiceSets>;
}

const number = { ipv4: 4, ipv6: 6 } as const;
const named = (name: string, family: Family): string => `${name}${number[family]}`;
/** By address, protocol and port of the node. */
const specific = (family: Family): string => named('hostports-at', family);
/** By protocol and port, on all addresses. */
const wildcard = (family: Family): string => named('hostports', family);
const target = (family: Family): string => named('hostports-to', family);
const opened = (protocol: Protocol): string => `hostports-${protocol}`;
const hairpin = (family: Family): string => named('hostports-hairpin', family);

function setsOf(family: Family): NftSetSpec[] {
  const address = family === 'ipv4' ? 'ipv4_addr' : 'ipv6_addr';
  const port = 'inet_proto . inet_service';
  const data = `${address} . inet_service`;
  return [
    { name: specific(family), key: `${address} . ${port}`, data, flags: [], comment: 'host port on one address to pod' },
    { name: wildcard(family), key: port, data, flags: [], comment: 'host port on all addresses to pod' },
    { name: target(family), key: `${address} . ${port}`, flags: [], comment: 'where host ports lead to' },
    {
      name: hairpin(family),
      key: `${address} . ${address}`,
      flags: [],
      comment: 'pods with host ports: one that reaches itself',
    },
  ];
}

const numbers = protocols.map(
  (name): NftSetSpec => ({ name: opened(name), key: 'inet_service', flags: [], comment: 'numbers of host ports' }),
);

/**
 * Just after the Services' chains (NF_IP_PRI_NAT_DST is -100), of which the first that translates a connection decides; and just before their source
 * translation (NF_IP_PRI_NAT_SRC is 100), which is for connections to Services.
 */
const afterServices = -99;
const beforeSource = 99;

const loopback = { ipv4: Prefix.parse('127.0.0.0/8'), ipv6: Prefix.parse('::1/128') } as const;
const linkLocal = Prefix.parse('fe80::/10');

const bothFamilies = <T>(fn: (family: Family) => T[]): T[] => families.flatMap(fn);

function chains({ addresses, services }: HostPortsNode): Chain[] {
  /** The only packets that matter are the node's own: what passes through is left alone, whatever its port (GHSA-jv3w-x3r3-g6rm). */
  const local: Rule[] = [rule(addressIsLocal('daddr'), jump('hostports'))];
  const nodePort = concat(l4proto, dport);
  const toNode = (family: Family, ...parts: match.Part[]): Rule[] => {
    const own = addresses.find((address) => address.family === family);
    return own ? [rule(...parts, snatTo(own))] : [];
  };
  return [
    {
      name: 'hostports-prerouting',
      hook: { type: 'nat', hook: 'prerouting', priority: afterServices, policy: 'accept' },
      rules: local,
    },
    { name: 'hostports-output', hook: { type: 'nat', hook: 'output', priority: afterServices, policy: 'accept' }, rules: local },
    {
      name: 'hostports',
      rules: [
        // What comes from one is not forwarded.
        rule(isWithin('daddr', linkLocal), returns),
        ...bothFamilies((family) => {
          const { serviceCidrs, nodePortAddresses, refusedNodePorts, refusedExternals } = services[family];
          const addressAndPort = concat(daddr(family), l4proto, dport);
          return [
            // Answers would come from the pod's link to a loopback address, which only route_localnet lets in.
            rule(isWithin('saddr', loopback[family]), returns),
            rule(isIn(daddr(family), serviceCidrs), returns),
            rule(isIn(daddr(family), nodePortAddresses), isIn(nodePort, refusedNodePorts), returns),
            rule(isIn(addressAndPort, refusedExternals), returns),
            rule(dnatByMap(family, addressAndPort, specific(family))),
            rule(isWithin('daddr', loopback[family]), returns),
            rule(dnatByMap(family, nodePort, wildcard(family))),
          ];
        }),
      ],
    },
    {
      name: 'hostports-postrouting',
      hook: { type: 'nat', hook: 'postrouting', priority: beforeSource, policy: 'accept' },
      rules: [rule(ctStatusDnat, jump('hostports-source'))],
    },
    {
      name: 'hostports-source',
      rules: bothFamilies((family) => [
        // Opened to a Service that leads to the same port of the pod.
        rule(isIn(originalDaddr(family), services[family].serviceCidrs), returns),
        rule(isIn(concat(daddr(family), l4proto, dport), target(family)), goto(named('hostports-opened', family))),
      ]),
    },
    ...families.map(
      (family): Chain => ({
        name: named('hostports-opened', family),
        // By a node port perhaps. (nft does not know `ct original proto-dst` in a concatenation.)
        rules: protocols.map((name) =>
          rule(protocol(name), isIn(originalDport, opened(name)), goto(named('hostports-source', family))),
        ),
      }),
    ),
    ...families.map(
      (family): Chain => ({
        name: named('hostports-source', family),
        rules: [
          // Whatever address of the node a process of it has chosen, or was given: a pod may have no way back to it.
          ...toNode(family, addressIsLocal('saddr')),
          ...toNode(family, isIn(concat(saddr(family), daddr(family)), hairpin(family))),
          // Everybody else is seen as who they are; decided here, so that no later chain thinks otherwise.
          rule(keepSource(family)),
        ],
      }),
    ),
  ];
}

/** What the node holds whatever pods there are. Part of podnet's own table. */
export function planHostPorts(node: HostPortsNode): Item[] {
  return [
    ...[...families.flatMap(setsOf), ...numbers].map((set): Item => ({ kind: 'nft-set', ...set })),
    ...chains(node).map((chain): Item => ({ kind: 'nft-chain', ...chain })),
  ];
}

const element = (set: string, key: string, data?: string): NftElement =>
  data === undefined ? { kind: 'nft-element', set, key } : { kind: 'nft-element', set, key, data };

/** One pod's elements: two for each mapping and family, one for its number, and one for each address. @param addresses of the pod */
export function planMappings(mappings: readonly PortMapping[], addresses: readonly IpAddr[]): NftElement[] {
  const items = new Map<string, NftElement>();
  const add = (item: NftElement): void => void items.set(keyOf(item), item);
  for (const address of addresses) {
    const { family } = address;
    for (const mapping of mappings) {
      if (!isOfFamily(mapping, family)) continue;
      const port = `${mapping.protocol} . ${mapping.hostPort}`;
      const to = `${address} . ${mapping.containerPort}`;
      const at = specificAddress(mapping);
      add(at ? element(specific(family), `${at} . ${port}`, to) : element(wildcard(family), port, to));
      add(element(target(family), `${address} . ${mapping.protocol} . ${mapping.containerPort}`));
      add(element(opened(mapping.protocol), `${mapping.hostPort}`));
      add(element(hairpin(family), `${address} . ${address}`));
    }
  }
  return [...items.values()];
}

/**
 * The mappings that lead to a pod, from the elements that a node holds: the way back from `planMappings`, for a pod whose lease is lost. What was for all
 * families is told for each.
 * @param addresses of the pod
 */
export function mappingsIn(
  elements: Iterable<Pick<NftElement, 'set' | 'key' | 'data'>>,
  addresses: readonly IpAddr[],
): PortMapping[] {
  const found: PortMapping[] = [];
  for (const { set, key, data } of elements) {
    const family = families.find((one) => set === specific(one) || set === wildcard(one));
    const [pod, containerPort] = data?.split(' . ') ?? [];
    if (!family || pod === undefined || !addresses.some((address) => String(address) === pod)) continue;
    const parts = key.split(' . ');
    const hostIp = set === specific(family) ? IpAddr.parse(parts.shift()!) : IpAddr.unspecified(family);
    const [protocol, hostPort] = parts as [Protocol, string];
    found.push({ protocol, hostIp, hostPort: Number(hostPort), containerPort: Number(containerPort) });
  }
  return found;
}
