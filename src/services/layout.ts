import { type Chain, match, type NftSetSpec, type Rule } from '../kernel/nftables/index.ts';
import { type Family, families } from '../net/ip.ts';
import type { Item, NftElement } from '../reconcile/model.ts';
import { addressOf, nodePortAddressesOf, type ServiceNode } from './node.ts';
import { textOf, withoutCovered } from './prefixes.ts';
import { balancerChain, balancerKey, countMask, smallestBalancers } from './values.ts';

const {
  rule,
  saddr,
  daddr,
  dport,
  l4proto,
  concat,
  isIn,
  isNotIn,
  protocol,
  priority,
  randomBelow,
  setPriorityByMap,
  maskOutPriority,
  clearPriority,
  verdictByPriority,
  dnatByPriority,
  snatTo,
  masquerade,
  originalDaddr,
  originalDport,
  ctStatusDnat,
  ctStateNew,
  addressIsLocal,
  reject,
  rejectWithTcpReset,
  drop,
  returns,
  goto,
  jump,
} = match;

export const tableName = 'podnet';

/** Another number replaces the whole table in one transaction. */
export const layoutVersion = 'podnet layout 1';

const number = { ipv4: 4, ipv6: 6 } as const;
/** `service-ips4` for ipv4. */
export const named = (name: string, family: Family): string => `${name}${number[family]}`;

export const protocols = ['tcp', 'udp', 'sctp'] as const;
export type Protocol = (typeof protocols)[number];

const set = (name: string, key: string, comment: string, rest: Partial<NftSetSpec> = {}): NftSetSpec => ({
  name,
  key,
  flags: [],
  comment,
  ...rest,
});

function setsOf(family: Family): NftSetSpec[] {
  const address = family === 'ipv4' ? 'ipv4_addr' : 'ipv6_addr';
  const portKey = 'inet_proto . inet_service';
  const interval = { flags: ['interval'] as const };
  return [
    set(named('service-ips', family), `${address} . ${portKey}`, 'service port to set id and number of endpoints', {
      data: 'classid',
    }),
    set(named('nodeports', family), portKey, 'node port to set id and number of endpoints', { data: 'classid' }),
    set(
      named('nodeports-outside', family),
      portKey,
      'the same for sources that are not on this node: externalTrafficPolicy Local',
      { data: 'classid' },
    ),
    set(named('nodeports-refused', family), portKey, 'node ports without any endpoint'),
    set(named('endpoints', family), 'classid', 'endpoint id to address and port', { data: `${address} . inet_service` }),
    set(named('hairpin', family), `${address} . ${address}`, 'endpoints on this node: a pod that reaches itself'),
    set(named('answered', family), `${address} . ${portKey}`, 'service ports that this node answers itself'),
    set(named('cluster-ips', family), address, 'all ClusterIPs'),
    set(named('service-cidrs', family), address, 'all Service CIDRs', interval),
    set(named('nodeport-ips', family), address, 'addresses on which node ports answer'),
    set(named('pods', family), address, 'pods of this node', interval),
    set(named('no-masquerade', family), address, 'destinations that see the address of the pod', interval),
  ];
}

/** Every set and map of the table. */
export const allSets: readonly NftSetSpec[] = [
  set('balancers', 'classid', 'number of endpoints to the chain that picks one', { data: 'verdict' }),
  set('slots', 'classid . integer', 'set id and slot to endpoint id', { data: 'classid' }),
  ...protocols.map((name) =>
    set(`nodeports-local-${name}`, 'inet_service', 'externalTrafficPolicy Local: the source address is kept'),
  ),
  ...families.flatMap(setsOf),
];

/** `ip daddr . meta l4proto . th dport` */
const servicePort = (family: Family) => concat(daddr(family), l4proto, dport);
const nodePort = concat(l4proto, dport);
const perFamily = <T>(fn: (family: Family) => T | T[]): T[] => families.flatMap(fn);

const toNodePort = (family: Family): Rule =>
  rule(
    isIn(daddr(family), named('nodeport-ips', family)),
    setPriorityByMap(nodePort, named('nodeports', family)),
    goto('balance'),
  );

const toService = (family: Family): Rule =>
  rule(setPriorityByMap(servicePort(family), named('service-ips', family)), goto('balance'));

/** Picks a slot at random: `meta priority` is the set id, then the endpoint id. */
export const balancer = (count: number): Chain => ({
  name: balancerChain(count),
  rules: [
    rule(
      maskOutPriority((~countMask & 0xffffffff) >>> 0),
      setPriorityByMap(concat(priority, randomBelow(count)), 'slots'),
      goto('translate'),
    ),
  ],
});

