import type { Family } from '../net/ip.ts';
import { Alike } from './alike.ts';
import { isClusterDns } from './cluster-dns.ts';
import { groupBy } from './group-by.ts';
import { type Party, partiesOf } from './parties.ts';
import { type Traffic, trafficText } from './traffic.ts';
import type { World } from './world.ts';

/** Who may send what to whom. */
export interface Matrix {
  /** Senders, and receivers: parties of one label that are treated alike stand together. */
  ends: readonly MatrixEnd[];
  /** Each is made when it is asked for: of 10,000 ends there are a hundred million. */
  cells: Iterable<MatrixCell>;
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

export interface Group {
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
  const parties = partiesOf(world).filter(isMeant);
  const alike = new Alike(world, parties);
  const groups = groupsOf(parties, alike);
  return { ends: groups.map(({ end }) => end), cells: { [Symbol.iterator]: () => cellsOf(groups, alike) } };
}

function* cellsOf(groups: readonly Group[], alike: Alike): Iterator<MatrixCell> {
  const known = new Map<number, MatrixCell['allowed']>();
  const pods = groups.filter(({ end }) => end.kind === 'pod');
  for (const from of groups)
    // Between two of whom none is a pod policies say nothing.
    for (const to of from.end.kind === 'pod' ? groups : pods) {
      const pair = pairOf(from, to);
      if (!pair) continue;
      const key = from.alike * groups.length + to.alike;
      const allowed = known.get(key) ?? alike.between(...pair);
      known.set(key, allowed);
      if (allowed.size > 0) yield { from: from.end.label, to: to.end.label, allowed };
    }
}

/** Parties of one label; where policies tell them apart, each for itself. */
export function groupsOf(parties: readonly Party[], alike: Pick<Alike, 'numberOf' | 'signatureOf'>): Group[] {
  return [...groupBy(parties, ({ label }) => label)].flatMap(([label, members]): Group[] => {
    const { kind } = members[0]!;
    const groupOf = (name: string, some: readonly Party[]): Group => ({
      end: { label: name, kind, members: some.map(({ key }) => key) },
      parties: some,
      alike: alike.numberOf(some[0]!),
    });
    const isOne = members.length === 1 || new Set(members.map((party) => alike.signatureOf(party))).size === 1;
    return isOne ? [groupOf(label, members)] : members.map((party) => groupOf(party.key, [party]));
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

/** `TCP 80`; where families differ `IPv4 TCP 80, IPv6 nothing`. */
export function allowedText(allowed: ReadonlyMap<Family, Traffic>): string {
  const texts = [...allowed].map(([family, traffic]) => [family === 'ipv4' ? 'IPv4' : 'IPv6', trafficText(traffic)] as const);
  if (new Set(texts.map(([, text]) => text)).size <= 1) return texts[0]?.[1] ?? 'nothing';
  return texts.map(([family, text]) => `${family} ${text}`).join(', ');
}
