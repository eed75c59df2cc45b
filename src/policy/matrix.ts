import { type Family, families } from '../net/ip.ts';
import { isClusterDns } from './cluster-dns.ts';
import { groupBy } from './group-by.ts';
import { type Party, partiesOf, signatureOf } from './parties.ts';
import { allowedTraffic, type Traffic, trafficText } from './traffic.ts';
import type { World } from './world.ts';

/** Who may send what to whom. */
export interface Matrix {
  /** Senders, and receivers: parties of one label that are treated alike stand together. */
  ends: readonly MatrixEnd[];
  cells: readonly MatrixCell[];
}

export interface MatrixEnd {
  label: string;
  kind: Party['kind'];
  /** Keys of those who stand together. */
  members: readonly string[];
}

export interface MatrixCell {
  from: string;
  to: string;
  /** By family; a family that one of them lacks is not there. */
  allowed: ReadonlyMap<Family, Traffic>;
}

interface Group {
  end: MatrixEnd;
  parties: readonly Party[];
  /** Groups of the same number are treated alike. */
  alike: number;
}

/**
 * Every pair that policies can be about: at least one of them is a pod. The own node is left out, which no policy can keep away.
 * @param namespace only pods of this one, with whom they talk outside of the cluster, and cluster DNS, which they need
 */
export function matrixOf(world: World, { namespace, nodes = false }: { namespace?: string; nodes?: boolean } = {}): Matrix {
  const isMeant = ({ kind, pod }: Party): boolean => {
    if (kind !== 'pod') return kind === 'outside' || nodes;
    return namespace === undefined || pod!.namespace === namespace || isClusterDns(pod!);
  };
  const groups = groupsOf(partiesOf(world).filter(isMeant), signatureOf(world));
  const known = new Map<number, MatrixCell['allowed']>();
  const cells = groups.flatMap((from) =>
    groups.flatMap((to): MatrixCell[] => {
      const pair = pairOf(from, to);
      if (!pair) return [];
      const key = from.alike * groups.length + to.alike;
      const allowed = known.get(key) ?? between(world, ...pair);
      known.set(key, allowed);
      return allowed.size > 0 ? [{ from: from.end.label, to: to.end.label, allowed }] : [];
    }),
  );
  return { ends: groups.map(({ end }) => end), cells };
}

/** Parties of one label; where they are not treated alike, each for itself. */
export function groupsOf(parties: readonly Party[], signatureOfParty: (party: Party) => string): Group[] {
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

/** Two different ones who stand for the pair; none where no policy can say anything. */
export function pairOf(from: Pick<Group, 'parties'>, to: Pick<Group, 'parties'>): [Party, Party] | undefined {
  for (const source of from.parties)
    for (const destination of to.parties) {
      if (source.key === destination.key || (source.kind !== 'pod' && destination.kind !== 'pod')) continue;
      if (source.key === `node ${destination.pod?.node}` || destination.key === `node ${source.pod?.node}`) continue;
      return [source, destination];
    }
  return undefined;
}

/** What one may send to the other, by each family that both have. */
export function between(world: World, source: Party, destination: Party): Map<Family, Traffic> {
  const allowed = new Map<Family, Traffic>();
  for (const family of families) {
    const [from, to] = [source.addresses.get(family), destination.addresses.get(family)];
    if (from && to) allowed.set(family, allowedTraffic(world, from, to));
  }
  return allowed;
}

/** `TCP 80`; where families differ `IPv4 TCP 80, IPv6 nothing`. */
export function allowedText(allowed: ReadonlyMap<Family, Traffic>): string {
  const texts = [...allowed].map(([family, traffic]) => [family === 'ipv4' ? 'IPv4' : 'IPv6', trafficText(traffic)] as const);
  if (new Set(texts.map(([, text]) => text)).size <= 1) return texts[0]?.[1] ?? 'nothing';
  return texts.map(([family, text]) => `${family} ${text}`).join(', ');
}
