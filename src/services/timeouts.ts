import type { Adopted } from './adopted.ts';
import { maxTimeouts } from './values.ts';

/** Numbers the timeouts of session affinity that are in use: each has chains of its own, and a class (see `values.ts`). */
export class Timeouts {
  readonly #indexes = new Map<number, number>();
  readonly #users = new Map<number, number>();

  constructor(adopted?: Adopted) {
    for (const [index, seconds] of adopted?.timeouts ?? []) if (!this.#indexes.has(seconds)) this.#indexes.set(seconds, index);
  }

  /** Takes a timeout into use, once for each call. @returns it, or of too many different ones the nearest that is in use */
  use(seconds: number): number {
    let chosen = seconds;
    if (!this.#indexes.has(seconds)) {
      const free = this.#free();
      if (free === undefined) chosen = [...this.#indexes.keys()].reduce((a, b) => (Math.abs(b - seconds) < Math.abs(a - seconds) ? b : a));
      else this.#indexes.set(seconds, free);
    }
    this.#users.set(chosen, (this.#users.get(chosen) ?? 0) + 1);
    return chosen;
  }

  release(seconds: number): void {
    this.#users.set(seconds, (this.#users.get(seconds) ?? 0) - 1);
  }

  indexOf(seconds: number): number {
    return this.#indexes.get(seconds)!;
  }

  /** Forgets those that nobody uses. @returns seconds and index of the others */
  used(): [seconds: number, index: number][] {
    for (const seconds of this.#indexes.keys()) {
      if ((this.#users.get(seconds) ?? 0) > 0) continue;
      this.#indexes.delete(seconds);
      this.#users.delete(seconds);
    }
    return [...this.#indexes].sort(([a], [b]) => a - b);
  }

  #free(): number | undefined {
    const taken = new Set(this.#indexes.values());
    for (let index = 0; index < maxTimeouts; index++) if (!taken.has(index)) return index;
    return undefined;
  }
}
