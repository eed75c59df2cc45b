import { type Family, families, type IpAddr } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';
import { between } from '../between.ts';
import type { Change } from '../compare.ts';
import { groupBy } from '../group-by.ts';
import { matchesPeer, selects } from '../match.ts';
import { type Group, type MatrixCell, pairOf } from '../matrix.ts';
import { directions, type Peer } from '../model.ts';
import { endAt } from '../packet.ts';
import { cidrsOf, type Party, partiesOf } from '../parties.ts';
import { type Traffic, without } from '../traffic.ts';
import type { World } from '../world.ts';

/*
 * Matrix and comparison as they follow from their definitions: each CIDR is held against each other one, each party against each peer and each pair of parties is
 * asked of the evaluator. What is found by index must be the same, to the letter.
 */

/** For each CIDR an address in it and in no smaller one, where nobody of the cluster is; `outside` is where no CIDR is. */
export function outsideOneByOne(world: World, cidrs: readonly Prefix[]): Party[] {
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

const peersOf = ({ policies }: World): Peer[] =>
  policies.flatMap(({ rules }) =>
    directions.flatMap((direction) => (rules[direction] ?? []).flatMap(({ peers }) => peers ?? [])),
  );

/** All that peers and subjects tell of a party. */
function signatureOf(world: World): (party: Party) => string {
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

/** Parties of one label; where they are not treated alike, each for itself. */
function groupsOf(parties: readonly Party[], signatureOfParty: (party: Party) => string): Group[] {
  const numbers = new Map<string, number>();
  const numberOf = (party: Party): number => {
    const signature = signatureOfParty(party);
    const number = numbers.get(signature) ?? numbers.size;
    numbers.set(signature, number);
    return number;
  };
  const byLabel = groupBy(
    parties.map((party) => ({ party, alike: numberOf(party) })),
    ({ party }) => party.label,
  );
  return [...byLabel].flatMap(([label, members]): Group[] => {
    const { party, alike } = members[0]!;
    if (members.every((member) => member.alike === alike))
      return [
        {
          end: { label, kind: party.kind, members: members.map((one) => one.party.key) },
          parties: members.map((one) => one.party),
          alike,
        },
      ];
    return members.map((one) => ({
      end: { label: one.party.key, kind: party.kind, members: [one.party.key] },
      parties: [one.party],
      alike: one.alike,
    }));
  });
}

interface OneByOne {
  ends: readonly Group['end'][];
  cells: readonly MatrixCell[];
}

export function matrixOneByOne(world: World, isMeant: (party: Party) => boolean): OneByOne {
  const groups = groupsOf(partiesOf(world).filter(isMeant), signatureOf(world));
  const cells = groups.flatMap((from) =>
    groups.flatMap((to): MatrixCell[] => {
      const pair = pairOf(from, to);
      const allowed = pair && between(world, ...pair);
      return allowed && allowed.size > 0 ? [{ from: from.end.label, to: to.end.label, allowed }] : [];
    }),
  );
  return { ends: groups.map(({ end }) => end), cells };
}

export function changesOneByOne(before: World, after: World): Change[] {
  const cidrs = [...cidrsOf(before), ...cidrsOf(after)];
  const [old, now] = [before, after].map((world) => new Map(partiesOf(world, cidrs).map((party) => [party.key, party])));
  const [signBefore, signAfter] = [signatureOf(before), signatureOf(after)];
  const groups = groupsOf(
    [...old!.values()].filter(({ key }) => now!.has(key)),
    ({ key }) => `${signBefore(old!.get(key)!)} ${signAfter(now!.get(key)!)}`,
  );
  return groups.flatMap((from) =>
    groups.flatMap((to): Change[] => {
      const pair = pairOf(from, to);
      if (!pair) return [];
      const [source, destination] = pair.map(({ key }) => now!.get(key)!) as [Party, Party];
      const [was, is] = [between(before, ...pair), between(after, source, destination)];
      return [...was].flatMap(([family, traffic]): Change[] => {
        const then: Traffic = is.get(family) ?? [];
        const [opened, closed] = [without(then, traffic), without(traffic, then)];
        return opened.length + closed.length > 0 ? [{ from: from.end.label, to: to.end.label, family, opened, closed }] : [];
      });
    }),
  );
}
