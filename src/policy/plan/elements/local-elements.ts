import type { NftElement } from '../../../reconcile/model.ts';
import { directions } from '../../model.ts';
import { type PodEntry, podAt } from '../remote/addresses.ts';
import type { Slot } from '../local/groups.ts';
import type { Judge } from '../local/judge.ts';
import { defaultSet, element, policySet } from './names.ts';
import type { Signature } from '../remote/signatures.ts';
import { type TrafficId, TrafficSets } from '../local/traffic-sets.ts';

/** One element, and what may pass by it; that the address is here says nothing of that. */
interface PodElement {
  set: string;
  key: string;
  cell?: TrafficId;
}

/** What a local pod may do with everybody, and with itself; only its addresses of a pod that no policy speaks of. */
interface PodPlan {
  elements: readonly PodElement[];
  text: string;
}

/** Defaults of local pods, what they may send to themselves by way of a Service, and which addresses are theirs. */
export class LocalElements {
  readonly #judge: Judge;
  readonly #traffic: TrafficSets;
  readonly #plans = new Map<string, PodPlan>();
  readonly #dirty = new Set<string>();

  constructor(judge: Judge, traffic: TrafficSets) {
    this.#judge = judge;
    this.#traffic = traffic;
  }

  /** Where policies speak of no local pod there is nobody to forge an address for, and nothing is planned. */
  compare(pods: ReadonlyMap<string, PodEntry>, nobody: Signature): void {
    const isJudging = [...pods.values()].some((pod) => slotsOf(pod).length > 0);
    for (const [key, pod] of pods) {
      const elements = isJudging ? this.#plan(pod, nobody) : [];
      const text = elements.map(({ set, key, cell = '' }) => `${set} ${key} ${cell}`).join();
      if ((this.#plans.get(key)?.text ?? '') === text) continue;
      this.#dirty.add(key);
      if (text === '') this.#plans.delete(key);
      else this.#plans.set(key, { elements, text });
    }
    for (const key of this.#plans.keys())
      if (!pods.has(key)) {
        this.#plans.delete(key);
        this.#dirty.add(key);
      }
  }

  *used(): Iterable<TrafficId> {
    for (const { elements } of this.#plans.values()) for (const { cell } of elements) if (cell !== undefined) yield cell;
  }

  *changes(classText: (id: TrafficId) => string): Iterable<[string, NftElement[]]> {
    for (const key of this.#dirty)
      yield [
        `policy pod ${key}`,
        (this.#plans.get(key)?.elements ?? []).map(
          ({ set, key, cell }): NftElement =>
            cell === undefined ? { kind: 'nft-element', set, key } : element(set, key, classText(cell)),
        ),
      ];
    this.#dirty.clear();
  }

  #plan(pod: PodEntry, nobody: Signature): PodElement[] {
    const slots = slotsOf(pod);
    const own = pod.addresses.filter((entry) => podAt(entry) === pod);
    const here = own.map(({ address }) => ({ set: policySet('policy-here', address.family), key: String(address) }));
    if (slots.length === 0) return here;
    const judged = own.flatMap(({ address, signature }) => {
      const text = String(address);
      // One class for both directions: each asks for it.
      let itself = TrafficSets.all;
      for (const slot of slots) itself = this.#traffic.intersect(itself, this.#judge.judge(slot, signature!, true));
      const { family } = address;
      const others = own.filter((one) => one.address.family === family);
      return [
        ...slots.map(({ direction, index }) => ({ set: defaultSet(direction, family), key: text, cell: nobody.cells[index]! })),
        ...others.map((one) => ({ set: policySet('policy-selves', family), key: `${text} . ${one.address}`, cell: itself })),
      ];
    });
    return [...here, ...judged];
  }
}

const slotsOf = (pod: PodEntry): Slot[] => directions.flatMap((direction) => pod.class.group?.slots[direction] ?? []);
