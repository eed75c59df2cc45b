import { type WireName, lowerName } from '../wire/names.ts';
import { hashName } from '../wire/hash.ts';
import { flag, headerBytes, rcode } from '../wire/constants.ts';
import type { Query } from '../wire/query.ts';
import { lowerByte } from '../wire/names.ts';
import type { Question } from '../wire/message.ts';
import type { Answer } from './answer.ts';
import { Ghosts, Queue } from './queue.ts';

export interface CacheOptions {
  /** Most bytes of all answers together, with what keeping them costs. */
  bytes: number;
  /** Seconds that answers are kept at least and at most, whatever they say of themselves; their TTLs are raised or lowered so. */
  minTtl: number;
  maxTtl: number;
  /** Absences at most. */
  maxNegativeTtl: number;
  /** For so long after its end an answer is still given when no resolver answers (RFC 8767); 0: never. */
  staleSeconds: number;
}

export const cacheDefaults: CacheOptions = { bytes: 16 << 20, minTtl: 0, maxTtl: 3600, maxNegativeTtl: 30, staleSeconds: 86_400 };

/** What an entry takes beside its bytes: the object, its strings' heads, its place in the table. Measured with 100,000 entries. */
const entryBytes = 320;
/** Names whose hashes were chosen to be equal must not make a search long: a full bucket loses its oldest. */
const mostInBucket = 8;

/**
 * An answer in the cache. What a hit looks at stands in the object itself, and numbers are whole: following references from one piece of memory to the next
 * costs more than all else. All times are monotonic milliseconds.
 */
export class Entry implements Answer {
  readonly hash: number;
  readonly type: number;
  readonly bits: number;
  /** Next in the bucket. */
  next: Entry | undefined;
  readonly name: WireName;
  readonly records: string;
  readonly marks: string;
  readonly answers: number;
  readonly freshUntilMs: number;
  readonly storedMs: number;
  /** Times it was asked for. */
  hits = 0;
  /** Someone is asking for it anew. */
  refreshing = false;
  /** Asked for since the queue last came by. */
  visited = false;
  readonly negative: boolean;
  readonly rcode: number;
  readonly authenticated: boolean;
  readonly own: Answer['own'];
  readonly from: string | undefined;
  readonly authority: number;
  readonly ttl: number;
  readonly staleUntilMs: number;
  /** Asking anew failed: not again before. */
  retryAtMs = 0;
  readonly bytes: number;
  queue: Queue | undefined;
  before: Entry | undefined;
  after: Entry | undefined;

  constructor(hash: number, bits: number, answer: Answer, times: { now: number; ttlMs: number; staleMs: number }) {
    this.hash = hash;
    this.type = answer.type;
    this.bits = bits;
    this.name = flat(answer.name);
    this.records = answer.records;
    this.marks = answer.marks;
    this.answers = answer.answers;
    this.storedMs = Math.floor(times.now);
    this.freshUntilMs = this.storedMs + times.ttlMs;
    this.staleUntilMs = this.freshUntilMs + times.staleMs;
    this.negative = answer.negative;
    this.rcode = answer.rcode;
    this.authenticated = answer.authenticated;
    this.own = answer.own;
    this.from = answer.from;
    this.authority = answer.authority;
    this.ttl = answer.ttl;
    this.bytes = entryBytes + answer.records.length + 2 * answer.marks.length + answer.name.length;
  }

  get question(): Question {
    return { name: this.name, type: this.type, dnssecOk: (this.bits & 1) !== 0, checkingDisabled: (this.bits & 2) !== 0 };
  }
}

/** In one piece of memory: what was put together from pieces keeps these alive. */
const flat = (text: string): string => Buffer.from(text, 'latin1').toString('latin1');

/** DO and CD change answers; they are part of the question here. */
const bitsOf = ({ dnssecOk, checkingDisabled }: Question): number => (dnssecOk ? 1 : 0) | (checkingDisabled ? 2 : 0);
const mix = (nameHash: number, type: number, bits: number): number => {
  const hash = Math.imul(nameHash ^ Math.imul(type, 0x9e3779b1) ^ (bits << 29), 0x85ebca6b);
  return hash ^ (hash >>> 15);
};

/**
 * Answers of resolvers by name, type, DO and CD; never anything but the answer to the very question (T30). Bounded by bytes. What is thrown away is chosen
 * as S3-FIFO does (Yang and others, SOSP 2023): what is new waits in a small queue, and only what is asked for a second time comes into the large one. A
 * flood of names that are asked once goes through the small queue and pushes nothing else out. A hit sets a bit and moves nothing.
 */
export class AnswerCache {
  readonly options: CacheOptions;
  readonly #small = new Queue();
  readonly #main = new Queue();
  readonly #ghosts = new Ghosts();
  #buckets: (Entry | undefined)[] = new Array<Entry | undefined>(1024).fill(undefined);
  #size = 0;
  #denials = 0;
  evictions = { success: 0, denial: 0 };

  constructor(options: Partial<CacheOptions> = {}) {
    this.options = { ...cacheDefaults, ...options };
  }

  /** From the next answer on; what is kept keeps its times. */
  configure(options: CacheOptions): void {
    Object.assign(this.options, options);
    while (this.bytes > options.bytes) this.#evict();
  }

  get size(): number {
    return this.#size;
  }

  /** How many of them are absences and failures. */
  get denials(): number {
    return this.#denials;
  }

  get bytes(): number {
    return this.#small.bytes + this.#main.bytes;
  }

