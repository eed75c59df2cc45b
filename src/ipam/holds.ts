import type { IpAddr } from '../net/ip.ts';

/** An address that is in use without a lease of podnet's. */
export interface Hold {
  address: IpAddr;
  /** What shows it, e.g. `the route to 10.244.1.9 by cali1`. */
  why: string;
}

/** Holds by who found them: each finder tells all it finds, again and again. */
export class Holds {
  readonly #byFinder = new Map<string, readonly Hold[]>();
  #texts = new Set<string>();

  /** @returns the addresses that nobody holds any more */
  set(finder: string, holds: readonly Hold[]): IpAddr[] {
    const before = this.#byFinder.get(finder) ?? [];
    this.#byFinder.set(finder, holds);
    this.#texts = new Set(this.all().map(({ address }) => String(address)));
    return before.map(({ address }) => address).filter((address) => !this.has(address));
  }

  all(): Hold[] {
    return [...this.#byFinder.values()].flat();
  }

  has(address: IpAddr): boolean {
    return this.#texts.has(String(address));
  }
}
