import { shortKey } from '../../short-key.ts';
import type { Atom } from './peers.ts';

/** Networks of one scope that mean an address, each combination once: what other scopes say of the address is not in it. */
export interface Region {
  /** Never given again. */
  id: number;
  /** A namespace, of whose NetworkPolicies the networks are, or `''` of cluster-wide policies. */
  scope: string;
  /** Sorted by id; at least one. */
  atoms: readonly Atom[];
}

const byId = (a: Atom, b: Atom): number => a.id - b.id;

/** All combinations that some piece is in, and a few more. */
export class Regions {
  readonly #byKey = new Map<string, Region>();
  #next = 1;
  #sweepAt = 256;
  /** Lists of regions, each once: many pieces are in the same of them. By the numbers of their regions. */
  #lists = new Map<string, readonly Region[]>();
  /** What a list becomes with another region, or without one of a scope. */
  #steps = new WeakMap<readonly Region[], Map<Region | string, readonly Region[]>>();
  static readonly none: readonly Region[] = [];

  /** @returns undefined for no networks */
  of(scope: string, atoms: Iterable<Atom>): Region | undefined {
    const sorted = [...atoms].sort(byId);
    if (sorted.length === 0) return undefined;
    const key = shortKey(`${scope} ${sorted.map(({ id }) => id).join()}`);
    let found = this.#byKey.get(key);
    if (!found) this.#byKey.set(key, (found = { id: this.#next++, scope, atoms: sorted }));
    return found;
  }

  /** A list of regions, one for each scope and sorted by it, with another one of a scope or without. The same list is the same object until `sweep` forgets it. */
  with(regions: readonly Region[], scope: string, region: Region | undefined): readonly Region[] {
    let steps = this.#steps.get(regions);
    if (!steps) this.#steps.set(regions, (steps = new Map()));
    const known = steps.get(region ?? scope);
    if (known) return known;
    const at = regions.findIndex((one) => one.scope >= scope);
    const isThere = at >= 0 && regions[at]!.scope === scope;
    const changed = regions.toSpliced(at < 0 ? regions.length : at, isThere ? 1 : 0, ...(region ? [region] : []));
    const key = shortKey(changed.map(({ id }) => id).join());
    let list = changed.length === 0 ? Regions.none : this.#lists.get(key);
    if (!list) this.#lists.set(key, (list = changed));
    steps.set(region ?? scope, list);
    return list;
  }

  get size(): number {
    return this.#byKey.size + this.#lists.size;
  }

  /** Forgets regions and lists that are not among these lists, once there are twice as many as there were. */
  sweep(lists: Iterable<readonly Region[]>): void {
    if (this.size < this.#sweepAt) return;
    const inUse = new Set(lists);
    const used = new Set<Region>();
    for (const list of inUse) for (const region of list) used.add(region);
    for (const [key, region] of this.#byKey) if (!used.has(region)) this.#byKey.delete(key);
    for (const [key, list] of this.#lists) if (!inUse.has(list)) this.#lists.delete(key);
    this.#steps = new WeakMap();
    this.#sweepAt = Math.max(256, 2 * this.size);
  }
}

export const sameRegions = (a: readonly Region[], b: readonly Region[]): boolean =>
  a === b || (a.length === b.length && a.every((region, i) => region === b[i]));

