import { type Family, families, IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import type { Peer, Rule } from './model.ts';
import { shortKey } from './short-key.ts';

/** An address as a number: of IPv4 a plain one, which sorts ten times as fast. Places of one family only are compared. */
export type Place = number | bigint;

/** Consecutive addresses, `to` not included. */
export interface Span {
  from: Place;
  to: Place;
}

/** Apart from each other and in order. */
export type Spans = Readonly<Record<Family, readonly Span[]>>;

/** All addresses that networks of a rule mean: they are or-ed and have one effect, and so are one. */
export interface Networks {
  spans: Spans;
  /** How many spans, of both families. */
  size: number;
  /** Equal of equal spans, and short. */
  key: string;
}

export const firstPlace = (family: Family): Place => (family === 'ipv4' ? 0 : 0n);
/** Behind the last address. */
export const endPlace = (family: Family): Place => (family === 'ipv4' ? 2 ** 32 : 1n << 128n);

export const addressAt = (family: Family, place: Place): IpAddr =>
  typeof place === 'number'
    ? IpAddr.fromBytes(Uint8Array.of(place >>> 24, place >>> 16, place >>> 8, place))
    : IpAddr.fromBigInt(family, place);

/** The address before. */
export const lastBefore = (family: Family, place: Place): IpAddr =>
  addressAt(family, typeof place === 'number' ? place - 1 : place - 1n);

export const comparePlaces = (a: Place, b: Place): number => (a < b ? -1 : a > b ? 1 : 0);

/** Where an address stands among those of its family. */
export const placeOf = (address: IpAddr): Place => spanOf(Prefix.host(address)).from;

function spanOf({ address, length, size }: Prefix): Span {
  if (address.family === 'ipv6') {
    const from = address.toBigInt();
    return { from, to: from + size };
  }
  const [a = 0, b = 0, c = 0, d = 0] = address.bytes;
  const from = a * 2 ** 24 + b * 2 ** 16 + c * 2 ** 8 + d;
  return { from, to: from + 2 ** (32 - length) };
}

/** All of CIDRs, whichever way they lie in and beside each other. */
export function spansOf(cidrs: readonly Prefix[]): Spans {
  const of = (family: Family): Span[] => joined(cidrs.filter((cidr) => cidr.family === family).map(spanOf));
  return { ipv4: of('ipv4'), ipv6: of('ipv6') };
}

/** In order, and what overlaps or touches as one. */
function joined(spans: Span[]): Span[] {
  spans.sort((a, b) => comparePlaces(a.from, b.from));
  const all: Span[] = [];
  for (const { from, to } of spans) {
    const last = all.at(-1);
    if (!last || last.to < from) all.push({ from, to });
    else if (last.to < to) last.to = to;
  }
  return all;
}

/** What is in the first and not in the second. */
function without(all: readonly Span[], holes: readonly Span[]): Span[] {
  const rest: Span[] = [];
  let next = 0;
  for (const { from, to } of all) {
    let start = from;
    while (next < holes.length && holes[next]!.to <= start) next++;
    for (let i = next; i < holes.length && holes[i]!.from < to; i++) {
      if (start < holes[i]!.from) rest.push({ from: start, to: holes[i]!.from });
      start = holes[i]!.to;
    }
    if (start < to) rest.push({ from: start, to });
  }
  return rest;
}

export type NetworkPeer = Extract<Peer, { kind: 'networks' }>;

const known = new WeakMap<Rule, Networks>();

/** The networks of a rule in one: each peer without its own exceptions, which another peer may mean. `undefined`: it names none. */
export function networksOf(rule: Rule): Networks | undefined {
  const found = known.get(rule);
  if (found) return found;
  const peers = rule.peers?.filter((peer): peer is NetworkPeer => peer.kind === 'networks') ?? [];
  if (peers.length === 0) return undefined;
  const networks = networksOfPeers(peers);
  known.set(rule, networks);
  return networks;
}

/** All addresses that any of the peers means. */
export function networksOfPeers(peers: readonly NetworkPeer[]): Networks {
  const parts = peers.map(({ cidrs, except }) => ({ cidrs: spansOf(cidrs), except: spansOf(except) }));
  const of = (family: Family): Span[] => joined(parts.flatMap(({ cidrs, except }) => without(cidrs[family], except[family])));
  const spans = { ipv4: of('ipv4'), ipv6: of('ipv6') };
  return { spans, size: spans.ipv4.length + spans.ipv6.length, key: keyOf(spans) };
}

function keyOf(spans: Spans): string {
  const text = families.map((family) => spans[family].map(({ from, to }) => `${from}-${to}`).join()).join('/');
  return shortKey(text);
}

/**
 * What it takes to tell addresses apart by these networks: cut at every end of one, the sum over all pieces of how many of the networks a piece is in.
 * It is the number of spans where they lie beside each other, and grows with its square where each lies over all.
 */
export function overlapOf(all: Iterable<Spans>): number {
  const edges: Record<Family, { starts: Place[]; ends: Place[] }> = { ipv4: { starts: [], ends: [] }, ipv6: { starts: [], ends: [] } };
  for (const spans of all)
    for (const family of families)
      for (const { from, to } of spans[family]) {
        edges[family].starts.push(from);
        edges[family].ends.push(to);
      }
  return families.reduce((sum, family) => sum + overlapAt(sorted(family, edges[family].starts), sorted(family, edges[family].ends)), 0);
}

type Places = { readonly length: number; readonly [index: number]: Place };

const sorted = (family: Family, places: Place[]): Places =>
  family === 'ipv4' ? Float64Array.from(places as number[]).sort() : places.sort(comparePlaces);

function overlapAt(starts: Places, ends: Places): number {
  let [sum, inside, i, j] = [0, 0, 0, 0];
  while (j < ends.length) {
    const at = i < starts.length && starts[i]! < ends[j]! ? starts[i]! : ends[j]!;
    while (i < starts.length && starts[i] === at) inside++, i++;
    while (j < ends.length && ends[j] === at) inside--, j++;
    sum += inside;
  }
  return sum;
}
