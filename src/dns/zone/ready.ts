import { headerBytes, rrType } from '../wire/constants.ts';
import { hashName } from '../wire/hash.ts';
import { lowerByte, type WireName } from '../wire/names.ts';
import type { Query } from '../wire/query.ts';
import type { Reply } from '../wire/reply.ts';
import type { Changes } from './changes.ts';

/**
 * Of a kept answer: 32-bit words, then the name, then the records. `what` has the name's length, the type and the records' length; `rest` where the serial stands, and the end of the hash
 * of the name that the answer rests on.
 */
const [keyWord, ownVersion, targetVersion, counts, what, rest, headWords] = [0, 1, 2, 3, 4, 5, 6];
const headBytes = 4 * headWords;
const noSerial = 0xffff;
const firstBytes = 1 << 18;
/** An entry of the index is where the answer begins, in words, plus one; and the upper bits of its key, so that others are rarely looked at. */
const placeBits = 22;
const placeMask = (1 << placeBits) - 1;
/** Places looked at for one key. */
const mostSteps = 8;

/** What `keep` is told beside the records. */
export interface Rests {
  /** A name whose addresses stand in the answer as well. */
  target?: WireName;
  /** Where the zone's serial stands in the records. */
  serialAt?: number;
}

/**
 * Answers of the zones as bytes, from behind the question on: the same name and type gets the same bytes again, as all pointers in them lead to the question's name, which
 * stands at the same place each time. Found and copied without touching an object: of ten thousand names asked for at random, following references from a name to its records costs
 * more than all else. An answer holds until the name, or the one that it rests on, changes.
 */
export class ReadyAnswers {
  readonly #changes: Changes;
  readonly #mostBytes: number;
  /** By key; small, as it is all over the processor's caches. */
  #index = new Int32Array(1 << 12);
  #bytes = new Uint8Array(firstBytes);
  #words = new Int32Array(this.#bytes.buffer);
  #end = 0;
  #kept = 0;

  /** @param mostBytes of answers: a power of two from 2^18 to 2^24 */
  constructor(changes: Changes, mostBytes = 1 << 24) {
    this.#changes = changes;
    this.#mostBytes = mostBytes;
  }

  /** Types that answers are kept of: what pods ask for. */
  static holds(type: number): boolean {
    return type === rrType.A || type === rrType.AAAA || type === rrType.SRV;
  }

  /** Writes the records into a reply that has been begun. @returns false when none are kept, or they do not fit */
  write(query: Query, reply: Reply, serial: number): boolean {
    const word = this.#find(query);
    if (word < 0) return false;
    const words = this.#words;
    const nameLength = words[word + what]! >>> 24;
    const length = words[word + what]! & 0xffff;
    if (length > reply.room) return false;
    const [from, to] = [4 * word + headBytes + nameLength, reply.at + reply.position];
    const { buffer } = reply;
    const bytes = this.#bytes;
    for (let i = 0; i < length; i++) buffer[to + i] = bytes[from + i]!;
    const serialAt = words[word + rest]! >>> 16;
    if (serialAt !== noSerial) {
      buffer[to + serialAt] = serial >>> 24;
      buffer[to + serialAt + 1] = serial >>> 16;
      buffer[to + serialAt + 2] = serial >>> 8;
      buffer[to + serialAt + 3] = serial;
    }
    reply.position += length;
    const count = words[word + counts]!;
    reply.answers = count & 0xff;
    reply.authority = (count >> 8) & 0xff;
    reply.additional = count >> 16;
    return true;
  }

