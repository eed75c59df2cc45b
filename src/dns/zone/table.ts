import { headerBytes } from '../wire/constants.ts';
import { hashName } from '../wire/hash.ts';
import { lowerByte, type WireName } from '../wire/names.ts';
import type { Query } from '../wire/query.ts';
import type { RecordSet } from './record-set.ts';

/** The top of a zone: where negative answers get their SOA from. */
export interface Apex {
  name: WireName;
  labels: number;
  /** Of a reverse zone: labels of the name of an address; 0 of others. */
  addressLabels: number;
}

/** A name that exists: it has records, or names below it (an empty non-terminal), or is there by itself (a namespace). */
export interface Entry {
  readonly name: WireName;
  readonly hash: number;
  readonly apex: Apex;
  /** Few: one for each type. Replaced when one comes, never pushed to: that would make room for more. */
  sets: readonly RecordSet[];
  /** Existing names directly below. */
  children: number;
  /** Reasons to exist without records. */
  pins: number;
  next: Entry | undefined;
}

const noSets: readonly RecordSet[] = [];

/** Names by hash, chained, so that taking one away costs no more than putting one in. */
export class NameTable {
  #buckets: (Entry | undefined)[] = new Array<Entry | undefined>(1024).fill(undefined);
  #size = 0;
  /** A bit for each name, by its hash: most names that do not exist are known by it, without a look at the large table, which is in no cache of the processor. */
  #bits = new Uint8Array(1024);
  /** Bits that were set; those of names that are gone stay. */
  #bitsSet = 0;

  get size(): number {
    return this.#size;
  }

  get(name: WireName): Entry | undefined {
    const hash = hashName(name);
    let entry = this.#buckets[hash & (this.#buckets.length - 1)];
    while (entry && (entry.hash !== hash || entry.name !== name)) entry = entry.next;
    return entry;
  }

  /** The question's name without its first `skip` labels, found without making a string of it. */
  find(query: Query, skip: number): Entry | undefined {
    const hash = query.hashes[skip]!;
    if (!this.mayHave(hash)) return undefined;
    let entry = this.#buckets[hash & (this.#buckets.length - 1)];
    const at = query.at + headerBytes + query.labelAt[skip]!;
    const length = query.nameLength - query.labelAt[skip]!;
    while (entry && (entry.hash !== hash || !equals(entry.name, query.buffer, at, length))) entry = entry.next;
    return entry;
  }

  /** @returns false when no name has this hash */
  mayHave(hash: number): boolean {
    return (this.#bits[(hash >>> 3) & (this.#bits.length - 1)]! & (1 << (hash & 7))) !== 0;
  }

  /** The name must not be there yet. */
  add(name: WireName, apex: Apex): Entry {
    if (this.#size >= this.#buckets.length) this.#grow();
    const hash = hashName(name);
    const bucket = hash & (this.#buckets.length - 1);
    const entry: Entry = { name, hash, apex, sets: noSets, children: 0, pins: 0, next: this.#buckets[bucket] };
    this.#buckets[bucket] = entry;
    this.#size++;
    // At most every eighth is set, so that few are wrong.
    if (++this.#bitsSet > this.#bits.length) this.#renewBits();
    this.#setBit(hash);
    return entry;
  }

  remove(entry: Entry): void {
    const bucket = entry.hash & (this.#buckets.length - 1);
    let at = this.#buckets[bucket];
    if (at === entry) this.#buckets[bucket] = entry.next;
    else {
      while (at && at.next !== entry) at = at.next;
      if (!at) return;
      at.next = entry.next;
    }
    this.#size--;
  }

  *entries(): IterableIterator<Entry> {
    for (const first of this.#buckets) for (let entry = first; entry; entry = entry.next) yield entry;
  }

  #setBit(hash: number): void {
    this.#bits[(hash >>> 3) & (this.#bits.length - 1)]! |= 1 << (hash & 7);
  }

  #renewBits(): void {
    let bytes = 1024;
    while (2 * bytes < 3 * this.#size) bytes *= 2;
    this.#bits = new Uint8Array(bytes);
    this.#bitsSet = this.#size;
    for (const { hash } of this.entries()) this.#setBit(hash);
  }

  #grow(): void {
    const all = [...this.entries()];
    this.#buckets = new Array<Entry | undefined>(this.#buckets.length * 4).fill(undefined);
    for (const entry of all) {
      const bucket = entry.hash & (this.#buckets.length - 1);
      entry.next = this.#buckets[bucket];
      this.#buckets[bucket] = entry;
    }
  }
}

function equals(name: WireName, buffer: Uint8Array, at: number, length: number): boolean {
  if (name.length !== length) return false;
  for (let i = 0; i < length; i++) if (name.charCodeAt(i) !== lowerByte[buffer[at + i]!]) return false;
  return true;
}
