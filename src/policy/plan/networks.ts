import { type Family, IpAddr } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';
import type { Atom } from './peers.ts';
import type { Signature } from './signatures.ts';

/** Consecutive addresses in the same of all networks that rules in use name. */
export interface Piece {
  first: IpAddr;
  /** Inclusive. */
  last: IpAddr;
  /** Sorted. */
  atoms: readonly Atom[];
  /** In a pod CIDR, where that matters. */
  isUnknown: boolean;
  signature: Signature | undefined;
  /** Cut anew since: others are in its place. */
  isGone: boolean;
}

/** What says something of addresses; `undefined`: the pod CIDRs. */
export interface Cover {
  atom: Atom | undefined;
  cidrs: readonly Prefix[];
  except: readonly Prefix[];
}

interface Range {
  first: IpAddr;
  last: IpAddr;
}

/** Where a cover begins or ends. */
interface Edge {
  at: bigint;
  cover: Cover;
  isExcept: boolean;
  by: 1 | -1;
}

const pieceOf = ({ first, last }: Range, atoms: readonly Atom[], isUnknown: boolean): Piece => ({
  ...{ first, last, atoms, isUnknown },
  ...{ signature: undefined, isGone: false },
});

const byId = (a: Atom, b: Atom): number => a.id - b.id;

/** A whole family, cut at every end of a cover; all pieces, in order and without gaps. */
export function cutFamily(family: Family, covers: Iterable<Cover>): Piece[] {
  const all = Prefix.all(family);
  const edges = edgesOf(family, covers);
  const depths = new Map<Cover, { inside: number; excepted: number }>();
  const active = new Set<Cover>();
  const pieces: Piece[] = [];
  let start = 0n;
  const finish = (end: bigint): void => {
    if (end === start) return;
    const range = { first: IpAddr.fromBigInt(family, start), last: IpAddr.fromBigInt(family, end - 1n) };
    const atoms = [...active].map(({ atom }) => atom).filter((atom) => atom !== undefined);
    pieces.push(pieceOf(range, atoms.sort(byId), active.size > atoms.length));
    start = end;
  };
  for (const { at, cover, isExcept, by } of edges) {
    finish(at);
    let depth = depths.get(cover);
    if (!depth) depths.set(cover, (depth = { inside: 0, excepted: 0 }));
    if (isExcept) depth.excepted += by;
    else depth.inside += by;
    if (depth.inside > 0 && depth.excepted === 0) active.add(cover);
    else active.delete(cover);
  }
  finish(all.size);
  return pieces;
}

function edgesOf(family: Family, covers: Iterable<Cover>): Edge[] {
  const edges: Edge[] = [];
  const add = (prefix: Prefix, cover: Cover, isExcept: boolean): void => {
    if (prefix.family !== family) return;
    const start = prefix.address.toBigInt();
    edges.push({ at: start, cover, isExcept, by: 1 }, { at: start + prefix.size, cover, isExcept, by: -1 });
  };
  for (const cover of covers) {
    for (const cidr of cover.cidrs) add(cidr, cover, false);
    for (const hole of cover.except) add(hole, cover, true);
  }
  return edges.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
}

/**
 * Covers a part of the pieces more, or less, in place.
 * @param isOn false: what the cover says is taken back
 */
export function applyCover(pieces: Piece[], family: Family, cover: Cover, isOn: boolean): void {
  const { atom } = cover;
  for (const part of cutFamily(family, [cover])) {
    if (part.atoms.length === 0 && !part.isUnknown) continue;
    const from = splitAt(pieces, part.first);
    const to = part.last.equals(Prefix.all(family).last) ? pieces.length : splitAt(pieces, part.last.offset(1));
    for (let i = from; i < to; i++) {
      const before = pieces[i]!;
      const others = atom ? before.atoms.filter((one) => one !== atom) : before.atoms;
      const atoms = atom && isOn ? [...others, atom].sort(byId) : others;
      pieces[i] = pieceOf(before, atoms, atom ? before.isUnknown : isOn);
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
  const { first, last, atoms, isUnknown } = before;
  const end = IpAddr.fromBigInt(at.family, at.toBigInt() - 1n);
  pieces.splice(index, 1, pieceOf({ first, last: end }, atoms, isUnknown), pieceOf({ first: at, last }, atoms, isUnknown));
  before.isGone = true;
  return index + 1;
}

/** Joins a piece with the one before it if nothing tells them apart any more. */
function joinAround(pieces: Piece[], index: number): void {
  const [a, b] = [pieces[index - 1], pieces[index]];
  if (!a || !b || !isAlike(a, b)) return;
  pieces.splice(index - 1, 2, pieceOf({ first: a.first, last: b.last }, a.atoms, a.isUnknown));
  a.isGone = b.isGone = true;
}

export const isAlike = (a: Piece, b: Piece): boolean =>
  a.isUnknown === b.isUnknown && a.atoms.length === b.atoms.length && a.atoms.every((atom, i) => atom === b.atoms[i]);

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

export const wholeFamily = (family: Family): Piece[] => cutFamily(family, []);

