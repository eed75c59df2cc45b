import { type NftSetSpec, setSpec } from '../kernel/nftables/index.ts';
import { type Family, families } from '../net/ip.ts';
import { named, protocols } from './names.ts';

/** Clients that can be remembered at once, in each family; beyond that new ones are served without affinity. About 100 MB of the kernel's when full. */
const maxClients = 1 << 20;

function setsOf(family: Family): NftSetSpec[] {
  const address = family === 'ipv4' ? 'ipv4_addr' : 'ipv6_addr';
  const portKey = 'inet_proto . inet_service';
  const servicePort = `${address} . ${portKey}`;
  const interval = { flags: ['interval'] as const };
  const toValue = { data: 'classid' };
  const toEndpoint = { data: `${address} . inet_service` };
  return [
    setSpec(named('service-ips', family), servicePort, 'service port to set id and class', toValue),
    setSpec(named('nodeports', family), portKey, 'node port to set id and class', toValue),
    setSpec(
      named('nodeports-outside', family),
      portKey,
      'the same for sources that are not on this node: externalTrafficPolicy Local',
      toValue,
    ),
    setSpec(named('nodeports-refused', family), portKey, 'node ports without any endpoint'),
    setSpec(named('externals', family), address, 'addresses of load balancers and externalIPs'),
    setSpec(named('external-ports', family), servicePort, 'external address and port to set id and class', toValue),
    setSpec(
      named('external-outside', family),
      servicePort,
      'the same for sources that are not on this node: externalTrafficPolicy Local',
      toValue,
    ),
    setSpec(named('external-refused', family), servicePort, 'external ports without any endpoint'),
    ...protocols.map((name) =>
      setSpec(
        named(`external-local-${name}`, family),
        `${address} . inet_service`,
        'externalTrafficPolicy Local: the source address is kept',
      ),
    ),
    setSpec(named('load-balancers', family), address, 'addresses of load balancers'),
    setSpec(named('restricted', family), servicePort, 'ports of load balancers that are for some sources only'),
    setSpec(named('sources', family), `${servicePort} . ${address}`, 'and those sources', interval),
    setSpec(named('affinity', family), `classid . ${address}`, 'set id and client to the endpoint that it had', {
      ...{ data: 'classid', flags: ['timeout', 'dynamic'], size: maxClients },
    }),
    setSpec(named('slots', family), 'classid . integer . inet_proto', 'set id, slot and protocol to address and port', toEndpoint),
    setSpec(named('endpoints', family), 'classid', 'endpoint of a set with session affinity to address and port', toEndpoint),
    setSpec(named('hairpin', family), `${address} . ${address}`, 'endpoints on this node: a pod that reaches itself'),
    setSpec(named('answered', family), servicePort, 'service ports that this node answers itself'),
    setSpec(named('answers', family), servicePort, 'where it answers from, now or at another time'),
    setSpec(named('cluster-ips', family), address, 'all ClusterIPs'),
    setSpec(named('service-cidrs', family), address, 'all Service CIDRs', interval),
    setSpec(named('nodeport-ips', family), address, 'addresses on which node ports answer'),
    setSpec(named('pods', family), address, 'pods of this node', interval),
    setSpec(named('no-masquerade', family), address, 'destinations that see the address of the pod', interval),
  ];
}

/** Every set and map of the table. */
export const allSets: readonly NftSetSpec[] = [
  setSpec('balancers', 'classid', 'class to the chain that chooses an endpoint', { data: 'verdict' }),
  setSpec('redraws', 'classid', 'class of numbers that are drawn among a power of two: the chain again, after an empty slot', { data: 'verdict' }),
  setSpec('pickers', 'classid', 'class to the chain that picks an endpoint of a set with session affinity', { data: 'verdict' }),
  setSpec('affinity-counts', 'classid', 'sets with session affinity: set id to set id and class', { data: 'classid' }),
  setSpec('affinity-slots', 'classid . integer', 'sets with session affinity: set id and slot to endpoint', { data: 'classid' }),
  ...protocols.map((name) =>
    setSpec(`nodeports-local-${name}`, 'inet_service', 'externalTrafficPolicy Local: the source address is kept'),
  ),
  ...families.flatMap(setsOf),
];
