import { formatClassid, parseClassid } from '../../../kernel/nftables/datatypes.ts';
import { type NftSetSpec, setSpec } from '../../../kernel/nftables/index.ts';
import { type Family, families } from '../../../net/ip.ts';
import type { NftElement } from '../../../reconcile/model.ts';
import type { Direction, PortProtocol } from '../../model.ts';

/** Sets and maps of the table `inet podnet` that say who may talk to whom; each with its family's digit, but for those of ports. */
export type PolicySet =
  | 'policy-ids'
  | 'policy-nets'
  | 'policy-egress'
  | 'policy-ingress'
  | 'policy-egress-default'
  | 'policy-ingress-default'
  | 'policy-selves'
  | 'policy-here'
  | 'policy-dns';

const digit = { ipv4: '4', ipv6: '6' } as const;
const made = { ipv4: new Map<PolicySet, string>(), ipv6: new Map<PolicySet, string>() };

/** `policy-ids4` for ipv4; the same string each time, since it is asked for with each element. */
export function policySet(name: PolicySet, family: Family): string {
  let whole = made[family].get(name);
  if (whole === undefined) made[family].set(name, (whole = `${name}${digit[family]}`));
  return whole;
}

/** Map: class . protocol . port to the class `allowed` or `denied`; and the same for more than a few ports in a row. */
export const portsSet = 'policy-ports';
export const rangesSet = 'policy-ranges';

/** `policy-egress4`: identity of the remote end and local pod to class. */
export const rowsSet = (direction: Direction, family: Family): string => policySet(`policy-${direction}`, family);
/** `policy-egress-default4`: local pod to class, where no row says otherwise. */
export const defaultSet = (direction: Direction, family: Family): string => policySet(`policy-${direction}-default`, family);

/** As nft names them. */
export const protocolNames: Readonly<Record<PortProtocol, string>> = { TCP: 'tcp', UDP: 'udp', SCTP: 'sctp' };

export const element = (set: string, key: string, data: string): NftElement => ({ kind: 'nft-element', set, key, data });

function setsOf(family: Family): NftSetSpec[] {
  const address = family === 'ipv4' ? 'ipv4_addr' : 'ipv6_addr';
  const toValue = { data: 'classid' };
  const row = `classid . ${address}`;
  return [
    setSpec(policySet('policy-ids', family), address, 'address to identity', toValue),
    setSpec(policySet('policy-nets', family), address, 'networks to identity, for other addresses', {
      ...toValue,
      flags: ['interval'],
    }),
    setSpec(policySet('policy-egress', family), row, 'identity of the destination and local pod to class', toValue),
    setSpec(policySet('policy-ingress', family), row, 'identity of the source and local pod to class', toValue),
    setSpec(policySet('policy-egress-default', family), address, 'local pod to class, for all other destinations', toValue),
    setSpec(policySet('policy-ingress-default', family), address, 'local pod to class, for all other sources', toValue),
    setSpec(policySet('policy-selves', family), `${address} . ${address}`, 'local pod and itself to class', toValue),
    setSpec(policySet('policy-here', family), address, 'local pods: nobody else sends with these addresses'),
    setSpec(policySet('policy-dns', family), `${address} . inet_proto . inet_service`, 'cluster DNS: judged before translation'),
  ];
}

/** All of them. */
export const policySets: readonly NftSetSpec[] = [
  setSpec(portsSet, 'classid . inet_proto . inet_service', 'class and port to 0:3 (allowed) or none (denied)', {
    data: 'classid',
  }),
  setSpec(rangesSet, 'classid . inet_proto . inet_service', 'the same for ranges of ports', {
    data: 'classid',
    flags: ['interval'],
  }),
  ...families.flatMap(setsOf),
];

/**
 * What an identity may do to a local pod, as one number: which ports, of 29 bits, and
 *
 *     bit 2   ranges of ports stand in policy-ranges
 *     bit 1   protocols without ports (ICMP echo, GRE) are allowed
 *     bit 0   ports that neither set lists are allowed
 *
 * Classes that need no elements have no number of their own: 3 allows all, 0 nothing, 1 and 2 what their bits say.
 */
export const classBits = { hasRanges: 4, portless: 2, otherPorts: 1 } as const;
const bits = 3;
export const allowed = classBits.portless | classBits.otherPorts;
export const denied = 0;
/** 0xffffffff has a name in nft and is not used. */
export const maxClass = (1 << (32 - bits)) - 2;
export const maxIdentity = 0xfffffffe;

/** @param low the three bits */
export const classValue = (number: number, low: number): number => number * (1 << bits) + low;
export const classNumber = (value: number): number => value >>> bits;

/** Pods whose denials are logged: addresses of this node's pods. Not named as what policies say: no connection is judged otherwise for it. */
export const loggedSet = (family: Family): string => `logged${digit[family]}`;
/** What was denied to or by them: source . destination . protocol . port, as policies judge it. Packets write it, whoever reads it takes it away. */
export const deniedSet = (family: Family): string => `denied${digit[family]}`;

/** So long what nobody reads stays. */
export const deniedSeconds = 60;
/** Different denials at once, in each family; beyond them they are denied without being logged. */
const mostDenied = 1024;

/** Those of denials that are logged. */
export const denialSets: readonly NftSetSpec[] = families.flatMap((family) => {
  const address = family === 'ipv4' ? 'ipv4_addr' : 'ipv6_addr';
  return [
    setSpec(loggedSet(family), address, 'pods whose denials are logged'),
    setSpec(
      deniedSet(family),
      `${address} . ${address} . inet_proto . inet_service`,
      'their denials: source, destination, port',
      {
        flags: ['timeout', 'dynamic'],
        size: mostDenied,
      },
    ),
  ];
});

/** Identities and classes as nft prints them, `major:minor` in hex; 0 is `none`. */
export const valueText = formatClassid;
export const parseValue = parseClassid;
