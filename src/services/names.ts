import type { Family, IpAddr } from '../net/ip.ts';

export const tableName = 'podnet';

/** Another number replaces the whole table in one transaction. */
export const layoutVersion = 'podnet layout 5';

const number = { ipv4: 4, ipv6: 6 } as const;
const made = { ipv4: new Map<string, string>(), ipv6: new Map<string, string>() };

/** `service-ips4` for ipv4; the same string each time, since it is asked for with each element. */
export function named(name: string, family: Family): string {
  let whole = made[family].get(name);
  if (whole === undefined) made[family].set(name, (whole = `${name}${number[family]}`));
  return whole;
}

export const protocols = ['tcp', 'udp', 'sctp'] as const;
export type Protocol = (typeof protocols)[number];

/** Names of the sets that tell what belongs to Services, for whoever translates after them. */
export const serviceSets = (family: Family) => ({
  serviceCidrs: named('service-cidrs', family),
  nodePortAddresses: named('nodeport-ips', family),
  refusedNodePorts: named('nodeports-refused', family),
  refusedExternals: named('external-refused', family),
});

/**
 * Keys of the elements (see `keyOf` of the model) of which one is there when a Service has the port: as a node port, or as its own on an external address.
 * @param addresses external ones to ask for, of the family
 */
export function takenPortKeys(family: Family, protocol: Protocol, port: number, addresses: readonly IpAddr[]): string[] {
  const end = `${protocol} . ${port}`;
  return [
    ...['nodeports', 'nodeports-outside', 'nodeports-refused'].map((name) => `nft-element ${named(name, family)} ${end}`),
    ...addresses.flatMap((address) =>
      ['external-ports', 'external-refused'].map((name) => `nft-element ${named(name, family)} ${address} . ${end}`),
    ),
  ];
}
