import type { IpAddr } from '../net/ip.ts';

/** How long after the one before each announcement of an address follows; the last goes on for ever, for neighbours that missed the others. */
const pausesMs = [500, 1000, 2000, 10_000] as const;

/** When which address is to be announced again: at once, soon a few times, then now and then. Pure. */
export class Repeats {
  readonly #entries = new Map<string, { address: IpAddr; said: number; atMs: number }>();

  /** Addresses that are new are due at once; those that are missing are forgotten. */
  set(addresses: readonly IpAddr[], nowMs: number): void {
    const wanted = new Set(addresses.map(String));
    for (const text of [...this.#entries.keys()]) if (!wanted.has(text)) this.#entries.delete(text);
    for (const address of addresses) {
      const text = address.toString();
      if (!this.#entries.has(text)) this.#entries.set(text, { address, said: 0, atMs: nowMs });
    }
  }

  /** The link came back, or is another: all are due. */
  restart(nowMs: number): void {
    for (const entry of this.#entries.values()) Object.assign(entry, { said: 0, atMs: nowMs });
  }

  /** What is due, which counts as announced. */
  due(nowMs: number): IpAddr[] {
    const due: IpAddr[] = [];
    for (const entry of this.#entries.values()) {
      if (entry.atMs > nowMs) continue;
      due.push(entry.address);
      entry.atMs = nowMs + pausesMs[Math.min(entry.said, pausesMs.length - 1)]!;
      entry.said++;
    }
    return due;
  }

  get size(): number {
    return this.#entries.size;
  }
}
