import type { NftElement } from '../../reconcile/model.ts';
import { directions } from '../model.ts';
import { type PodEntry, podAt } from './addresses.ts';
import type { Judge } from './judge.ts';
import { defaultSet, element, policySet } from './names.ts';
import type { Signature } from './signatures.ts';
import { type TrafficId, TrafficSets } from './traffic-sets.ts';

/** What a local pod may do with everybody, and with itself; undefined of a pod that no policy speaks of. */
interface PodPlan {
  defaults: readonly { set: string; key: string; cell: TrafficId }[];
  text: string;
}

/** Defaults of local pods, and what they may send to themselves by way of a Service. */
export class LocalElements {
  readonly #judge: Judge;
  readonly #traffic: TrafficSets;
  readonly #plans = new Map<string, PodPlan>();
  readonly #dirty = new Set<string>();

  constructor(judge: Judge, traffic: TrafficSets) {
    this.#judge = judge;
    this.#traffic = traffic;
  }

  compare(pods: ReadonlyMap<string, PodEntry>, nobody: Signature): void {
    for (const [key, pod] of pods) {
      const defaults = this.#plan(pod, nobody);
      const text = defaults.map(({ set, key, cell }) => `${set} ${key} ${cell}`).join();
      if ((this.#plans.get(key)?.text ?? '') === text) continue;
      this.#dirty.add(key);
      if (text === '') this.#plans.delete(key);
      else this.#plans.set(key, { defaults, text });
    }
    for (const key of this.#plans.keys())
      if (!pods.has(key)) {
        this.#plans.delete(key);
        this.#dirty.add(key);
      }
  }

  *used(): Iterable<TrafficId> {
    for (const { defaults } of this.#plans.values()) for (const { cell } of defaults) yield cell;
  }

  *changes(classText: (id: TrafficId) => string): Iterable<[string, NftElement[]]> {
    for (const key of this.#dirty)
      yield [
        `policy pod ${key}`,
        (this.#plans.get(key)?.defaults ?? []).map(({ set, key, cell }) => element(set, key, classText(cell))),
      ];
    this.#dirty.clear();
  }

  #plan(pod: PodEntry, nobody: Signature): PodPlan['defaults'] {
    const slots = directions.flatMap((direction) => pod.class.group?.slots[direction] ?? []);
    if (slots.length === 0) return [];
    const own = pod.addresses.filter((entry) => podAt(entry) === pod);
    return own.flatMap(({ address, signature }) => {
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
  }
}
