/** A connection that a policy denied, as it is told. */
export interface Denial {
  /** When the first of these packets was read, and the last: milliseconds since 1970. */
  first: number;
  last: number;
  /** `shop/web-1`, `node n1`, or an address. */
  from: string;
  to: string;
  source: string;
  destination: string;
  protocol: string;
  /** None of ICMP. */
  port?: number;
  /** The policy, rule and peer, or the default deny. */
  why: string;
  packets: number;
}

/** What `GET /denials` answers. */
export interface DenialList {
  node: string;
  /** Namespaces that ask for it. */
  namespaces: string[];
  /** The latest last. */
  denials: Denial[];
}

/** One that is to be said now: all packets since it was said last. */
export interface ToldDenial extends Denial {
  text: string;
}

export interface DenialBookOptions {
  /** The same is said again after so long. */
  againMs?: number;
  /** At most so many are said in so long; the others are counted. */
  most?: number;
  perMs?: number;
  /** So many are remembered. */
  remembered?: number;
}

interface Entry {
  denial: Denial;
  saidAt: number;
  unsaid: number;
}

/** What was denied lately: the same is one entry that is counted, and said at once and then from time to time. */
export class DenialBook {
  readonly #options: Required<DenialBookOptions>;
  /** Oldest first. */
  readonly #entries = new Map<string, Entry>();
  readonly #said: number[] = [];
  #silent = 0;

  constructor(options: DenialBookOptions = {}) {
    this.#options = { againMs: 60_000, most: 20, perMs: 10_000, remembered: 500, ...options };
  }

  /** @returns what is to be said of it now */
  note(seen: Omit<Denial, 'first' | 'last'>, nowMs: number): ToldDenial | undefined {
    const { from, to, protocol, port, why } = seen;
    const key = JSON.stringify([from, to, protocol, port, why]);
    const known = this.#entries.get(key);
    const denial = {
      ...seen,
      first: known?.denial.first ?? nowMs,
      last: nowMs,
      packets: (known?.denial.packets ?? 0) + seen.packets,
    };
    const entry: Entry = { denial, saidAt: known?.saidAt ?? -Infinity, unsaid: (known?.unsaid ?? 0) + seen.packets };
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    if (this.#entries.size > this.#options.remembered) this.#entries.delete(this.#entries.keys().next().value!);
    if (nowMs - entry.saidAt < this.#options.againMs) return undefined;
    if (!this.#mayBeSaid(nowMs)) {
      this.#silent++;
      return undefined;
    }
    entry.saidAt = nowMs;
    const told = { ...denial, packets: entry.unsaid, text: denialText(denial) };
    entry.unsaid = 0;
    return told;
  }

  /** How many were not said since this was asked last, because there were too many. */
  takeSilent(): number {
    const silent = this.#silent;
    this.#silent = 0;
    return silent;
  }

  /** The latest last. */
  list(): Denial[] {
    return Array.from(this.#entries.values(), ({ denial }) => denial);
  }

  #mayBeSaid(nowMs: number): boolean {
    const { most, perMs } = this.#options;
    while (this.#said.length > 0 && nowMs - this.#said[0]! >= perMs) this.#said.shift();
    if (this.#said.length >= most) return false;
    this.#said.push(nowMs);
    return true;
  }
}

/** `TCP shop/web-1 -> shop/db-0:5432 denied: default deny: ...`: the same for the same, so that an Event is counted. */
export function denialText({ protocol, from, to, port, why }: Pick<Denial, 'protocol' | 'from' | 'to' | 'port' | 'why'>): string {
  const end = port === undefined ? to : `${to.includes(':') ? `[${to}]` : to}:${port}`;
  return `${protocol} ${from} -> ${end} ${why.startsWith('denied by ') ? why : `denied: ${why}`}`;
}
