import { equalItems } from './items.ts';
import type { Item, NodeNetwork } from './model.ts';
import { mark, type OwnerNumber, type Place, type Places } from './places.ts';

/** Another owner wants something else under the same key. */
export interface Conflict {
  key: string;
  /** Whose item counts: the first by name, so that the order of events does not matter. */
  winner: string;
}

interface Owner {
  name: string;
  number: OwnerNumber;
  places: readonly Place[];
}

/**
 * What is wanted, by who wants it. Several owners may want the same item; it is wanted until the last withdraws. Replacing one owner's items costs
 * what that owner has, and marks only the places that really changed.
 */
export class Contributions {
  readonly #places: Places;
  readonly #owners = new Map<string, Owner>();
  readonly #byNumber: (Owner | undefined)[] = [];
  readonly #freeNumbers: OwnerNumber[] = [];

  constructor(places: Places) {
    this.#places = places;
  }

  /**
   * Replaces everything that an owner wants.
   * @param changed called for each place where the wanted item is another now
   */
  set(name: string, items: Iterable<Item>, changed: (place: Place) => void): void {
    const places = this.#places;
    const owner = this.#owners.get(name) ?? this.#add(name);
    const before = owner.places;
    for (const place of before) places.mark(place, mark.before);
    const now: Place[] = [];
    for (const item of items) {
      const place = places.of(item);
      const had = places.isMarked(place, mark.before);
      if (!places.isMarked(place, mark.now)) {
        places.mark(place, mark.now);
        now.push(place);
      }
      if (had && this.#isWish(place, owner, item)) continue;
      // Of the same key twice the last one counts: from the second time on it is the owner's.
      places.mark(place, mark.before);
      if (this.#put(place, owner, item)) changed(place);
    }
    for (const place of before) {
      places.unmark(place, mark.before);
      if (!places.isMarked(place, mark.now) && this.#take(place, owner)) changed(place);
    }
    for (const place of now) places.unmark(place, mark.before | mark.now);
    owner.places = now.slice();
    if (now.length === 0) this.#remove(owner);
  }

  /** Everybody who wants something there. */
  ownersOf(place: Place): string[] {
    const shared = this.#places.shared(place);
    if (shared) return Array.from(shared.keys(), (number) => this.#nameOf(number));
    return this.#places.isWanted(place) ? [this.#nameOf(this.#places.owner(place))] : [];
  }

  /** Nobody else wants anything there. */
  isAlone(place: Place, owner: string): boolean {
    const places = this.#places;
    return !places.shared(place) && (!places.isWanted(place) || this.#nameOf(places.owner(place)) === owner);
  }

  placesOf(owner: string): readonly Place[] {
    return this.#owners.get(owner)?.places ?? [];
  }

  *itemsOf(name: string): Iterable<Item> {
    const owner = this.#owners.get(name);
    for (const place of owner?.places ?? []) yield this.#wish(place, owner!);
  }

  has(owner: string): boolean {
    return this.#owners.has(owner);
  }

  /** What an owner wants and does not get. */
  conflicts(name: string): Conflict[] {
    const owner = this.#owners.get(name);
    const found: Conflict[] = [];
    for (const place of owner?.places ?? []) {
      const winner = this.#places.owner(place);
      if (winner !== owner!.number && !this.#places.isWantedAs(place, this.#wish(place, owner!)))
        found.push({ key: this.#places.keyOf(place), winner: this.#nameOf(winner) });
    }
    return found;
  }

  /** A copy of the whole. */
  network(): NodeNetwork {
    const all = new Map<string, Item>();
    for (const place of this.#places.all()) {
      const item = this.#places.wanted(place);
      if (item) all.set(this.#places.keyOf(place), item);
    }
    return all;
  }

  #add(name: string): Owner {
    const owner: Owner = { name, number: this.#freeNumbers.pop() ?? this.#byNumber.length, places: [] };
    this.#byNumber[owner.number] = owner;
    this.#owners.set(name, owner);
    return owner;
  }

  #remove({ name, number }: Owner): void {
    this.#owners.delete(name);
    this.#byNumber[number] = undefined;
    this.#freeNumbers.push(number);
  }

  #nameOf(number: OwnerNumber): string {
    return this.#byNumber[number]!.name;
  }

  /** What an owner wants at one of its places. */
  #wish(place: Place, owner: Owner): Item {
    return this.#places.shared(place)?.get(owner.number) ?? this.#places.wanted(place)!;
  }

  /** Whether that is what an owner wants at one of its places. */
  #isWish(place: Place, owner: Owner, item: Item): boolean {
    const own = this.#places.shared(place)?.get(owner.number);
    return own ? equalItems(own, item) : this.#places.isWantedAs(place, item);
  }

  #put(place: Place, { number }: Owner, item: Item): boolean {
    const places = this.#places;
    const shared = places.shared(place);
    if (!shared && (!places.isWanted(place) || places.owner(place) === number)) {
      places.want(place, item, number);
      return true;
    }
    const wishes = shared ?? new Map([[places.owner(place), places.wanted(place)!]]);
    wishes.set(number, item);
    places.share(place, wishes);
    return this.#settle(place, wishes);
  }

  #take(place: Place, { number }: Owner): boolean {
    const wishes = this.#places.shared(place);
    if (!wishes) {
      this.#places.want(place, undefined, number);
      return true;
    }
    wishes.delete(number);
    return this.#settle(place, wishes);
  }

  /** Chooses the item that counts. @returns whether it is another than before */
  #settle(place: Place, wishes: Map<OwnerNumber, Item>): boolean {
    const [first] = [...wishes.keys()].sort((a, b) => (this.#nameOf(a) < this.#nameOf(b) ? -1 : 1));
    const item = wishes.get(first!)!;
    const isSame = this.#places.isWantedAs(place, item);
    if (wishes.size === 1) this.#places.share(place, undefined);
    this.#places.want(place, isSame ? this.#places.wanted(place)! : item, first!);
    return !isSame;
  }
}