function staticChains(): Chain[] {
  return [
    {
      name: 'nat-prerouting',
      hook: { type: 'nat', hook: 'prerouting', priority: -100, policy: 'accept' },
      rules: [
        ...perFamily(toService),
        ...perFamily((family) => [
          rule(
            isIn(daddr(family), named('nodeport-ips', family)),
            isNotIn(saddr(family), named('pods', family)),
            setPriorityByMap(nodePort, named('nodeports-outside', family)),
            goto('balance'),
          ),
          toNodePort(family),
        ]),
      ],
    },
    {
      name: 'nat-output',
      hook: { type: 'nat', hook: 'output', priority: -100, policy: 'accept' },
      rules: [...perFamily(toService), ...perFamily(toNodePort)],
    },
    { name: 'balance', rules: [rule(verdictByPriority(countMask, 'balancers'))] },
    {
      name: 'translate',
      rules: perFamily((family) =>
        protocols.map((name) => rule(protocol(name), dnatByPriority(family, named('endpoints', family)))),
      ),
    },
    ...(['input', 'forward', 'output'] as const).map(
      (hook): Chain => ({
        name: `filter-${hook}`,
        hook: { type: 'filter', hook, priority: 0, policy: 'accept' },
        rules: [rule(ctStateNew, jump('service-check'))],
      }),
    ),
    {
      // What is still addressed to a Service here found no endpoint.
      name: 'service-check',
      rules: perFamily((family) => [
        rule(isIn(servicePort(family), named('answered', family)), returns),
        rule(isIn(daddr(family), named('cluster-ips', family)), goto('refuse')),
        rule(isIn(daddr(family), named('service-cidrs', family)), drop),
        rule(
          isIn(daddr(family), named('nodeport-ips', family)),
          isIn(nodePort, named('nodeports-refused', family)),
          goto('refuse'),
        ),
      ]),
    },
    { name: 'refuse', rules: [rule(protocol('tcp'), rejectWithTcpReset), rule(reject)] },
  ];
}

/** Source translation names the node's address where that is meant, so that an address added later never becomes a source by accident. */
function postroutingChains(node: ServiceNode): Chain[] {
  const own = (family: Family, ...parts: match.Part[]): Rule[] => {
    const address = addressOf(node, family);
    return address ? [rule(...parts, snatTo(address))] : [];
  };
  return [
    {
      name: 'nat-postrouting',
      hook: { type: 'nat', hook: 'postrouting', priority: 100, policy: 'accept' },
      rules: [
        rule(ctStatusDnat, jump('service-source')),
        ...perFamily((family) =>
          rule(isIn(saddr(family), named('pods', family)), isNotIn(daddr(family), named('no-masquerade', family)), masquerade),
        ),
      ],
    },
    {
      // SD4. Whether a connection came to a Service, and by which address, is read from conntrack: no mark is needed.
      name: 'service-source',
      rules: [
        rule(clearPriority),
        ...perFamily((family) => own(family, isIn(concat(saddr(family), daddr(family)), named('hairpin', family)))),
        ...perFamily((family) => rule(isIn(originalDaddr(family), named('nodeport-ips', family)), goto('nodeport-source'))),
        rule(addressIsLocal('saddr'), returns),
        ...perFamily((family) =>
          own(family, isIn(originalDaddr(family), named('cluster-ips', family)), isNotIn(saddr(family), named('pods', family))),
        ),
      ],
    },
    {
      name: 'nodeport-source',
      rules: [
        ...perFamily((family) => own(family, addressIsLocal('saddr'))),
        ...protocols.map((name) => rule(protocol(name), isIn(originalDport, `nodeports-local-${name}`), returns)),
        ...perFamily((family) => own(family)),
      ],
    },
  ];
}

/** Names of the sets that tell what belongs to Services, for whoever translates after them. */
export const serviceSets = (family: Family) => ({
  serviceCidrs: named('service-cidrs', family),
  nodePortAddresses: named('nodeport-ips', family),
  refusedNodePorts: named('nodeports-refused', family),
});

/** Keys of the elements of which one is there when a Service has the node port (see `keyOf` of the model). */
export const nodePortKeys = (family: Family, protocol: Protocol, port: number): string[] =>
  ['nodeports', 'nodeports-outside', 'nodeports-refused'].map((name) => `nft-element ${named(name, family)} ${protocol} . ${port}`);

const element = (name: string, key: string, data?: string): NftElement =>
  data === undefined ? { kind: 'nft-element', set: name, key } : { kind: 'nft-element', set: name, key, data };

/** Table, chains, sets and the elements that describe the node. @param maxEndpoints for which chains are made */
export function planLayout(node: ServiceNode, maxEndpoints: number): Item[] {
  const counts = Array.from({ length: Math.max(maxEndpoints, smallestBalancers) }, (_, i) => i + 1);
  const chains = [...staticChains(), ...counts.map(balancer), ...postroutingChains(node)];
  return [
    { kind: 'nft-table', name: tableName, comment: layoutVersion },
    ...chains.map((chain): Item => ({ kind: 'nft-chain', ...chain })),
    ...allSets.map((spec): Item => ({ kind: 'nft-set', ...spec })),
    element('balancers', balancerKey(0), 'drop'),
    ...counts.map((count) => element('balancers', balancerKey(count), `goto ${balancerChain(count)}`)),
    ...nodePortAddressesOf(node).map((address) => element(named('nodeport-ips', address.family), `${address}`)),
    ...withoutCovered(node.podCidrs).map((cidr) => element(named('pods', cidr.family), textOf(cidr))),
    ...withoutCovered(node.serviceCidrs).map((cidr) => element(named('service-cidrs', cidr.family), textOf(cidr))),
  ];
}
