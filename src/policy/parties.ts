import { type Family, families, type IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { matchesPeer, selects } from './match.ts';
import { directions, type Peer } from './model.ts';
import { endAt } from './packet.ts';
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

/** For each CIDR an address in it and in no smaller one, where nobody of the cluster is; `outside` is where no CIDR is. */
function outsideOf(world: World, cidrs: readonly Prefix[]): Party[] {
  const rest = new Map<Family, IpAddr>();
  const parts: Party[] = [];
  for (const family of families) {
    const own = [
      ...new Map([Prefix.all(family), ...cidrs].filter((one) => one.family === family).map((one) => [String(one), one])).values(),
    ];
    for (const cidr of own.sort((a, b) => a.address.compare(b.address) || a.length - b.length)) {
      const inner = own.filter((one) => one.length > cidr.length && cidr.contains(one));
      const address = freeAddress(world, cidr, inner);
      if (!address) continue;
      if (cidr.length === 0) rest.set(family, address);
      else {
        const holes = inner.filter((one) => !inner.some((other) => other.length < one.length && other.contains(one)));
        const key = holes.length === 0 ? String(cidr) : `${cidr} except ${holes.join(', ')}`;
        parts.push({ key, label: key, kind: 'outside', addresses: new Map([[family, address]]) });
      }
    }
  }
  return rest.size > 0 ? [{ key: 'outside', label: 'outside', kind: 'outside', addresses: rest }, ...parts] : parts;
}

function freeAddress(world: World, cidr: Prefix, inner: readonly Prefix[]): IpAddr | undefined {
  const end = cidr.last;
  for (let address = cidr.address; ; address = address.offset(1)) {
    const around = inner.find((one) => one.contains(address));
    if (around) address = around.last;
    else if (endAt(world, address).kind === 'outside') return address;
    if (address.compare(end) >= 0) return undefined;
  }
}

/**
 * What all policies of the world together can tell of a party: parties of one kind with the same signature are treated alike, whoever is at the
 * other end, but for themselves and their own node.
 */
export function signatureOf(world: World): (party: Party) => string {
  const peers = peersOf(world);
  return ({ kind, pod, addresses }) => {
    const about = pod ? world.policies.map(({ subject }) => selects(world, subject, pod)) : [];
    const asPeer = families.map((family) => {
      const address = addresses.get(family);
      if (address === undefined) return '-';
      const end = endAt(world, address);
      return bits(peers.map((peer) => matchesPeer(world, peer, end)));
    });
    return [kind, bits(about), ...asPeer, JSON.stringify(pod?.ports ?? [])].join(' ');
  };
}

const bits = (values: readonly boolean[]): string => values.map((value) => (value ? '1' : '0')).join('');
