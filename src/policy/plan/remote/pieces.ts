import { type Family, families } from '../../../net/ip.ts';
import type { Prefix } from '../../../net/prefix.ts';
import type { AddressEntry } from './addresses.ts';
import { spansOf } from '../../spans.ts';
import { applyCover, type Cover, cutFamily, isAlike, type Piece, pieceAt, wholeFamily } from './networks.ts';
import type { Atom, Atoms } from './peers.ts';
import { Regions } from './regions.ts';
import type { Signature, Signatures } from './signatures.ts';

/** With more changed spans than this all is cut anew. */
const few = 64;

const coverOf = (atom: Atom): Cover[] =>
  atom.peer.kind === 'networks' ? [{ atom, scope: atom.peer.scope, spans: atom.peer.networks.spans }] : [];
const podsCover = (cidrs: readonly Prefix[]): Cover => ({ atom: undefined, scope: '', spans: spansOf(cidrs) });
const sizeOf = (covers: readonly Cover[]): number =>
  covers.reduce((sum, { spans }) => sum + spans.ipv4.length + spans.ipv6.length, 0);

const samePrefixes = (a: readonly Prefix[], b: readonly Prefix[]): boolean =>
  a === b || (a.length === b.length && a.every((prefix, i) => prefix.equals(b[i]!)));

/** Both families, in pieces by the networks that rules in use name; what stays as it is stays the same object. */
export class Pieces {
  readonly #signatures: Signatures;
  readonly #lines: Record<Family, Piece[]>;
  /** Of both families. */
  readonly regions = new Regions();
  /** Who addresses in such lists are, where nobody has them. */
  readonly #known = { outside: new WeakMap<Piece['regions'], Signature>(), unknown: new WeakMap<Piece['regions'], Signature>() };
  #podCidrs: readonly Prefix[] = [];

  constructor(signatures: Signatures) {
    this.#signatures = signatures;
    this.#lines = { ipv4: wholeFamily('ipv4'), ipv6: wholeFamily('ipv6') };
    for (const family of families) this.#settle(family, []);
  }

  of(family: Family): readonly Piece[] {
    return this.#lines[family];
  }

  *[Symbol.iterator](): Iterator<Piece> {
    for (const family of families) yield* this.#lines[family];
  }

  /** Finds the piece that an address is in, where the one that it was in is gone. @returns whether it is in another */
  place(entry: AddressEntry): boolean {
    if (entry.piece && !entry.piece.isGone) return false;
    entry.piece = pieceAt(this.#lines[entry.address.family], entry.address);
    return true;
  }

  /** @returns whether anything is cut otherwise */
  update(atoms: Atoms, podCidrs: readonly Prefix[]): boolean {
    const [added, removed] = [[...atoms.added].flatMap(coverOf), [...atoms.removed].flatMap(coverOf)];
    const pods = samePrefixes(podCidrs, this.#podCidrs) ? undefined : { before: podsCover(this.#podCidrs), now: podsCover(podCidrs) };
    this.#podCidrs = podCidrs;
    if (added.length + removed.length === 0 && !pods) return false;
    const changes = sizeOf([...added, ...removed, ...(pods ? [pods.before, pods.now] : [])]);
    for (const family of families) {
      const before = this.#lines[family].slice();
      if (changes > few) this.#lines[family] = this.#cutAnew(family, [...[...atoms].flatMap(coverOf), podsCover(podCidrs)]);
      else {
        for (const cover of removed) applyCover(this.regions, this.#lines[family], family, cover, false);
        if (pods) applyCover(this.regions, this.#lines[family], family, pods.before, false);
        if (pods) applyCover(this.regions, this.#lines[family], family, pods.now, true);
        for (const cover of added) applyCover(this.regions, this.#lines[family], family, cover, true);
      }
      this.#settle(family, before);
    }
    this.regions.sweep(this.#regionsInUse());
    return true;
  }

  *#regionsInUse(): Iterable<Piece['regions']> {
    for (const { regions } of this) yield regions;
  }

  /** Both lines are in order: what is in both is found side by side. */
  #cutAnew(family: Family, covers: readonly Cover[]): Piece[] {
    const before = this.#lines[family];
    let next = 0;
    const now = cutFamily(this.regions, family, covers).map((piece) => {
      while (next < before.length && before[next]!.first.compare(piece.first) < 0) before[next++]!.isGone = true;
      const same = before[next];
      if (!same || same.first.compare(piece.first) !== 0 || same.last.compare(piece.last) !== 0 || !isAlike(same, piece)) return piece;
      next++;
      return same;
    });
    while (next < before.length) before[next++]!.isGone = true;
    return now;
  }

  /** Signatures of the pieces that are new, and without those that are gone. */
  #settle(family: Family, before: readonly Piece[]): void {
    for (const { isGone, signature } of before)
      if (isGone) {
        signature!.pieces--;
        this.#signatures.mayBeGone(signature!);
      }
    for (const piece of this.#lines[family]) {
      if (piece.signature) continue;
      piece.signature = this.#signatureOf(piece);
      piece.signature.pieces++;
    }
  }

  #signatureOf({ regions, isUnknown }: Piece): Signature {
    const known = this.#known[isUnknown ? 'unknown' : 'outside'];
    let found = known.get(regions);
    if (!found || found.isGone) known.set(regions, (found = this.#signatures.of({ atoms: [], regions, named: undefined, isOwnNode: false, isUnknown })));
    return found;
  }
}
