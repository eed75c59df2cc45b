import type { Entry } from './cache.ts';

/** Entries in the order they came, linked through themselves. */
export class Queue {
  bytes = 0;
  oldest: Entry | undefined;
  #newest: Entry | undefined;

  push(entry: Entry): void {
    entry.queue = this;
    entry.before = this.#newest;
    entry.after = undefined;
    if (this.#newest) this.#newest.after = entry;
    else this.oldest = entry;
    this.#newest = entry;
    this.bytes += entry.bytes;
  }

  /** The newest first. */
  *entries(): Generator<Entry> {
    for (let entry = this.#newest; entry; ) {
      const { before } = entry;
      yield entry;
      entry = before;
    }
  }

  remove(entry: Entry): void {
    if (entry.queue !== this) return;
    if (entry.before) entry.before.after = entry.after;
    else this.oldest = entry.after;
    if (entry.after) entry.after.before = entry.before;
    else this.#newest = entry.before;
    entry.queue = entry.before = entry.after = undefined;
    this.bytes -= entry.bytes;
  }
}

const ghostSlots = 8192;

/** Hashes of what left the small queue: what comes back is no passer-by. A fixed number; the newest overwrite the oldest of their slot. */
export class Ghosts {
  readonly #hashes = new Int32Array(ghostSlots);

  put(hash: number): void {
    this.#hashes[hash & (ghostSlots - 1)] = hash;
  }

  take(hash: number): boolean {
    const slot = hash & (ghostSlots - 1);
    if (hash === 0 || this.#hashes[slot] !== hash) return false;
    this.#hashes[slot] = 0;
    return true;
  }
}
