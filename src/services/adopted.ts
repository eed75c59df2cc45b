import type { NftElement, NodeNetwork } from '../reconcile/model.ts';
import type { Ids } from './ids.ts';
import { affinityClass, parseNumber, setKey } from './values.ts';

/** Slots of a set of endpoints by slot and, with session affinity, the places of its endpoints; endpoints by address and port. */
export interface AdoptedSet {
  id: number;
  slots: string[];
  places: Map<string, number>;
}

/**
 * What the kernel holds from before a restart. The plan takes the numbers it finds there, so that a restarted agent writes nothing that is right: which set
 * was whose is told by the keys that lead to it.
 */
export class Adopted {
  /** `service-ips4 10.96.0.1 . tcp . 80` to its value */
  readonly #leads = new Map<string, string>();
  /** By key of the set, in no order: what the element leads to, an endpoint or with session affinity its number. */
  readonly #slots = new Map<string, { slot: number; to: string }[]>();
  /** By number. */
  readonly #endpoints = new Map<string, string>();
  /** Timeouts of session affinity, in seconds, by their index. */
  readonly timeouts = new Map<number, number>();

  /** @param network what the kernel holds; its ids are reserved */
  constructor(network: NodeNetwork, setIds: Ids) {
    for (const item of network.values()) if (item.kind === 'nft-element') this.#note(item, setIds);
  }

  #note({ set, key, data }: NftElement, setIds: Ids): void {
    if (data === undefined) return;
    if (/^(service-ips|nodeports|nodeports-outside|external-ports|external-outside)[46]$/.test(set)) {
      this.#leads.set(`${set} ${key}`, data);
      setIds.adopt(parseNumber(data).setId);
    } else if (/^(slots[46]|affinity-slots)$/.test(set)) {
      const [of = '', slot] = key.split(' . ');
      let slots = this.#slots.get(of);
      if (!slots) this.#slots.set(of, (slots = []));
      slots.push({ slot: Number(slot), to: data });
      setIds.adopt(parseNumber(of).setId);
    } else if (/^endpoints[46]$/.test(set)) this.#endpoints.set(key, data);
    else if (/^balancers[46]$/.test(set)) {
      const seconds = /^goto affinity-(\d+)$/.exec(data)?.[1];
      if (seconds !== undefined) this.timeouts.set(parseNumber(key).low - affinityClass(0), Number(seconds));
    }
  }

  /** @param leads keys of elements that would lead to the set, as `SET KEY` */
  find(leads: readonly string[]): AdoptedSet | undefined {
    const value = leads.map((lead) => this.#leads.get(lead)).find((found) => found !== undefined);
    if (value === undefined) return undefined;
    const { setId } = parseNumber(value);
    const found: AdoptedSet = { id: setId, slots: [], places: new Map() };
    const seen = new Set<string>();
    for (const { to } of (this.#slots.get(setKey(setId)) ?? []).sort((a, b) => a.slot - b.slot)) {
      const endpoint = to.includes(' . ') ? to : this.#endpoints.get(to);
      if (endpoint === undefined || seen.has(endpoint)) continue;
      if (endpoint !== to) {
        const { setId: of, low } = parseNumber(to);
        if (of !== setId) continue;
        found.places.set(endpoint, low);
      }
      seen.add(endpoint);
      found.slots.push(endpoint);
    }
    return found;
  }
}
