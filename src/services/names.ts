import type { Family } from '../net/ip.ts';

export const tableName = 'podnet';

/** Another number replaces the whole table in one transaction. */
export const layoutVersion = 'podnet layout 2';

const number = { ipv4: 4, ipv6: 6 } as const;
/** `service-ips4` for ipv4. */
export const named = (name: string, family: Family): string => `${name}${number[family]}`;

export const protocols = ['tcp', 'udp', 'sctp'] as const;
export type Protocol = (typeof protocols)[number];

/** Names of the sets that tell what belongs to Services, for whoever translates after them. */
export const serviceSets = (family: Family) => ({
  serviceCidrs: named('service-cidrs', family),
  nodePortAddresses: named('nodeport-ips', family),
  refusedNodePorts: named('nodeports-refused', family),
});

/** Keys of the elements of which one is there when a Service has the node port (see `keyOf` of the model). */
export const nodePortKeys = (family: Family, protocol: Protocol, port: number): string[] =>
  ['nodeports', 'nodeports-outside', 'nodeports-refused'].map((name) => `nft-element ${named(name, family)} ${protocol} . ${port}`);
