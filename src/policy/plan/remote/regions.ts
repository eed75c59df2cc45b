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

  /** @returns undefined for no networks */
  of(scope: string, atoms: Iterable<Atom>): Region | undefined {
    const sorted = [...atoms].sort(byId);
    if (sorted.length === 0) return undefined;
    const key = `${scope} ${sorted.map(({ id }) => id).join()}`;
    let found = this.#byKey.get(key);
    if (!found) this.#byKey.set(key, (found = { id: this.#next++, scope, atoms: sorted }));
    return found;
  }

  get size(): number {
    return this.#byKey.size;
  }

  /** Forgets those that are in no list, once there are twice as many as there were. */
  sweep(lists: Iterable<readonly Region[]>): void {
    if (this.size < this.#sweepAt) return;
    const used = new Set<Region>();
    let last: readonly Region[] | undefined;
    for (const list of lists) if (list !== last) for (const region of (last = list)) used.add(region);
    for (const [key, region] of this.#byKey) if (!used.has(region)) this.#byKey.delete(key);
    this.#sweepAt = Math.max(256, 2 * this.size);
  }
}

/** A list of regions, one for each scope and sorted by it, with another one of a scope or without. */
export function withRegion(regions: readonly Region[], scope: string, region: Region | undefined): readonly Region[] {
  const at = regions.findIndex((one) => one.scope >= scope);
  const isThere = at >= 0 && regions[at]!.scope === scope;
  return regions.toSpliced(at < 0 ? regions.length : at, isThere ? 1 : 0, ...(region ? [region] : []));
}

export const sameRegions = (a: readonly Region[], b: readonly Region[]): boolean =>
  a === b || (a.length === b.length && a.every((region, i) => region === b[i]));
