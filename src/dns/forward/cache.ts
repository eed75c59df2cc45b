import { rcode, rrType } from '../wire/constants.ts';
import type { Message, Question } from '../wire/message.ts';

export interface CacheOptions {
  /** Most answers kept; the ones not used for longest go first. */
  entries: number;
  /** Most bytes of all answers together. */
  bytes: number;
  /** Longest times, in seconds, whatever an answer says of itself. */
  ttl: number;
  negativeTtl: number;
}

const defaults: CacheOptions = { entries: 10_000, bytes: 16 << 20, ttl: 3600, negativeTtl: 30 };

interface Kept {
  message: Message;
  storedMs: number;
  ttl: number;
}

export interface Hit {
  message: Message;
  /** Whole seconds since it came; to be taken off every TTL. */
  age: number;
}

/** Answers of resolvers, by question: nothing but the answer to the very question is ever taken out of one (T30). Least recently used go first. */
export class AnswerCache {
  readonly #options: CacheOptions;
  readonly #now: () => number;
  readonly #kept = new Map<string, Kept>();
  #bytes = 0;

  /** @param now monotonic milliseconds: a clock that jumps changes nothing (F48) */
  constructor(now: () => number, options: Partial<CacheOptions> = {}) {
    this.#now = now;
    this.#options = { ...defaults, ...options };
  }

  get size(): number {
    return this.#kept.size;
  }

  get(key: string): Hit | undefined {
    const kept = this.#kept.get(key);
    if (!kept) return undefined;
    const age = Math.floor((this.#now() - kept.storedMs) / 1000);
    this.#kept.delete(key);
    if (age >= kept.ttl) {
      this.#bytes -= kept.message.buffer.length;
      return undefined;
    }
    this.#kept.set(key, kept);
    return { message: kept.message, age };
  }

  set(key: string, message: Message): void {
    const ttl = lifetime(message, this.#options);
    this.#drop(key);
    if (ttl <= 0) return;
    this.#kept.set(key, { message, storedMs: this.#now(), ttl });
    this.#bytes += message.buffer.length;
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= this.#options.entries && this.#bytes <= this.#options.bytes) break;
      this.#drop(oldest);
    }
  }

  #drop(key: string): void {
    const kept = this.#kept.get(key);
    if (!kept) return;
    this.#bytes -= kept.message.buffer.length;
    this.#kept.delete(key);
  }
}

export const cacheKey = ({ name, type, dnssecOk, checkingDisabled }: Question): string =>
  `${type}${dnssecOk ? 'd' : ''}${checkingDisabled ? 'c' : ''} ${name}`;

/** Seconds that an answer holds: the shortest TTL of its records; for absences what SOA says (RFC 2308 5), without SOA not at all. */
export function lifetime(message: Message, { ttl, negativeTtl }: Pick<CacheOptions, 'ttl' | 'negativeTtl'>): number {
  const answers = message.records.filter(({ section }) => section === 'answer');
  const shortest = Math.min(...message.records.filter(({ type }) => type !== rrType.OPT).map((record) => record.ttl), ttl);
  const positive = message.rcode === rcode.NOERROR && answers.some(({ type }) => type === message.type);
  if (positive) return shortest;
  const soa = message.records.find(({ section, type }) => section === 'authority' && type === rrType.SOA);
  if (!soa || soa.dataLength < 20 || (message.rcode !== rcode.NOERROR && message.rcode !== rcode.NXDOMAIN)) return 0;
  const { buffer } = message;
  const minimum = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength).getUint32(soa.end - 4);
  return Math.min(shortest, minimum, negativeTtl);
}
