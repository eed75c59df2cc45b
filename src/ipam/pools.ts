import type { IpAddr } from '../net/ip.ts';
import type { Prefix } from '../net/prefix.ts';
import type { Store } from './files.ts';
import { Pool } from './pool.ts';

export interface PoolUse {
  prefix: Prefix;
  capacity: number;
  used: number;
}

const cursorFile = 'cursor';

/** The ranges that addresses are given from, and where in each, which outlives restarts and changes of the ranges. */
export class Pools {
  readonly #store: Store;
  /** By range, also of former ones. */
  readonly #cursors: Map<string, number>;
  #pools: Pool[] = [];

  constructor(store: Store) {
    this.#store = store;
    this.#cursors = loadCursors(store);
  }

  /** @param held in use, whatever range they are of */
  setRanges(prefixes: readonly Prefix[], held: () => Iterable<IpAddr>): void {
    const before = this.#pools;
    for (const { prefix, cursor } of before) this.#cursors.set(`${prefix}`, cursor);
    this.#pools = prefixes.map((prefix) => {
      const same = before.find((pool) => pool.prefix.equals(prefix));
      if (same) return same;
      const pool = new Pool(prefix);
      pool.cursor = this.#cursors.get(`${prefix}`) ?? pool.cursor;
      for (const address of held()) pool.hold(address);
      return pool;
    });
  }

  get all(): readonly Pool[] {
    return this.#pools;
  }

  contains(address: IpAddr): boolean {
    return this.#pools.some(({ prefix }) => prefix.contains(address));
  }

  /** Whether the next container could get it. */
  isFree(address: IpAddr): boolean {
    return this.#pools.some((pool) => pool.isFree(address));
  }

  hold(address: IpAddr): void {
    for (const pool of this.#pools) pool.hold(address);
  }

  give(address: IpAddr): void {
    for (const pool of this.#pools) pool.give(address);
  }

  use(): PoolUse[] {
    return this.#pools.map(({ prefix, capacity, used }) => ({ prefix, capacity, used }));
  }

  /**
   * Writes the cursors when what is on disk has been passed. A file that is written for each lease costs as much as the lease itself: ext4 looks long for
   * an inode where some were given back just now.
   */
  keepCursors(): void {
    if (!this.#pools.every((pool) => pool.isAhead(this.#cursors.get(`${pool.prefix}`), this.#ahead))) this.saveCursors();
  }

  /** @returns whether they could be written; a full disk shows at the next lease besides */
  saveCursors(): boolean {
    for (const pool of this.#pools) this.#cursors.set(`${pool.prefix}`, pool.milestone(this.#ahead));
    try {
      this.#store.put(cursorFile, JSON.stringify(Object.fromEntries(this.#cursors)));
      return true;
    } catch {
      return false;
    }
  }

  /** So many addresses a restart may pass, alike in all ranges; few enough that it is no noticeable part of any. */
  get #ahead(): number {
    return Math.min(32, ...this.#pools.map(({ capacity }) => Math.floor(capacity / 16)));
  }
}

function loadCursors(store: Store): Map<string, number> {
  try {
    return new Map(Object.entries(JSON.parse(store.read(cursorFile)) as Record<string, number>));
  } catch {
    // Only the order in which addresses are used again depends on it.
    return new Map();
  }
}
