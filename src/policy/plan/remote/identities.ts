import { Numbers } from '../../../reconcile/numbers.ts';
import type { Groups, Slot } from '../local/groups.ts';
import type { HeldNumbers } from '../elements/held.ts';
import type { Judge } from '../local/judge.ts';
import type { SlotDirt } from '../local/local.ts';
import { maxIdentity } from '../elements/names.ts';
import type { Piece } from './networks.ts';
import type { Atom } from './peers.ts';
import type { Region } from './regions.ts';
import { type Alike, sameCells, setCell, type Signature, type Signatures } from './signatures.ts';

/** Of addresses that are nobody special within a network that is somebody. */
export const nobodyInNetwork = 1;

/** Counts for how many addresses of a signature which number is wished. */
type Vote = (signature: Signature, weights: Map<number, number>) => void;

const add = (weights: Map<number, number>, number: number, weight: number): void => {
  if (number > nobodyInNetwork) weights.set(number, (weights.get(number) ?? 0) + weight);
};

/** What they have now; those of a new signature had perhaps one before. */
const planned: Vote = ({ alike, addresses, pieces }, weights) => {
  if (alike) add(weights, alike.number, addresses.size + pieces);
  else for (const entry of addresses) add(weights, entry.planned, 1);
};

/** What changed of identities. */
export interface IdentityChanges {
  /** Signatures of which the number is another now. */
  renumbered: ReadonlySet<Signature>;
  /** Rows may be others: cells, or numbers that came or went. */
  areRowsChanged: boolean;
}

/**
 * Gives numbers to remote addresses: one number to all that no local pod's policies treat differently. Who is treated as anybody is gets none.
 * A number stays with those of its addresses that stay together, the most of them.
 */
export class Identities {
  readonly #signatures: Signatures;
  readonly #judge: Judge;
  readonly #numbers: Numbers;
  #held: HeldNumbers | undefined;
  #byHash = new Map<number, Alike[]>();
  /** All that have a number. */
  readonly byNumber = new Map<number, Alike>();

  constructor(signatures: Signatures, judge: Judge, held: HeldNumbers) {
    this.#signatures = signatures;
    this.#judge = judge;
    this.#held = held;
    this.#numbers = new Numbers(nobodyInNetwork + 1, maxIdentity, 'numbers of identities', held.identities);
  }

