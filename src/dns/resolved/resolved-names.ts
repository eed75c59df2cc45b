import { monotonicMs } from '../../kernel/monotonic.ts';
import type { Answer } from '../forward/answer.ts';
import { DomainPatterns } from './patterns.ts';
import { toldBy } from './told.ts';

/** A name with the addresses that were given for it. */
export interface ResolvedLine {
  /** Counts the lines of a reader. */
  seq: number;
  /** In lower case, without the last dot. */
  name: string;
  addresses: string[];
  /** Until when they count, by `monotonicMs`. */
  expires: number;
}

export interface ResolvedReader {
  id: string;
  patterns: readonly string[];
  take(line: ResolvedLine): void;
}

export interface ResolvedOptions {
  /** An answer waits so long for those who enforce it, at most. */
  holdMs?: number;
  /** TTLs below count as this; and for so long after its end an answer counts still. Seconds. */
  leastTtl?: number;
  lingerSeconds?: number;
  /** By default `monotonicMs`. */
  now?: () => number;
}

/** A line that says the same as one before is left out, as long as it would not hold so much longer. */
const sameMs = 5000;
const mostNames = 10_000;

interface State {
  reader: ResolvedReader;
  patterns: DomainPatterns;
  seq: number;
  seen: number;
  told: Map<string, { text: string; expires: number }>;
  /** Who waits until a line was seen. */
  waiting: Set<{ seq: number; done: () => void }>;
}

/** Tells whoever enforces policies which addresses are given for the names that it wants, before they are given. */
export class ResolvedNames {
  readonly #options: Required<ResolvedOptions>;
  readonly #readers = new Map<string, State>();

  constructor({ holdMs = 100, leastTtl = 30, lingerSeconds = 30, now = monotonicMs }: ResolvedOptions = {}) {
    this.#options = { holdMs, leastTtl, lingerSeconds, now };
  }

  /** @param known answers that may be given from the cache, with the seconds that they hold. @returns the end of it */
  read(reader: ResolvedReader, known: Iterable<readonly [answer: Answer, ttl: number]> = []): Disposable {
    this.#leave(this.#readers.get(reader.id));
    const state: State = { reader, patterns: new DomainPatterns(reader.patterns), seq: 0, seen: 0, told: new Map(), waiting: new Set() };
    this.#readers.set(reader.id, state);
    if (!state.patterns.isEmpty) for (const [answer, ttl] of known) this.#tell(state, answer, ttl);
    return { [Symbol.dispose]: () => this.#leave(state) };
  }

  /** A reader has put in force all up to this line. */
  seen(id: string, seq: number): void {
    const state = this.#readers.get(id);
    if (!state) return;
    state.seen = Math.max(state.seen, seq);
    for (const waiting of [...state.waiting]) if (waiting.seq <= seq) waiting.done();
  }

  /** An answer is about to be given, for so many seconds. @returns a promise when it is to wait */
  observe(answer: Answer, ttl: number): Promise<void> | undefined {
    if (this.#readers.size === 0) return undefined;
    const holds = [...this.#readers.values()].flatMap((state) => this.#tell(state, answer, ttl) ?? []);
    return holds.length === 0 ? undefined : Promise.all(holds).then(() => undefined);
  }

  /** @returns undefined when there is nothing that it has not seen */
  #tell(state: State, answer: Answer, ttl: number): Promise<void> | undefined {
    const told = toldBy(answer);
    const names = told?.names.filter((name) => state.patterns.has(name)) ?? [];
    if (!told || names.length === 0) return undefined;
    const { leastTtl, lingerSeconds, now } = this.#options;
    const expires = now() + 1000 * (Math.max(ttl, leastTtl) + lingerSeconds);
    const addresses = told.addresses.map(String);
    const text = [...addresses].sort().join();
    let isNew = false;
    for (const name of names) {
      const key = `${answer.type} ${name}`;
      const before = state.told.get(key);
      if (before?.text === text && before.expires > expires - sameMs) continue;
      if (before?.text !== text || before.expires <= now()) isNew = true;
      state.told.delete(key);
      state.told.set(key, { text, expires });
      if (state.told.size > mostNames) state.told.delete(state.told.keys().next().value!);
      state.reader.take({ seq: ++state.seq, name, addresses, expires });
    }
    return isNew ? this.#hold(state) : undefined;
  }

  #hold(state: State): Promise<void> {
    const { seq } = state;
    return new Promise((resolve) => {
      const waiting = {
        seq,
        done: (): void => {
          clearTimeout(late);
          state.waiting.delete(waiting);
          resolve();
        },
      };
      const late = setTimeout(waiting.done, this.#options.holdMs);
      state.waiting.add(waiting);
    });
  }

  #leave(state: State | undefined): void {
    if (!state) return;
    if (this.#readers.get(state.reader.id) === state) this.#readers.delete(state.reader.id);
    for (const { done } of [...state.waiting]) done();
  }
}
