import type { Family, IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { directions, type Peer } from './model.ts';
import { outsideParts } from './outside.ts';
import { hasIdentity, type PolicyPod, podKey, type World } from './world.ts';

/** Somebody who sends or is sent to: a pod, a node, or a part of the outside that no policy tells apart further. */
export interface Party {
  /** `shop/web-0`, `node n1`, `outside`, `203.0.113.0/24`. */
  key: string;
  /** What people read: pods of a workload share it. */
  label: string;
  kind: 'pod' | 'node' | 'outside';
  /** One address of each family that it has. */
  addresses: ReadonlyMap<Family, IpAddr>;
  pod?: PolicyPod;
}

/** @param cidrs at which the outside is cut; with those of several worlds their parties are the same */
export function partiesOf(world: World, cidrs: readonly Prefix[] = cidrsOf(world)): Party[] {
  const pods = world.pods
    .filter((pod) => hasIdentity(pod) && pod.addresses.length > 0)
    .map((pod): Party => ({ key: podKey(pod), label: labelOf(pod), kind: 'pod', addresses: byFamily(pod.addresses), pod }));
  const nodes = world.nodes
    .filter(({ addresses }) => addresses.length > 0)
    .map(
      ({ name, addresses }): Party => ({
        key: `node ${name}`,
        label: `node ${name}`,
        kind: 'node',
        addresses: byFamily(addresses),
      }),
    );
  return [...pods, ...nodes, ...outsideOf(world, cidrs)];
}

/** `shop/web` for a pod of the workload web, `shop/web-0` for one of nobody's. */
const labelOf = (pod: PolicyPod): string =>
  pod.workload === undefined ? podKey(pod) : `${pod.namespace}/${pod.workload.slice(pod.workload.indexOf('/') + 1)}`;

const byFamily = (addresses: readonly IpAddr[]): Map<Family, IpAddr> =>
  new Map(addresses.toReversed().map((address) => [address.family, address]));

const peersOf = ({ policies }: World): Peer[] =>
  policies.flatMap(({ rules }) =>
    directions.flatMap((direction) => (rules[direction] ?? []).flatMap(({ peers }) => peers ?? [])),
  );

/** All that any policy says of networks; names of the outside mean the addresses that were given for them. */
export const cidrsOf = (world: World): Prefix[] => [
  ...peersOf(world).flatMap((peer) => (peer.kind === 'networks' ? [...peer.cidrs, ...peer.except] : [])),
  ...[...world.resolved.values()].flat().map((address) => Prefix.host(address)),
];

/** The parts of the outside; `outside` is where no CIDR is. */
function outsideOf(world: World, cidrs: readonly Prefix[]): Party[] {
  const rest = new Map<Family, IpAddr>();
  const parts: Party[] = [];
  for (const { cidr, holes, address } of outsideParts(world, cidrs)) {
    if (cidr.length === 0) rest.set(cidr.family, address);
    else {
      const key = holes.length === 0 ? String(cidr) : `${cidr} except ${holes.join(', ')}`;
      parts.push({ key, label: key, kind: 'outside', addresses: new Map([[cidr.family, address]]) });
    }
  }
  return rest.size > 0 ? [{ key: 'outside', label: 'outside', kind: 'outside', addresses: rest }, ...parts] : parts;
}
