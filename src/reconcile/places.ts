import type { TableFamily } from '../kernel/nftables/types.ts';
import { ElementRows } from './element-rows.ts';
import { equalItems } from './items.ts';
import { type Item, keyOf, type NftElement } from './model.ts';

/** Number of an item's place: where is kept what is wanted under its key, and what the kernel holds there. Given again when the place is empty. */
export type Place = number;

/** Whose wish counts: a number that Contributions gave. */
export type OwnerNumber = number;

interface Plain {
  key: string;
  kind: Item['kind'];
  flags: number;
  owner: OwnerNumber;
  wanted: Item | undefined;
  held: Item | undefined;
}

/** A set by its name in keys; of another family than inet that stands before it. */
interface SetName {
  name: string;
  family: TableFamily | undefined;
  set: string;
}

const elementPrefix = 'nft-element ';

const isWanted = 1;
const isHeld = 2;
/** Of a row: what the kernel holds is not the row's own data, see `#otherData`. */
const isHeldOtherwise = 4;
const isShared = 8;
/** For whoever walks over places: cleared by it again. */
export const mark = { before: 16, now: 32 } as const;

/**
 * One map of all items, wanted and held: after a write both are the same, and stand there once. Elements of nftables, of which there can be a million, are rows of
 * numbers and bytes (`ElementRows`, places from 0 on); everything else, some hundreds, are objects (below 0).
 */
export class Places {
  readonly #rows = new ElementRows();
  readonly #plain: (Plain | undefined)[] = [];
  readonly #freePlain: number[] = [];
  readonly #byKey = new Map<string, Place>();
  /** `arp neighbours`, as in the key; its number is what rows are told. */
  readonly #sets: SetName[] = [];
  readonly #setNumbers = new Map<string, number>();
  /** What the kernel holds of rows that differ. */
  readonly #otherData = new Map<Place, string | undefined>();
  readonly #shared = new Map<Place, Map<OwnerNumber, Item>>();

  /** The place of an item, made when there is none. */
  of(item: Item): Place {
    if (item.kind === 'nft-element') return this.#rows.place(this.#setNumber(item.family, item.set), item.key);
    const key = keyOf(item);
    const found = this.#byKey.get(key);
    if (found !== undefined) return found;
    const index = this.#freePlain.pop() ?? this.#plain.length;
    this.#plain[index] = { key, kind: item.kind, flags: 0, owner: 0, wanted: undefined, held: undefined };
    this.#byKey.set(key, -1 - index);
    return -1 - index;
  }

  /** @param key as `keyOf` makes them */
  find(key: string): Place | undefined {
    if (!key.startsWith(elementPrefix)) return this.#byKey.get(key);
    const [first = '', second = ''] = key.slice(elementPrefix.length).split(' ', 2);
    const set = first === 'arp' || first === 'bridge' ? `${first} ${second}` : first;
    const number = this.#setNumbers.get(set);
    return number === undefined ? undefined : this.#rows.find(number, key.slice(elementPrefix.length + set.length + 1));
  }

  keyOf(place: Place): string {
    if (place < 0) return this.#at(place).key;
    return `${elementPrefix}${this.#setOf(place).name} ${this.#rows.key(place)}`;
  }

  kindOf(place: Place): Item['kind'] {
    return place < 0 ? this.#at(place).kind : 'nft-element';
  }

  isElement(place: Place): boolean {
    return place >= 0;
  }

  /** Of an element: the table's family and the set's name. */
  setOf(place: Place): { family: TableFamily; set: string } {
    const { family = 'inet', set } = this.#setOf(place);
    return { family, set };
  }

  wanted(place: Place): Item | undefined {
    if (place < 0) return this.#at(place).wanted;
    return this.#has(place, isWanted) ? this.#element(place, this.#rows.data(place)) : undefined;
  }

  held(place: Place): Item | undefined {
    if (place < 0) return this.#at(place).held;
    return this.#has(place, isHeld) ? this.#element(place, this.#heldData(place)) : undefined;
  }

  isHeld(place: Place): boolean {
    return place < 0 ? this.#at(place).held !== undefined : this.#has(place, isHeld);
  }

  isWanted(place: Place): boolean {
    return place < 0 ? this.#at(place).wanted !== undefined : this.#has(place, isWanted);
  }

  /** Nothing is wanted there, and nothing held. */
  isEmpty(place: Place): boolean {
    return !this.isWanted(place) && !this.isHeld(place);
  }

  /** Of an element: whether the kernel holds just what is wanted. */
  isRight(place: Place): boolean {
    const flags = this.#rows.flags(place);
    return (flags & isHeldOtherwise) === 0 && ((flags & isWanted) !== 0) === ((flags & isHeld) !== 0);
  }

  /** Whether the wish that counts says the same in every field. */
  isWantedAs(place: Place, item: Item): boolean {
    if (place < 0) {
      const { wanted } = this.#at(place);
      return wanted !== undefined && equalItems(wanted, item);
    }
    return this.#has(place, isWanted) && this.#rows.hasData(place, (item as NftElement).data);
  }

