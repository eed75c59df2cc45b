import type { NftElement } from '../../../reconcile/model.ts';
import { fewPorts } from '../../limits/ports.ts';
import { Numbers } from '../../../reconcile/numbers.ts';
import {
  allowed,
  classBits,
  classNumber,
  classValue,
  denied,
  maxClass,
  portsSet,
  protocolNames,
  rangesSet,
  valueText,
} from './names.ts';
import type { TrafficId, TrafficSets } from '../local/traffic-sets.ts';

/** A class, and the elements that say which ports are in it. */
export interface PortClass {
  value: number;
  elements: readonly NftElement[];
}

/** One element of a class, without the class itself. */
type Part = readonly [set: string, port: string, data: string];

/** What stands in the kernel under a class, without its number: elements with their keys cut short, sorted. */
export type ClassContent = string;

export const contentOf = (low: number, parts: readonly string[]): ClassContent => `${low}|${parts.toSorted().join('|')}`;

/** Classes in use: what may pass, by number. */
export class Classes {
  readonly #traffic: TrafficSets;
  readonly #numbers: Numbers;
  /** Until the first plan is made: classes that the kernel holds. */
  #held: ReadonlyMap<ClassContent, number>;
  readonly #classes = new Map<TrafficId, PortClass>();
  readonly #fresh = new Set<TrafficId>();

  constructor(traffic: TrafficSets, held: ReadonlyMap<ClassContent, number>) {
    this.#traffic = traffic;
    this.#held = held;
    this.#numbers = new Numbers(1, maxClass, 'numbers of classes', Array.from(held.values(), classNumber));
  }

  /** The class of what may pass; it is in use until `sweep` is told otherwise. */
  valueOf(id: TrafficId): number {
    let found = this.#classes.get(id);
    if (!found) {
      found = this.#make(id);
      this.#classes.set(id, found);
      if (found.elements.length > 0) this.#fresh.add(id);
    }
    return found.value;
  }

  /**
   * Gives back what is not in use.
   * @returns numbers of classes that changed, with their elements now
   */
  sweep(used: ReadonlySet<TrafficId>): Map<number, readonly NftElement[]> {
    const changed = new Map<number, readonly NftElement[]>();
    for (const [id, { value, elements }] of this.#classes) {
      if (used.has(id)) continue;
      this.#classes.delete(id);
      if (elements.length === 0) continue;
      this.#numbers.release(classNumber(value));
      if (!this.#fresh.has(id)) changed.set(classNumber(value), []);
    }
    for (const id of this.#fresh) {
      const made = this.#classes.get(id);
      if (made) changed.set(classNumber(made.value), made.elements);
    }
    this.#fresh.clear();
    return changed;
  }

  finishAdoption(): void {
    this.#held = new Map();
    this.#numbers.finishAdoption();
  }

  #make(id: TrafficId): PortClass {
    const portless = this.#traffic.hasPortless(id) ? classBits.portless : 0;
    const [listed, unlisted] = [this.#parts(id, allowed), this.#parts(this.#traffic.complement(id), denied)];
    const otherPorts = unlisted.length < listed.length ? classBits.otherPorts : 0;
    const parts = otherPorts ? unlisted : listed;
    const low = portless | otherPorts | (parts.some(([name]) => name === rangesSet) ? classBits.hasRanges : 0);
    if (parts.length === 0) return { value: low, elements: [] };
    const held = this.#held.get(contentOf(low, parts.map((part) => part.join(' '))));
    const number = held !== undefined && this.#numbers.claim(classNumber(held)) ? classNumber(held) : this.#numbers.take();
    const value = classValue(number, low);
    const text = valueText(value);
    return {
      value,
      elements: parts.map(([name, port, data]) => ({ kind: 'nft-element', set: name, key: `${text} . ${port}`, data })),
    };
  }

  /** Set, port and verdict of each element that lists the ports. */
  #parts(id: TrafficId, verdict: number): Part[] {
    const data = valueText(verdict);
    return this.#traffic.rangesOf(id).flatMap(({ protocol, from, to }): Part[] => {
      const name = protocolNames[protocol];
      if (to - from >= fewPorts) return [[rangesSet, `${name} . ${from}-${to}`, data]];
      return Array.from({ length: to - from + 1 }, (_, i) => [portsSet, `${name} . ${from + i}`, data]);
    });
  }
}
