import { type Family, IpAddr } from '../../../net/ip.ts';
import { Prefix } from '../../../net/prefix.ts';
import { addressAt, comparePlaces, endPlace, firstPlace, lastBefore, type Place, type Spans } from '../../spans.ts';
import type { Atom } from './peers.ts';
import { type Region, Regions, sameRegions } from './regions.ts';
import type { Signature } from './signatures.ts';

/** Consecutive addresses in the same of all networks that rules in use name. */
export interface Piece {
  first: IpAddr;
  /** Inclusive. */
  last: IpAddr;
  /** One for each scope of which any network is here, sorted by scope. */
  regions: readonly Region[];
  /** In a pod CIDR, where that matters. */
  isUnknown: boolean;
  signature: Signature | undefined;
  /** Cut anew since: others are in its place. */
  isGone: boolean;
  /** As the kernel is told of all from here to that piece, for who tells it again. */
  told?: Told;
}

/** As text, and with whom it is written. */
export interface Told {
  last: Piece;
  text: string;
  owner: string;
}

/** What says something of addresses; without an atom: the pod CIDRs. */
export interface Cover {
  atom: Atom | undefined;
  scope: string;
  spans: Spans;
}

/** Where a cover begins or ends. */
interface Edge {
  at: Place;
  cover: Cover;
  isStart: boolean;
}

const pieceOf = (first: IpAddr, last: IpAddr, regions: readonly Region[], isUnknown: boolean): Piece => ({
  first,
  last,
  regions,
  isUnknown,
  signature: undefined,
  isGone: false,
});

/** A whole family, cut at every end of a cover; all pieces, in order and without gaps. */
export function cutFamily(known: Regions, family: Family, covers: Iterable<Cover>): Piece[] {
  const edges: Edge[] = [];
  for (const cover of covers)
    for (const { from, to } of cover.spans[family]) edges.push({ at: from, cover, isStart: true }, { at: to, cover, isStart: false });
  edges.sort((a, b) => comparePlaces(a.at, b.at));
  const active = new Map<string, Set<Atom>>();
  const changed = new Set<string>();
  const pieces: Piece[] = [];
  let regions = Regions.none;
  let unknown = 0;
  let start = firstPlace(family);
  const finish = (end: Place): void => {
    if (end === start) return;
    for (const scope of changed) regions = known.with(regions, scope, known.of(scope, active.get(scope)!));
    changed.clear();
    pieces.push(pieceOf(addressAt(family, start), lastBefore(family, end), regions, unknown > 0));
    start = end;
  };
  for (const { at, cover, isStart } of edges) {
    finish(at);
    const { atom, scope } = cover;
    if (!atom) unknown += isStart ? 1 : -1;
    else {
      changed.add(scope);
      const atoms = active.get(scope);
      if (!isStart) atoms!.delete(atom);
      else if (atoms) atoms.add(atom);
      else active.set(scope, new Set([atom]));
    }
  }
  finish(endPlace(family));
  return pieces;
}

/**
 * Covers a part of the pieces more, or less, in place.
 * @param isOn false: what the cover says is taken back
 */
export function applyCover(known: Regions, pieces: Piece[], family: Family, { atom, scope, spans }: Cover, isOn: boolean): void {
  // Many pieces are in the same region.
  const changes = new Map<Region | undefined, Region | undefined>();
  const change = (regions: readonly Region[], one: Atom): readonly Region[] => {
    const before = regions.find((region) => region.scope === scope);
    if (!changes.has(before)) {
      const others = before?.atoms.filter((other) => other !== one) ?? [];
      changes.set(before, known.of(scope, isOn ? [...others, one] : others));
    }
    return known.with(regions, scope, changes.get(before));
  };
  for (const span of spans[family]) {
    const from = splitAt(pieces, addressAt(family, span.from));
    const to = span.to === endPlace(family) ? pieces.length : splitAt(pieces, addressAt(family, span.to));
    for (let i = from; i < to; i++) {
      const before = pieces[i]!;
      const { first, last, regions, isUnknown } = before;
      pieces[i] = atom ? pieceOf(first, last, change(regions, atom), isUnknown) : pieceOf(first, last, regions, isOn);
      before.isGone = true;
    }
    joinAround(pieces, to);
    joinAround(pieces, from);
  }
}

/** @returns the index of the piece that begins there */
function splitAt(pieces: Piece[], at: IpAddr): number {
  const index = indexAt(pieces, at);
  const before = pieces[index]!;
  if (before.first.equals(at)) return index;
  const { first, last, regions, isUnknown } = before;
  const end = IpAddr.fromBigInt(at.family, at.toBigInt() - 1n);
  pieces.splice(index, 1, pieceOf(first, end, regions, isUnknown), pieceOf(at, last, regions, isUnknown));
  before.isGone = true;
  return index + 1;
}

/** Joins a piece with the one before it if nothing tells them apart any more. */
function joinAround(pieces: Piece[], index: number): void {
  const [a, b] = [pieces[index - 1], pieces[index]];
  if (!a || !b || !isAlike(a, b)) return;
  pieces.splice(index - 1, 2, pieceOf(a.first, b.last, a.regions, a.isUnknown));
  a.isGone = b.isGone = true;
}

export const isAlike = (a: Piece, b: Piece): boolean => a.isUnknown === b.isUnknown && sameRegions(a.regions, b.regions);

function indexAt(pieces: readonly Piece[], address: IpAddr): number {
  let [low, high] = [0, pieces.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (pieces[middle]!.first.compare(address) <= 0) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** The piece that an address is in, by halves. */
export const pieceAt = (pieces: readonly Piece[], address: IpAddr): Piece => pieces[indexAt(pieces, address)]!;

export const wholeFamily = (family: Family): Piece[] => {
  const { address, last } = Prefix.all(family);
  return [pieceOf(address, last, Regions.none, false)];
};
