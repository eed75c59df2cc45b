import type { NftElement, NodeNetwork } from '../reconcile/model.ts';
import { affinityClass, parseNumber, slotKey } from './values.ts';

/** Slots of a set of endpoints by slot and, with session affinity, the places of its endpoints; endpoints by address and port. */
export interface AdoptedSet {
  id: number;
  slots: string[];
  places: Map<string, number>;
}

/** By which elements keys lead to a set, and where its slots are. */
const leadSets = /^(service-ips|nodeports|nodeports-outside|external-ports|external-outside)[46]$/;
/** That of an element that leads to a set: `tcp . 80` is the end of its key. */
const protocolOf = (lead: string): string => lead.split(' ').at(-3)!;
const slotSets = ['slots4', 'slots6', 'affinity-slots'] as const;

/**
 * What the kernel holds from before a restart. The plan takes the numbers it finds there, so that a restarted agent writes nothing that is right: which set
 * was whose is told by the keys that lead to it.
 */
export class Adopted {
  readonly #held: NodeNetwork;
  /** Timeouts of session affinity, in seconds, by their index. */
  readonly timeouts = new Map<number, number>();
  /** Of all sets that elements lead to or that have slots. */
  readonly setIds = new Set<number>();

  /** @param network what the kernel holds, and goes on to until the first plan is written */
  constructor(network: NodeNetwork) {
    this.#held = network;
    for (const item of network.values()) if (item.kind === 'nft-element') this.#note(item);
  }

  #note({ set, key, data }: NftElement): void {
    if (data === undefined) return;
    if (leadSets.test(set)) this.setIds.add(parseNumber(data).setId);
    else if ((slotSets as readonly string[]).includes(set)) this.setIds.add(parseNumber(key.slice(0, key.indexOf(' '))).setId);
    else if (set === 'balancers') {
      const seconds = /^goto affinity-(\d+)$/.exec(data)?.[1];
      if (seconds !== undefined) this.timeouts.set(parseNumber(key).low - affinityClass(0), Number(seconds));
    }
  }

  /** @param leads keys of elements that would lead to the set, as `SET KEY` */
  find(leads: readonly string[]): AdoptedSet | undefined {
    const lead = leads.find((one) => this.#data(one) !== undefined);
    if (lead === undefined) return undefined;
    const { setId } = parseNumber(this.#data(lead)!);
    const found: AdoptedSet = { id: setId, slots: [], places: new Map() };
    const seen = new Set<string>();
    for (const to of this.#slotsOf(setId, protocolOf(lead))) {
      const endpoint = to.includes(' . ') ? to : (this.#data(`endpoints4 ${to}`) ?? this.#data(`endpoints6 ${to}`));
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

  /** By slot: what the element leads to, an endpoint or with session affinity its number. Where one is missing, those behind it are not looked for. */
  *#slotsOf(setId: number, protocol: string): Iterable<string> {
    for (let slot = 0, set: (typeof slotSets)[number] | undefined; ; slot++) {
      const at = (name: (typeof slotSets)[number]): string | undefined =>
        this.#data(`${name} ${slotKey(setId, slot)}${name === 'affinity-slots' ? '' : ` . ${protocol}`}`);
      set ??= slotSets.find((name) => at(name) !== undefined);
      const to = set && at(set);
      if (to === undefined) return;
      yield to;
    }
  }

  #data(element: string): string | undefined {
    const item = this.#held.get(`nft-element ${element}`);
    return item?.kind === 'nft-element' ? item.data : undefined;
  }
}
