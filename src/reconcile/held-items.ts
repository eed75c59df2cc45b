import type { Item, NodeNetwork } from './model.ts';
import type { Places } from './places.ts';

/** What the kernel is known to hold, by key; items of elements are made when they are asked for. Always as it is now. */
export class HeldItems implements NodeNetwork {
  readonly #places: Places;

  constructor(places: Places) {
    this.#places = places;
  }

  get size(): number {
    let size = 0;
    for (const place of this.#places.all()) if (this.#places.isHeld(place)) size++;
    return size;
  }

  has(key: string): boolean {
    const place = this.#places.find(key);
    return place !== undefined && this.#places.isHeld(place);
  }

  get(key: string): Item | undefined {
    const place = this.#places.find(key);
    return place === undefined ? undefined : this.#places.held(place);
  }

  *entries(): MapIterator<[string, Item]> {
    for (const place of this.#places.all()) {
      const item = this.#places.held(place);
      if (item) yield [this.#places.keyOf(place), item];
    }
    return undefined;
  }

  *keys(): MapIterator<string> {
    for (const place of this.#places.all()) if (this.#places.isHeld(place)) yield this.#places.keyOf(place);
    return undefined;
  }

  *values(): MapIterator<Item> {
    for (const place of this.#places.all()) {
      const item = this.#places.held(place);
      if (item) yield item;
    }
    return undefined;
  }

  forEach(each: (item: Item, key: string, all: NodeNetwork) => void): void {
    for (const [key, item] of this.entries()) each(item, key, this);
  }

  [Symbol.iterator](): MapIterator<[string, Item]> {
    return this.entries();
  }
}
