import type { NftElement, NodeNetwork } from '../reconcile/model.ts';
import type { Ids } from './ids.ts';
import { parseEndpointKey, parseServiceValue, slotKey } from './values.ts';

/** Slots of a set of endpoints, and the ids of its endpoints by their address and port. */
export interface AdoptedSet {
  id: number;
  slots: string[];
  endpointIds: Map<string, number>;
}

/**
 * What the kernel holds from before a restart. The plan takes the ids it finds there, so that a restarted agent writes nothing
 * that is right: which set was whose is told by the keys that lead to it.
 */
export class Adopted {
  /** `service-ips4 10.96.0.1 . tcp . 80` to its value */
  readonly #leads = new Map<string, string>();
  readonly #slots = new Map<string, string>();
  readonly #endpoints = new Map<string, string>();

  /** @param network what the kernel holds; its ids are reserved in both allocators */
  constructor(network: NodeNetwork, setIds: Ids, endpointIds: Ids) {
    for (const item of network.values()) if (item.kind === 'nft-element') this.#note(item, setIds, endpointIds);
  }

  #note({ set, key, data }: NftElement, setIds: Ids, endpointIds: Ids): void {
    if (data === undefined) return;
    if (/^(service-ips|nodeports|nodeports-outside)[46]$/.test(set)) {
      this.#leads.set(`${set} ${key}`, data);
      setIds.adopt(parseServiceValue(data).setId);
    } else if (set === 'slots') {
      this.#slots.set(key, data);
      setIds.adopt(parseServiceValue(key.split(' . ')[0]!).setId);
    } else if (/^endpoints[46]$/.test(set)) {
      this.#endpoints.set(key, data);
      endpointIds.adopt(parseEndpointKey(key));
    }
  }

  /** @param leads keys of elements that would lead to the set, as `SET KEY` */
  find(leads: readonly string[]): AdoptedSet | undefined {
    const value = leads.map((lead) => this.#leads.get(lead)).find((found) => found !== undefined);
    if (value === undefined) return undefined;
    const { setId, count } = parseServiceValue(value);
    const found: AdoptedSet = { id: setId, slots: [], endpointIds: new Map() };
    for (let slot = 0; slot < count; slot++) {
      const id = this.#slots.get(slotKey(setId, slot));
      const endpoint = id === undefined ? undefined : this.#endpoints.get(id);
      if (id === undefined || endpoint === undefined) continue;
      found.slots.push(endpoint);
      found.endpointIds.set(endpoint, parseEndpointKey(id));
    }
    return found;
  }
}
