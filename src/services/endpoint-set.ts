import type { NftElement } from '../reconcile/model.ts';
import type { Numbers } from '../reconcile/numbers.ts';
import type { Adopted } from './adopted.ts';
import type { Backend } from './endpoints.ts';
import { named, type Protocol } from './names.ts';
import type { Family } from '../net/ip.ts';
import { assignSlots } from './slots.ts';
import { classMask, maxEndpoints, numberOf, setKey, slotKey } from './values.ts';

/** In no address and port. */
const between = '\n';

/**
 * One set of endpoints as it stands in the kernel: who is in which slot and, with session affinity, each one's place. Slots have no holes, since one is drawn at
 * random, so an endpoint may move to another; its place, by which clients are remembered, it keeps for as long as it is in the set.
 */
export class EndpointSet {
  readonly id: number;
  /** By slot; joined between plans, since there are as many as endpoints in the cluster. */
  #slots: string;
  /** With session affinity. */
  #places: Map<string, number> | undefined;
  #next = 0;

  private constructor(id: number, slots: readonly string[], places: Map<string, number>) {
    this.id = id;
    this.#slots = slots.join(between);
    if (places.size === 0) return;
    this.#places = places;
    this.#next = Math.max(...places.values()) + 1;
  }

  /** @param leads elements of the kernel that would lead to the set, as `SET KEY`: from before a restart its id, slots and places are kept */
  static make(ids: Numbers, adopted: Adopted | undefined, leads: readonly string[]): EndpointSet {
    const found = adopted?.find(leads);
    if (found && ids.claim(found.id)) return new EndpointSet(found.id, found.slots, found.places);
    return new EndpointSet(ids.take(), [], new Map());
  }

  /**
   * The elements of these backends: slots, and who may meet itself; and how many endpoints were chosen.
   * @param isSticky with session affinity: slots lead to endpoints with numbers of their own
   */
  plan(backends: readonly Backend[], { family, protocol }: { family: Family; protocol: Protocol }, isSticky: boolean): { elements: NftElement[]; size: number } {
    const chosen = backends.length > maxEndpoints ? backends.slice(0, maxEndpoints) : backends;
    const wanted = new Set(chosen.map(({ key }) => key));
    const slots = assignSlots(this.#slots === '' ? [] : this.#slots.split(between), wanted);
    this.#slots = slots.join(between);
    const elements = isSticky ? this.#sticky(slots, wanted, family) : this.#plain(slots, family, protocol);
    const hairpin = new Set(chosen.flatMap(({ isLocal, address }) => (isLocal ? [`${address} . ${address}`] : [])));
    for (const key of hairpin) elements.push({ kind: 'nft-element', set: named('hairpin', family), key });
    return { elements, size: slots.length };
  }

  #plain(slots: readonly string[], family: Family, protocol: Protocol): NftElement[] {
    this.#places = undefined;
    const set = named('slots', family);
    const id = setKey(this.id);
    return slots.map((data, slot) => ({ kind: 'nft-element', set, key: `${id} . ${slot} . ${protocol}`, data }));
  }

  #sticky(slots: readonly string[], wanted: ReadonlySet<string>, family: Family): NftElement[] {
    const places = (this.#places ??= new Map());
    for (const key of places.keys()) if (!wanted.has(key)) places.delete(key);
    const taken = new Set(places.values());
    const set = named('endpoints', family);
    return slots.flatMap((data, slot): NftElement[] => {
      const number = numberOf(this.id, this.#place(places, data, taken));
      return [
        { kind: 'nft-element', set: 'affinity-slots', key: slotKey(this.id, slot), data: number },
        { kind: 'nft-element', set, key: number, data },
      ];
    });
  }

  /** A place that was left is given again as late as can be: clients that remember it would all come to the next one there. */
  #place(places: Map<string, number>, key: string, taken: Set<number>): number {
    let place = places.get(key);
    if (place !== undefined) return place;
    for (place = this.#next % (classMask + 1); taken.has(place); place = (place + 1) % (classMask + 1));
    taken.add(place);
    places.set(key, place);
    this.#next = place + 1;
    return place;
  }
}