  /** Sets the wish that counts, and whose it is; undefined when nobody wants anything there any more. */
  want(place: Place, item: Item | undefined, owner: OwnerNumber): void {
    if (place < 0) {
      const plain = this.#at(place);
      plain.wanted = item;
      plain.owner = owner;
      return;
    }
    this.#rows.setOwner(place, owner);
    if (!item) return this.#clear(place, isWanted);
    const { data } = item as NftElement;
    const isHere = this.#has(place, isHeld);
    const held = isHere ? this.#heldData(place) : undefined;
    if (!this.#rows.hasData(place, data)) this.#rows.setData(place, data);
    if (isHere) this.#noteHeld(place, held);
    this.#set(place, isWanted);
  }

  /** The kernel holds this there now, or nothing. */
  hold(place: Place, item: Item | undefined): void {
    if (place < 0) this.#at(place).held = item;
    else if (!item) this.#drop(place);
    else {
      const { data } = item as NftElement;
      this.#set(place, isHeld);
      if (!this.#has(place, isWanted) && !this.#rows.hasData(place, data)) this.#rows.setData(place, data);
      this.#noteHeld(place, data);
    }
  }

  /** The kernel holds what is wanted there; nothing when nothing is. */
  holdWanted(place: Place): void {
    if (place < 0) {
      const plain = this.#at(place);
      plain.held = plain.wanted;
    } else if (this.#has(place, isWanted)) {
      this.#otherData.delete(place);
      this.#clear(place, isHeldOtherwise);
      this.#set(place, isHeld);
    } else this.#drop(place);
  }

  owner(place: Place): OwnerNumber {
    return place < 0 ? this.#at(place).owner : this.#rows.owner(place);
  }

  /** Wishes of all who want something there, when they are several. */
  shared(place: Place): Map<OwnerNumber, Item> | undefined {
    return this.#has(place, isShared) ? this.#shared.get(place) : undefined;
  }

  share(place: Place, wishes: Map<OwnerNumber, Item> | undefined): void {
    if (wishes) {
      this.#shared.set(place, wishes);
      this.#set(place, isShared);
    } else {
      this.#shared.delete(place);
      this.#clear(place, isShared);
    }
  }

  isMarked(place: Place, which: number): boolean {
    return this.#has(place, which);
  }

  mark(place: Place, which: number): void {
    this.#set(place, which);
  }

  unmark(place: Place, which: number): void {
    this.#clear(place, which);
  }

  /** Forgets a place that nothing is wanted or held at. */
  free(place: Place): void {
    if (place >= 0) return this.#rows.remove(place);
    this.#byKey.delete(this.#at(place).key);
    this.#plain[-1 - place] = undefined;
    this.#freePlain.push(-1 - place);
  }

  /** All of them; what is freed meanwhile is left out. */
  *all(): Iterable<Place> {
    yield* this.plain();
    yield* this.#rows.rows();
  }

  /** Those that are no elements. */
  *plain(): Iterable<Place> {
    for (const place of [...this.#byKey.values()]) if (this.#plain[-1 - place]) yield place;
  }

  elements(): Iterable<Place> {
    return this.#rows.rows();
  }

  #at(place: Place): Plain {
    return this.#plain[-1 - place]!;
  }

  #setNumber(family: TableFamily | undefined, set: string): number {
    const name = family === undefined || family === 'inet' ? set : `${family} ${set}`;
    let number = this.#setNumbers.get(name);
    if (number === undefined) {
      number = this.#sets.push({ name, family: name === set ? undefined : family, set }) - 1;
      this.#setNumbers.set(name, number);
    }
    return number;
  }

  #setOf(place: Place): SetName {
    return this.#sets[this.#rows.set(place)]!;
  }

  #element(place: Place, data: string | undefined): NftElement {
    const { family, set } = this.#setOf(place);
    const key = this.#rows.key(place);
    const element: NftElement = data === undefined ? { kind: 'nft-element', set, key } : { kind: 'nft-element', set, key, data };
    if (family) element.family = family;
    return element;
  }

  #heldData(place: Place): string | undefined {
    return this.#has(place, isHeldOtherwise) ? this.#otherData.get(place) : this.#rows.data(place);
  }

  #noteHeld(place: Place, data: string | undefined): void {
    if (this.#rows.hasData(place, data)) {
      this.#otherData.delete(place);
      this.#clear(place, isHeldOtherwise);
    } else {
      this.#otherData.set(place, data);
      this.#set(place, isHeldOtherwise);
    }
  }

  #drop(place: Place): void {
    this.#otherData.delete(place);
    this.#clear(place, isHeld | isHeldOtherwise);
  }

  #has(place: Place, flag: number): boolean {
    return ((place < 0 ? this.#at(place).flags : this.#rows.flags(place)) & flag) !== 0;
  }

  #set(place: Place, flags: number): void {
    if (place < 0) this.#at(place).flags |= flags;
    else this.#rows.setFlags(place, this.#rows.flags(place) | flags);
  }

  #clear(place: Place, flags: number): void {
    if (place < 0) this.#at(place).flags &= ~flags;
    else this.#rows.setFlags(place, this.#rows.flags(place) & ~flags);
  }
}