  /** The reply's records, written behind the question, answer `query` until something changes. */
  keep(query: Query, reply: Reply, { target, serialAt = noSerial }: Rests): void {
    const from = query.questionEnd;
    const length = reply.position - from;
    const { nameLength } = query;
    if (reply.answers > 0xff || reply.authority > 0xff || reply.additional > 0xff || length > 0x7fff) return;
    const need = (headBytes + nameLength + length + 3) >> 2;
    if (!this.#makeRoom(need)) return;
    const word = this.#end;
    this.#end += need;
    const { versions, mask } = this.#changes;
    const [words, bytes] = [this.#words, this.#bytes];
    const other = target === undefined ? query.hashes[0]! : hashName(target);
    const key = keyOf(query);
    words[word + keyWord] = key;
    words[word + ownVersion] = versions[query.hashes[0]! & mask]!;
    words[word + targetVersion] = versions[other & mask]!;
    words[word + counts] = reply.answers | (reply.authority << 8) | (reply.additional << 16);
    words[word + what] = whatOf(query) | length;
    words[word + rest] = (serialAt << 16) | (other & mask);
    let at = 4 * word + headBytes;
    for (let i = 0; i < nameLength; i++) bytes[at++] = lowerByte[query.buffer[query.at + headerBytes + i]!]!;
    for (let i = 0; i < length; i++) bytes[at++] = reply.buffer[reply.at + from + i]!;
    this.#put(key, word);
  }

  /** @returns where it begins, in words; -1: there is none, or not any more */
  #find(query: Query): number {
    const key = keyOf(query);
    const [index, words] = [this.#index, this.#words];
    const last = index.length - 1;
    for (let step = 0, at = placeOf(key) & last; step < mostSteps; step++, at = (at + 1) & last) {
      const entry = index[at]!;
      if (entry === 0) return -1;
      if ((entry ^ key) >>> placeBits !== 0) continue;
      const word = (entry & placeMask) - 1;
      if (!this.#isAsked(query, word)) continue;
      const { versions, mask } = this.#changes;
      const holds = versions[query.hashes[0]! & mask] === words[word + ownVersion] && versions[words[word + rest]! & 0xffff] === words[word + targetVersion];
      return holds ? word : -1;
    }
    return -1;
  }

  #isAsked(query: Query, word: number): boolean {
    const { nameLength, buffer } = query;
    const [words, bytes] = [this.#words, this.#bytes];
    if ((words[word + what]! & ~0xffff) !== whatOf(query)) return false;
    const [name, at] = [4 * word + headBytes, query.at + headerBytes];
    for (let i = 0; i < nameLength; i++) if (bytes[name + i] !== lowerByte[buffer[at + i]!]) return false;
    return true;
  }

  /** In the place of an older answer with this key, a free one, or the last one that is looked at. */
  #put(key: number, word: number): void {
    const [index, words] = [this.#index, this.#words];
    const last = index.length - 1;
    let at = placeOf(key) & last;
    for (let step = 1; step < mostSteps && index[at] !== 0 && words[(index[at]! & placeMask) - 1 + keyWord] !== key; step++) at = (at + 1) & last;
    if (index[at] === 0) this.#kept++;
    index[at] = (key & ~placeMask) | (word + 1);
  }

  /** What was replaced is in the way only here: when all is full, everything is forgotten, and soon there again. */
  #makeRoom(need: number): boolean {
    if (2 * (this.#kept + 1) > this.#index.length) this.#growIndex();
    if (this.#end + need <= this.#words.length) return true;
    const bytes = this.#bytes.length * 2;
    if (bytes > this.#mostBytes || 4 * need > firstBytes) {
      this.#index.fill(0);
      this.#kept = this.#end = 0;
      return 4 * need <= firstBytes;
    }
    const before = this.#bytes;
    this.#bytes = new Uint8Array(bytes);
    this.#bytes.set(before);
    this.#words = new Int32Array(this.#bytes.buffer);
    return true;
  }

  #growIndex(): void {
    const before = this.#index;
    this.#index = new Int32Array(before.length * 2);
    this.#kept = 0;
    for (const entry of before) {
      const word = (entry & placeMask) - 1;
      if (entry !== 0) this.#put(this.#words[word + keyWord]!, word);
    }
  }
}

/** Of name and type. */
const keyOf = (query: Query): number => Math.imul(query.hashes[0]! ^ Math.imul(query.type, 0x9e3779b1), 0x85ebca6b);
/** The lower bits of a product are the poorer ones, and the upper ones stand in the entry. */
const placeOf = (key: number): number => key ^ (key >>> 15);
const whatOf = ({ nameLength, type }: Query): number => (nameLength << 24) | (type << 16);