  /** Fresh or not. Allocates nothing. */
  find(query: Query): Entry | undefined {
    const bits = (query.dnssecOk ? 1 : 0) | (query.flags & flag.CD ? 2 : 0);
    const hash = mix(query.hashes[0]!, query.type, bits);
    for (let entry = this.#buckets[hash & (this.#buckets.length - 1)]; entry; entry = entry.next) {
      if (entry.hash !== hash || entry.type !== query.type || entry.bits !== bits || !isNameOf(query, entry.name))
        continue;
      entry.visited = true;
      return entry;
    }
    return undefined;
  }

  get(question: Question): Entry | undefined {
    const name = lowerName(question.name);
    const bits = bitsOf(question);
    const hash = mix(hashName(name), question.type, bits);
    for (let entry = this.#buckets[hash & (this.#buckets.length - 1)]; entry; entry = entry.next) {
      if (entry.hash !== hash || entry.type !== question.type || entry.bits !== bits || entry.name !== name)
        continue;
      entry.visited = true;
      return entry;
    }
    return undefined;
  }

  /** @returns undefined when it is not to be kept */
  set(question: Question, answer: Answer, now: number): Entry | undefined {
    const { minTtl, maxTtl, maxNegativeTtl, staleSeconds, bytes } = this.options;
    const before = this.get(question);
    const ttl = answer.ttl <= 0 ? 0 : Math.min(Math.max(answer.ttl, minTtl), answer.negative ? maxNegativeTtl : maxTtl);
    if (ttl <= 0) {
      if (before) this.#remove(before);
      return undefined;
    }
    // Of failures, nothing is worth keeping longer than the failure.
    const staleMs = answer.rcode === rcode.SERVFAIL ? 0 : staleSeconds * 1000;
    const hash = mix(hashName(answer.name), answer.type, bitsOf(question));
    const entry = new Entry(hash, bitsOf(question), answer, { now, ttlMs: ttl * 1000, staleMs });
    if (entry.bytes > bytes / 8) return undefined;
    const known = before?.queue === this.#main || this.#ghosts.take(hash);
    if (before) this.#remove(before);
    this.#insert(entry);
    (known ? this.#main : this.#small).push(entry);
    while (this.bytes > bytes) this.#evict();
    return entry;
  }

  *all(): Generator<Entry> {
    for (const queue of [this.#main, this.#small]) yield* queue.entries();
  }

  /** Those that were asked for again, what came last first: of all that is kept, what will be asked for. Other turns of the process may come between two. */
  *hot(): Generator<Entry> {
    for (const queue of [this.#main, this.#small]) for (const entry of [...queue.entries()]) if (entry.hits > 0 || entry.visited) yield entry;
  }

  /** Keeps what another process had; it goes first when there is no room. @param now at which this process would have stored it */
  restore(question: Question, answer: Answer, times: { now: number; ttlMs: number; staleMs: number }): void {
    const hash = mix(hashName(answer.name), answer.type, bitsOf(question));
    if (this.get(question)) return;
    const entry = new Entry(hash, bitsOf(question), answer, times);
    if (entry.bytes > this.options.bytes / 8 || this.bytes + entry.bytes > this.options.bytes) return;
    this.#insert(entry);
    this.#main.push(entry);
  }

  /** Of answers that hold no longer nothing is to be told. @param isDue of the name, in lower case */
  forget(isDue: (name: WireName) => boolean): void {
    for (const head of [...this.#buckets]) {
      for (let entry = head; entry; ) {
        const { next } = entry;
        if (isDue(entry.name)) this.#remove(entry);
        entry = next;
      }
    }
  }

  #evict(): void {
    const fromSmall = this.#small.bytes > this.options.bytes / 10 || this.#main.oldest === undefined;
    const queue = fromSmall ? this.#small : this.#main;
    const entry = queue.oldest!;
    if (entry.visited) {
      // Asked for since: from the small queue it comes into the large one, there it gets another turn.
      entry.visited = false;
      queue.remove(entry);
      this.#main.push(entry);
      return;
    }
    if (fromSmall) this.#ghosts.put(entry.hash);
    this.evictions[entry.negative ? 'denial' : 'success']++;
    this.#remove(entry);
  }

  #insert(entry: Entry): void {
    if (this.#size >= this.#buckets.length) this.#grow();
    const index = entry.hash & (this.#buckets.length - 1);
    entry.next = this.#buckets[index];
    this.#buckets[index] = entry;
    this.#size++;
    if (entry.negative) this.#denials++;
    let count = 0;
    for (let other: Entry | undefined = entry; other; other = other.next) if (++count > mostInBucket) this.#remove(other);
  }

  #remove(entry: Entry): void {
    entry.queue?.remove(entry);
    const index = entry.hash & (this.#buckets.length - 1);
    if (this.#buckets[index] === entry) this.#buckets[index] = entry.next;
    else {
      let other = this.#buckets[index];
      while (other && other.next !== entry) other = other.next;
      if (!other) return;
      other.next = entry.next;
    }
    this.#size--;
    if (entry.negative) this.#denials--;
  }

  #grow(): void {
    const old = this.#buckets;
    this.#buckets = new Array<Entry | undefined>(old.length * 2).fill(undefined);
    for (const head of old) {
      for (let entry = head; entry; ) {
        const { next } = entry;
        const index = entry.hash & (this.#buckets.length - 1);
        entry.next = this.#buckets[index];
        this.#buckets[index] = entry;
        entry = next;
      }
    }
  }
}

function isNameOf({ buffer, at, nameLength }: Query, name: WireName): boolean {
  if (name.length !== nameLength) return false;
  const begin = at + headerBytes;
  for (let i = 0; i < nameLength; i++) if (lowerByte[buffer[begin + i]!] !== name.charCodeAt(i)) return false;
  return true;
}

/** Names a question among those that are under way. */
export const keyOf = (question: Question): string => `${question.type} ${bitsOf(question)} ${lowerName(question.name)}`;
