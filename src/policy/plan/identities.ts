import type { Groups, Slot } from './groups.ts';
import type { HeldNumbers } from './held.ts';
import type { Judge } from './judge.ts';
import type { SlotDirt } from './local.ts';
import { maxIdentity } from './names.ts';
import type { Piece } from './networks.ts';
import { Numbers } from './numbers.ts';
import { sameCells, setCell, type Signature, type Signatures } from './signatures.ts';

/** Of addresses that are nobody special within a network that is somebody. */
export const nobodyInNetwork = 1;

/** Signatures that are treated alike by all local pods. */
interface Alike {
  number: number;
  members: Signature[];
}

/** Numbers of identities that members had, with how many addresses had each. */
type Votes = (signature: Signature) => Iterable<readonly [number: number, weight: number]>;

const planned: Votes = ({ identity, addresses, pieces }) =>
  identity === 0
    ? Array.from(addresses, (entry) => [entry.planned, 1] as const).filter(([number]) => number > nobodyInNetwork)
    : [[identity, addresses.size + pieces]];

/**
 * Gives numbers to remote addresses: one number to all that no local pod's policies treat differently. Who is treated as anybody is gets none. A number stays with
 * those of its addresses that stay together, the most of them.
 */
export class Identities {
  readonly #signatures: Signatures;
  readonly #judge: Judge;
  readonly #numbers: Numbers;
  #held: HeldNumbers | undefined;
  #byHash = new Map<number, Alike[]>();
  /** One signature for each number in use. */
  readonly byNumber = new Map<number, Signature>();

  constructor(signatures: Signatures, judge: Judge, held: HeldNumbers) {
    this.#signatures = signatures;
    this.#judge = judge;
    this.#held = held;
    this.#numbers = new Numbers(nobodyInNetwork + 1, maxIdentity, 'numbers of identities', held.identities);
  }

  /**
   * Judges what is to be judged, and puts together who is treated alike.
   * @param slotsChanged columns of cells came or went
   * @returns signatures of which the number is another now, and whether any row may be
   */
  update(
    groups: Groups,
    dirty: ReadonlyMap<Slot, SlotDirt>,
    slotsChanged: boolean,
    pieces: readonly Piece[],
  ): { renumbered: Set<Signature>; isChanged: boolean } {
    let isChanged = slotsChanged;
    for (const [slot, dirt] of dirty) if (this.#judgeSlot(slot, dirt)) isChanged = true;
    const { fresh } = this.#signatures;
    this.#signatures.widen(groups.width);
    for (const signature of fresh) {
      for (const slot of groups.slots()) setCell(signature, slot.index, this.#judge.judge(slot, signature));
      signature.isNew = false;
    }
    const isSwept = this.#signatures.sweep();
    const renumbered = new Set<Signature>();
    if (isChanged || isSwept || this.#held || ![...fresh].every((one) => this.#join(one, renumbered))) {
      this.#putTogether(this.#held ? this.#heldVotes(this.#held, pieces) : planned, renumbered);
      isChanged = true;
    }
    fresh.clear();
    if (this.#held) {
      this.#held = undefined;
      this.#numbers.finishAdoption();
    }
    return { renumbered, isChanged };
  }

  /** @returns whether any cell is another now */
  #judgeSlot(slot: Slot, dirt: SlotDirt): boolean {
    const { nobody } = this.#signatures;
    const judge = (signature: Signature): boolean => setCell(signature, slot.index, this.#judge.judge(slot, signature));
    const all = judge(nobody) || dirt === 'all';
    let isChanged = all;
    for (const signature of this.#signatures) {
      if (signature.isNew || signature === nobody) continue;
      const { atoms, isOwnNode, isUnknown } = signature;
      if (all || isOwnNode || isUnknown || atoms.some((atom) => (dirt as Set<unknown>).has(atom)))
        if (judge(signature)) isChanged = true;
    }
    return isChanged;
  }

  /** A new signature is often treated as another one is. @returns false when there is none */
  #join(signature: Signature, renumbered: Set<Signature>): boolean {
    const found = this.#byHash.get(signature.hash)?.find(({ members: [first] }) => sameCells(first!, signature));
    if (!found) return false;
    found.members.push(signature);
    signature.identity = found.number;
    renumbered.add(signature);
    return true;
  }

  #putTogether(votesOf: Votes, renumbered: Set<Signature>): void {
    this.#byHash = new Map();
    for (const signature of this.#signatures) {
      let some = this.#byHash.get(signature.hash);
      if (!some) this.#byHash.set(signature.hash, (some = []));
      const alike = some.find(({ members: [first] }) => sameCells(first!, signature));
      if (alike) alike.members.push(signature);
      else some.push({ number: 0, members: [signature] });
    }
    const all = [...this.#byHash.values()].flat();
    // It is the first of all signatures.
    const isNobody = ({ members: [first] }: Alike): boolean => first === this.#signatures.nobody;
    const wishes: { alike: Alike; number: number; weight: number }[] = [];
    for (const alike of all) {
      if (isNobody(alike)) continue;
      const weights = new Map<number, number>();
      for (const member of alike.members) for (const [number, weight] of votesOf(member)) weights.set(number, (weights.get(number) ?? 0) + weight);
      for (const [number, weight] of weights) wishes.push({ alike, number, weight });
    }
    wishes.sort((a, b) => b.weight - a.weight || a.number - b.number);
    const before = new Set(this.byNumber.keys());
    const taken = new Set<number>();
    for (const { alike, number } of wishes) {
      if (alike.number !== 0 || taken.has(number)) continue;
      if (!before.has(number) && !this.#numbers.claim(number)) continue;
      alike.number = number;
      taken.add(number);
    }
    this.byNumber.clear();
    for (const alike of all) {
      if (!isNobody(alike)) {
        if (alike.number === 0) alike.number = this.#numbers.take();
        this.byNumber.set(alike.number, alike.members[0]!);
      }
      for (const member of alike.members) {
        if (member.identity !== alike.number) renumbered.add(member);
        member.identity = alike.number;
      }
    }
    for (const number of before) if (!this.byNumber.has(number)) this.#numbers.release(number);
  }

  #heldVotes(held: HeldNumbers, pieces: readonly Piece[]): Votes {
    const ofPieces = new Map<Signature, number[]>();
    for (const { first, signature } of pieces) {
      const number = held.networkAt(first);
      if (number === undefined) continue;
      const some = ofPieces.get(signature!);
      if (some) some.push(number);
      else ofPieces.set(signature!, [number]);
    }
    return (signature) => {
      const numbers = ofPieces.get(signature)?.slice() ?? [];
      for (const { address } of signature.addresses) numbers.push(held.identityOf(address) ?? 0);
      return numbers.filter((number) => number > nobodyInNetwork).map((number) => [number, 1] as const);
    };
  }
}
