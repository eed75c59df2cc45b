import type { NftSetSpec } from '../kernel/nftables/index.ts';
import { type Family, families } from '../net/ip.ts';
import { named, protocols } from './names.ts';

const set = (name: string, key: string, comment: string, rest: Partial<NftSetSpec> = {}): NftSetSpec => ({
  name,
  key,
  flags: [],
  comment,
  ...rest,
});

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
    set(named('service-ips', family), servicePort, 'service port to set id and class', toValue),
    set(named('nodeports', family), portKey, 'node port to set id and class', toValue),
    set(
      named('nodeports-outside', family),
      portKey,
      'the same for sources that are not on this node: externalTrafficPolicy Local',
      toValue,
    ),
    set(named('nodeports-refused', family), portKey, 'node ports without any endpoint'),
    set(named('externals', family), address, 'addresses of load balancers and externalIPs'),
    set(named('external-ports', family), servicePort, 'external address and port to set id and class', toValue),
    set(
      named('external-outside', family),
      servicePort,
      'the same for sources that are not on this node: externalTrafficPolicy Local',
      toValue,
    ),
    set(named('external-refused', family), servicePort, 'external ports without any endpoint'),
    ...protocols.map((name) =>
      set(
        named(`external-local-${name}`, family),
        `${address} . inet_service`,
        'externalTrafficPolicy Local: the source address is kept',
      ),
    ),
    set(named('load-balancers', family), address, 'addresses of load balancers'),
    set(named('restricted', family), servicePort, 'ports of load balancers that are for some sources only'),
    set(named('sources', family), `${servicePort} . ${address}`, 'and those sources', interval),
    set(named('affinity', family), `classid . ${address}`, 'set id and client to the endpoint that it had', {
      ...{ data: 'classid', flags: ['timeout', 'dynamic'], size: maxClients },
    }),
    set(named('slots', family), 'classid . integer', 'set id and slot to address and port', toEndpoint),
    set(named('endpoints', family), 'classid', 'endpoint of a set with session affinity to address and port', toEndpoint),
    set(named('hairpin', family), `${address} . ${address}`, 'endpoints on this node: a pod that reaches itself'),
    set(named('answered', family), servicePort, 'service ports that this node answers itself'),
    set(named('answers', family), servicePort, 'where it answers from, now or at another time'),
    set(named('cluster-ips', family), address, 'all ClusterIPs'),
    set(named('service-cidrs', family), address, 'all Service CIDRs', interval),
    set(named('nodeport-ips', family), address, 'addresses on which node ports answer'),
    set(named('pods', family), address, 'pods of this node', interval),
    set(named('no-masquerade', family), address, 'destinations that see the address of the pod', interval),
  ];
}

/** Those in which the changes of a running cluster are. */
const busy = ['slots', 'service-ips', 'cluster-ips', 'hairpin'].flatMap((name) => families.map((family) => named(name, family)));

/** Place among those that are made; the kernel looks for a set of a table by comparing names from the first on (nft_set_lookup), for each message with elements. */
const placeOf = ({ name }: NftSetSpec): number => (busy.includes(name) ? busy.indexOf(name) : busy.length);

/** Every set and map of the table, the busy ones first. */
export const allSets: readonly NftSetSpec[] = [
  set('balancers', 'classid', 'class to the chain that chooses an endpoint', { data: 'verdict' }),
  set('pickers', 'classid', 'class to the chain that picks an endpoint of a set with session affinity', { data: 'verdict' }),
  set('affinity-counts', 'classid', 'sets with session affinity: set id to set id and class', { data: 'classid' }),
  set('affinity-slots', 'classid . integer', 'sets with session affinity: set id and slot to endpoint', { data: 'classid' }),
  ...protocols.map((name) =>
    set(`nodeports-local-${name}`, 'inet_service', 'externalTrafficPolicy Local: the source address is kept'),
  ),
  ...families.flatMap(setsOf),
].toSorted((a, b) => placeOf(a) - placeOf(b));
