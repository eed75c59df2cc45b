import type { NftElement, NodeNetwork } from '../reconcile/model.ts';
import type { Ids } from './ids.ts';
import { affinityClass, maxEndpoints, parseNumber, setKey } from './values.ts';

/** Slots of a set of endpoints by slot, and the places of its endpoints; endpoints by address and port. */
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
  /** By key of the set, in no order. */
  readonly #slots = new Map<string, { slot: number; endpoint: string }[]>();
  readonly #endpoints = new Map<string, string>();
  /** Timeouts of session affinity, in seconds, by their index. */
  readonly timeouts = new Map<number, number>();
  /** For so many endpoints there are chains. */
  balancers = 0;
  pickers = 0;

  /** @param network what the kernel holds; its ids are reserved */
  constructor(network: NodeNetwork, setIds: Ids) {
    for (const item of network.values()) if (item.kind === 'nft-element') this.#note(item, setIds);
  }

  #note({ set, key, data }: NftElement, setIds: Ids): void {
    if (data === undefined) return;
    if (/^(service-ips|nodeports|nodeports-outside|external-ports|external-outside)[46]$/.test(set)) {
      this.#leads.set(`${set} ${key}`, data);
      setIds.adopt(parseNumber(data).setId);
    } else if (set === 'slots') {
      const [of = '', slot] = key.split(' . ');
      let slots = this.#slots.get(of);
      if (!slots) this.#slots.set(of, (slots = []));
      slots.push({ slot: Number(slot), endpoint: data });
      setIds.adopt(parseNumber(of).setId);
    } else if (/^endpoints[46]$/.test(set)) this.#endpoints.set(key, data);
    else if (set === 'balancers') this.#noteChain(parseNumber(key).low, data);
    else if (set === 'pickers') this.pickers = Math.max(this.pickers, parseNumber(key).low);
  }

  #noteChain(low: number, data: string): void {
    const seconds = /^goto affinity-(\d+)$/.exec(data)?.[1];
    if (seconds !== undefined) this.timeouts.set(low - affinityClass(0), Number(seconds));
    else if (low <= maxEndpoints) this.balancers = Math.max(this.balancers, low);
  }

  /** @param leads keys of elements that would lead to the set, as `SET KEY` */
  find(leads: readonly string[]): AdoptedSet | undefined {
    const value = leads.map((lead) => this.#leads.get(lead)).find((found) => found !== undefined);
    if (value === undefined) return undefined;
    const { setId } = parseNumber(value);
    const found: AdoptedSet = { id: setId, slots: [], places: new Map() };
    for (const { endpoint: number } of (this.#slots.get(setKey(setId)) ?? []).sort((a, b) => a.slot - b.slot)) {
      const endpoint = this.#endpoints.get(number);
      const { setId: of, low } = parseNumber(number);
      if (endpoint === undefined || of !== setId || found.places.has(endpoint)) continue;
      found.slots.push(endpoint);
      found.places.set(endpoint, low);
    }
    return found;
  }
}
