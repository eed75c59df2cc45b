import { addressesText } from '../../kernel/nftables/index.ts';
import { addressBits, type Family, IpAddr } from '../../net/ip.ts';
import type { Prefix } from '../../net/prefix.ts';
import type { Atom } from './peers.ts';
import { identityOf, type Signature } from './signatures.ts';

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
}

/** A set of addresses that begins or ends somewhere. */
interface Edge {
  at: bigint;
  /** undefined: the pod CIDRs. */
  atom: Atom | undefined;
  isExcept: boolean;
  by: 1 | -1;
}

interface Depth {
  inside: number;
  excepted: number;
}

/**
 * Cuts a family at every end of a network (or exception) that an atom names, and at pod CIDRs.
 * @returns the pieces in which there is anything, in order and disjoint
 */
export function cutNetworks(family: Family, atoms: Iterable<Atom>, podCidrs: readonly Prefix[]): Piece[] {
  const edges: Edge[] = [];
  const add = (prefix: Prefix, atom: Atom | undefined, isExcept: boolean): void => {
    if (prefix.family !== family) return;
    const start = prefix.address.toBigInt();
    edges.push({ at: start, atom, isExcept, by: 1 }, { at: start + prefix.size, atom, isExcept, by: -1 });
  };
  for (const atom of atoms) {
    if (atom.peer.kind !== 'networks') continue;
    for (const cidr of atom.peer.cidrs) add(cidr, atom, false);
    for (const hole of atom.peer.except) add(hole, atom, true);
  }
  for (const cidr of podCidrs) add(cidr, undefined, false);
  edges.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
  const depths = new Map<Atom | undefined, Depth>();
  const active = new Set<Atom | undefined>();
  const pieces: Piece[] = [];
  for (let i = 0; i < edges.length; ) {
    const { at } = edges[i]!;
    for (; i < edges.length && edges[i]!.at === at; i++) step(edges[i]!, depths, active);
    if (active.size === 0 || at >> BigInt(addressBits(family))) continue;
    const isUnknown = active.has(undefined);
    const inside = [...active].filter((atom) => atom !== undefined).sort((a, b) => a.id - b.id);
    const [first, last] = [IpAddr.fromBigInt(family, at), IpAddr.fromBigInt(family, edges[i]!.at - 1n)];
    pieces.push({ first, last, atoms: inside, isUnknown, signature: undefined });
  }
  return pieces;
}

function step({ atom, isExcept, by }: Edge, depths: Map<Atom | undefined, Depth>, active: Set<Atom | undefined>): void {
  let depth = depths.get(atom);
  if (!depth) depths.set(atom, (depth = { inside: 0, excepted: 0 }));
  if (isExcept) depth.excepted += by;
  else depth.inside += by;
  if (depth.inside > 0 && depth.excepted === 0) active.add(atom);
  else active.delete(atom);
}

/** The piece that an address is in, by halves. */
export function pieceAt(pieces: readonly Piece[], address: IpAddr): Piece | undefined {
  let [low, high] = [0, pieces.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (pieces[middle]!.first.compare(address) <= 0) low = middle + 1;
    else high = middle;
  }
  const piece = pieces[low - 1];
  return piece && address.compare(piece.last) <= 0 ? piece : undefined;
}

/** Neighbours of one identity as one interval; those of nobody are left out. */
export function intervalsOf(pieces: readonly Piece[]): { first: IpAddr; text: string; identity: number }[] {
  const joined: { first: IpAddr; last: IpAddr; identity: number }[] = [];
  for (const { first, last, signature } of pieces) {
    const identity = identityOf(signature);
    if (identity === 0) continue;
    const before = joined.at(-1);
    if (before?.identity === identity && before.last.toBigInt() + 1n === first.toBigInt()) before.last = last;
    else joined.push({ first, last, identity });
  }
  return joined.map(({ first, last, identity }) => ({ first, text: addressesText(first, last), identity }));
}
