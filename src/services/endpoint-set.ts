import type { NftElement } from '../reconcile/model.ts';
import type { Adopted } from './adopted.ts';
import type { Backend } from './endpoints.ts';
import type { Ids } from './ids.ts';
import { named } from './names.ts';
import type { Family } from '../net/ip.ts';
import { assignSlots } from './slots.ts';
import { classMask, maxEndpoints, numberOf, slotKey } from './values.ts';

/**
 * One set of endpoints as it stands in the kernel: who is in which slot and, with session affinity, each one's place. Slots have no holes, since one is drawn at
 * random, so an endpoint may move to another; its place, by which clients are remembered, it keeps for as long as it is in the set.
 */
export class EndpointSet {
  readonly id: number;
  #slots: readonly string[];
  readonly #places: Map<string, number>;
  #next: number;

  private constructor(id: number, slots: readonly string[], places: Map<string, number>) {
    this.id = id;
    this.#slots = slots;
    this.#places = places;
    this.#next = Math.max(-1, ...places.values()) + 1;
  }

  /** @param leads elements of the kernel that would lead to the set, as `SET KEY`: from before a restart its id, slots and places are kept */
  static make(ids: Ids, adopted: Adopted | undefined, leads: readonly string[]): EndpointSet {
    const found = adopted?.find(leads);
    if (found && ids.claim(found.id)) return new EndpointSet(found.id, found.slots, found.places);
    return new EndpointSet(ids.take(), [], new Map());
  }

  get size(): number {
    return this.#slots.length;
  }

  /**
   * The elements of these backends: slots, and who may meet itself.
   * @param isSticky with session affinity: slots lead to endpoints with numbers of their own
   */
  plan(backends: readonly Backend[], family: Family, isSticky: boolean): NftElement[] {
    const chosen = backends.length > maxEndpoints ? backends.slice(0, maxEndpoints) : backends;
    const wanted = new Set(chosen.map(({ key }) => key));
    this.#slots = assignSlots(this.#slots, wanted);
    for (const key of this.#places.keys()) if (!isSticky || !wanted.has(key)) this.#places.delete(key);
    const taken = new Set(this.#places.values());
    const elements: NftElement[] = [];
    this.#slots.forEach((key, slot) => {
      if (!isSticky) {
        elements.push({ kind: 'nft-element', set: named('slots', family), key: slotKey(this.id, slot), data: key });
        return;
      }
      const number = numberOf(this.id, this.#place(key, taken));
      elements.push({ kind: 'nft-element', set: 'affinity-slots', key: slotKey(this.id, slot), data: number });
      elements.push({ kind: 'nft-element', set: named('endpoints', family), key: number, data: key });
    });
    const hairpin = new Set(chosen.flatMap(({ isLocal, address }) => (isLocal ? [`${address} . ${address}`] : [])));
    for (const key of hairpin) elements.push({ kind: 'nft-element', set: named('hairpin', family), key });
    return elements;
  }

  /** A place that was left is given again as late as can be: clients that remember it would all come to the next one there. */
  #place(key: string, taken: Set<number>): number {
    let place = this.#places.get(key);
    if (place !== undefined) return place;
    for (place = this.#next % (classMask + 1); taken.has(place); place = (place + 1) % (classMask + 1));
    taken.add(place);
    this.#places.set(key, place);
    this.#next = place + 1;
    return place;
  }
}