  /**
   * Judges what is to be judged, and puts together who is treated alike.
   * @param slotsChanged columns of cells came or went
   * @param pieces all there are
   */
  update(
    groups: Groups,
    dirty: ReadonlyMap<Slot, SlotDirt>,
    slotsChanged: boolean,
    pieces: Iterable<Piece>,
  ): IdentityChanges {
    const gone = this.#signatures.sweep();
    let isChanged = slotsChanged || this.#held !== undefined;
    const meant = dirty.size > 0 ? this.#finder(dirty) : () => [];
    for (const [slot, dirt] of dirty) if (this.#judgeSlot(slot, dirt, meant)) isChanged = true;
    const { fresh } = this.#signatures;
    this.#signatures.widen(groups.width);
    for (const signature of fresh)
      for (const slot of groups.slots()) setCell(signature, slot.index, this.#judge.judge(slot, signature));
    const renumbered = new Set<Signature>();
    let areRowsChanged = isChanged;
    if (isChanged) this.#putTogether(this.#held ? heldVotes(this.#held, pieces) : planned, renumbered);
    else {
      // Before anybody leaves: where a rule's networks changed, all that were in them are in others now, and treated as they were.
      const strange = [...fresh].filter((signature) => !this.#joinKnown(signature, renumbered));
      const free = gone.map((signature) => this.#leave(signature)).filter((number) => number !== undefined);
      for (const signature of strange) if (this.#join(signature, renumbered, free)) areRowsChanged = true;
      for (const number of free) this.#numbers.release(number);
      if (free.length > 0) areRowsChanged = true;
    }
    fresh.clear();
    if (this.#held) {
      this.#held = undefined;
      this.#numbers.finishAdoption();
    }
    return { renumbered, areRowsChanged };
  }

  /** @returns whether any cell is another now */
  #judgeSlot(slot: Slot, dirt: SlotDirt, meant: (atoms: ReadonlySet<Atom>) => Iterable<Signature>): boolean {
    const { nobody, fresh } = this.#signatures;
    const judge = (signature: Signature): boolean => setCell(signature, slot.index, this.#judge.judge(slot, signature));
    const isForAll = judge(nobody) || dirt === 'all';
    let isChanged = isForAll;
    for (const signature of isForAll ? this.#signatures : meant(dirt))
      if (signature !== nobody && !fresh.has(signature) && judge(signature)) isChanged = true;
    return isChanged;
  }

  /** Finds signatures by peers that mean them, and always those that rules may mean without naming them. */
  #finder(dirty: ReadonlyMap<Slot, SlotDirt>): (atoms: ReadonlySet<Atom>) => Iterable<Signature> {
    const byAtom = new Map<Atom, Signature[]>();
    for (const dirt of dirty.values())
      if (dirt !== 'all') for (const atom of dirt) if (isNamed(atom)) byAtom.set(atom, []);
    const { special } = this.#signatures;
    if (byAtom.size === 0) return () => special;
    const regions = new Map<Region, readonly Atom[]>();
    const meantIn = (region: Region): readonly Atom[] => {
      let found = regions.get(region);
      if (!found) regions.set(region, (found = region.atoms.filter((atom) => byAtom.has(atom))));
      return found;
    };
    for (const signature of this.#signatures) {
      for (const atom of signature.atoms) byAtom.get(atom)?.push(signature);
      for (const region of signature.regions) for (const atom of meantIn(region)) byAtom.get(atom)!.push(signature);
    }
    return (atoms) => new Set([...special, ...[...atoms].flatMap((atom) => byAtom.get(atom) ?? [])]);
  }

  /** A new signature is often treated as another one is. */
  #joinKnown(signature: Signature, renumbered: Set<Signature>): boolean {
    const known = this.#find(signature);
    if (!known) return false;
    renumbered.add(signature);
    known.members.add(signature);
    signature.alike = known;
    return true;
  }

  /**
   * Or as another new one.
   * @param free numbers of which the last address went; one that is taken again goes from here
   * @returns whether there is a number more
   */
  #join(signature: Signature, renumbered: Set<Signature>, free: number[]): boolean {
    if (this.#joinKnown(signature, renumbered)) return false;
    renumbered.add(signature);
    const alike = this.#make(signature);
    const weights = new Map<number, number>();
    planned(signature, weights);
    const had = free.findIndex((number) => weights.has(number));
    alike.number = had >= 0 ? free.splice(had, 1)[0]! : this.#numbers.take();
    this.byNumber.set(alike.number, alike);
    signature.alike = alike;
    return true;
  }

  /** @returns the number, if nobody is left that has it */
  #leave(signature: Signature): number | undefined {
    const { alike } = signature;
    alike?.members.delete(signature);
    if (!alike || alike.members.size > 0) return undefined;
    const rest = this.#byHash.get(alike.hash)!.filter((one) => one !== alike);
    if (rest.length > 0) this.#byHash.set(alike.hash, rest);
    else this.#byHash.delete(alike.hash);
    this.byNumber.delete(alike.number);
    return alike.number;
  }

  #find(signature: Signature): Alike | undefined {
    return this.#byHash.get(signature.hash)?.find(({ members }) => sameCells(firstOf(members), signature));
  }

  #make(signature: Signature): Alike {
    const alike: Alike = { number: 0, hash: signature.hash, members: new Set([signature]) };
    const some = this.#byHash.get(signature.hash);
    if (some) some.push(alike);
    else this.#byHash.set(signature.hash, [alike]);
    return alike;
  }

  #putTogether(vote: Vote, renumbered: Set<Signature>): void {
    this.#byHash = new Map();
    const groups: Alike[] = [];
    const wishes: { alike: Alike; number: number; weight: number }[] = [];
    for (const signature of this.#signatures) {
      const known = this.#find(signature);
      if (known) known.members.add(signature);
      else groups.push(this.#make(signature));
    }
    // The first signature of all is nobody's, and so is its group.
    const [, ...somebody] = groups;
    for (const alike of somebody) {
      const weights = new Map<number, number>();
      for (const member of alike.members) vote(member, weights);
      for (const [number, weight] of weights) wishes.push({ alike, number, weight });
    }
    wishes.sort((a, b) => b.weight - a.weight || a.number - b.number);
    const before = new Set(this.byNumber.keys());
    this.byNumber.clear();
    for (const { alike, number } of wishes) {
      if (alike.number !== 0 || this.byNumber.has(number)) continue;
      if (!before.has(number) && !this.#numbers.claim(number)) continue;
      alike.number = number;
      this.byNumber.set(number, alike);
    }
    for (const alike of somebody)
      if (alike.number === 0) this.byNumber.set((alike.number = this.#numbers.take()), alike);
    for (const alike of groups)
      for (const member of alike.members) {
        if (member.alike?.number !== alike.number) renumbered.add(member);
        member.alike = alike;
      }
    for (const number of before) if (!this.byNumber.has(number)) this.#numbers.release(number);
  }
}

/** Of one that no rule names any more no signature is left but those that go. */
const isNamed = ({ uses }: Atom): boolean => uses.ingress.size + uses.egress.size > 0;

export function firstOf<T>(all: ReadonlySet<T>): T {
  for (const one of all) return one;
  throw new RangeError('the set is empty');
}

/** What addresses and networks have in the kernel. */
function heldVotes(held: HeldNumbers, pieces: Iterable<Piece>): Vote {
  const ofPieces = new Map<Signature, number[]>();
  for (const { first, signature } of pieces) {
    const number = held.networkAt(first);
    if (number === undefined) continue;
    const some = ofPieces.get(signature!);
    if (some) some.push(number);
    else ofPieces.set(signature!, [number]);
  }
  return (signature, weights) => {
    for (const number of ofPieces.get(signature) ?? []) add(weights, number, 1);
    for (const { address } of signature.addresses) add(weights, held.identityOf(address) ?? 0, 1);
  };
}
