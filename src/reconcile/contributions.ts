import { equalItems } from './items.ts';
import { type Item, keyOf, type NodeNetwork } from './model.ts';

/** Another owner wants something else under the same key. */
export interface Conflict {
  key: string;
  /** Whose item counts: the first by name, so that the order of events does not matter. */
  winner: string;
}

interface Entry {
  item: Item;
  owner: string;
  /** Items of all owners, the winner's included; only when there are several. */
  shared?: Map<string, Item>;
}

/**
 * What is wanted, by who wants it. Several owners may want the same item; it is wanted until the last withdraws. Replacing one owner's items costs
 * what that owner has, and marks only the keys that really changed.
 */
export class Contributions {
  readonly #entries = new Map<string, Entry>();
  /** Keys alone: there are hundreds of thousands. */
  readonly #owners = new Map<string, readonly string[]>();

  /**
   * Replaces everything that an owner wants.
   * @param changed called for each key whose wanted item is another now
   */
  set(owner: string, items: Iterable<Item>, changed: (key: string) => void): void {
    const before = this.#owners.get(owner) ?? [];
    const now = new Map<string, Item>();
    for (const item of items) now.set(keyOf(item), item);
    const had = new Map<string, Item>();
    for (const key of before) had.set(key, this.#itemOf(key, owner));
    const keys: string[] = [];
    for (const [key, item] of now) {
      const old = had.get(key);
      if (!(old && equalItems(old, item)) && this.#put(key, owner, item)) changed(key);
      keys.push(key);
    }
    if (keys.length > 0) this.#owners.set(owner, keys);
    else this.#owners.delete(owner);
    for (const key of before) {
      if (!now.has(key) && this.#take(key, owner)) changed(key);
    }
  }

  get(key: string): Item | undefined {
    return this.#entries.get(key)?.item;
  }

  /** Everybody who wants something under this key. */
  ownersOf(key: string): string[] {
    const entry = this.#entries.get(key);
    if (!entry) return [];
    return entry.shared ? [...entry.shared.keys()] : [entry.owner];
  }

  keysOf(owner: string): Iterable<string> {
    return this.#owners.get(owner) ?? [];
  }

  *itemsOf(owner: string): Iterable<Item> {
    for (const key of this.#owners.get(owner) ?? []) yield this.#itemOf(key, owner);
  }

  has(owner: string): boolean {
    return this.#owners.has(owner);
  }

  owners(): Iterable<string> {
    return this.#owners.keys();
  }

  keys(): Iterable<string> {
    return this.#entries.keys();
  }

  /** What an owner wants and does not get. */
  conflicts(owner: string): Conflict[] {
    const found: Conflict[] = [];
    for (const key of this.#owners.get(owner) ?? []) {
      const entry = this.#entries.get(key)!;
      if (entry.owner !== owner && !equalItems(entry.item, this.#itemOf(key, owner))) found.push({ key, winner: entry.owner });
    }
    return found;
  }

  /** A copy of the whole. */
  network(): NodeNetwork {
    return new Map(Array.from(this.#entries, ([key, entry]) => [key, entry.item]));
  }

  /** What an owner wants under one of its keys. */
  #itemOf(key: string, owner: string): Item {
    const entry = this.#entries.get(key)!;
    return entry.shared ? entry.shared.get(owner)! : entry.item;
  }

  #put(key: string, owner: string, item: Item): boolean {
    const entry = this.#entries.get(key);
    if (!entry) {
      this.#entries.set(key, { item, owner });
      return true;
    }
    if (entry.owner === owner && !entry.shared) {
      entry.item = item;
      return true;
    }
    entry.shared ??= new Map([[entry.owner, entry.item]]);
    entry.shared.set(owner, item);
    return settle(entry);
  }

  #take(key: string, owner: string): boolean {
    const entry = this.#entries.get(key)!;
    if (!entry.shared) {
      this.#entries.delete(key);
      return true;
    }
    entry.shared.delete(owner);
    return settle(entry);
  }
}

/** Chooses the item that counts. @returns whether it is another than before */
function settle(entry: Entry): boolean {
  const before = entry.item;
  const owner = [...entry.shared!.keys()].sort()[0]!;
  const item = entry.shared!.get(owner)!;
  entry.owner = owner;
  if (entry.shared!.size === 1) entry.shared = undefined;
  if (equalItems(before, item)) return false;
  entry.item = item;
  return true;
}
