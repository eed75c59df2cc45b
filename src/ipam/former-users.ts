import type { IpAddr } from '../net/ip.ts';

/** Former users that somebody else has the node forget. */
export interface ToForget {
  addresses: readonly IpAddr[];
  /** Those of them that nobody was given meanwhile. */
  left(): IpAddr[];
  /** They are forgotten. What was given back anew meanwhile is not. */
  done(): void;
  /** They could not be made forgotten. */
  failed(why: string): void;
}

/** Addresses that were given back, and whose users the node still knows (conntrack entries; T19, F54). */
export class FormerUsers {
  readonly #forget: (addresses: readonly IpAddr[]) => void;
  /** A new object for each time that an address was given back. */
  #of = new Map<string, { address: IpAddr }>();
  /** What somebody else is forgetting. */
  #elsewhere: { addresses: ReadonlyMap<string, unknown>; wait: () => void } | undefined;
  /** Why the node could not be made to forget the last time it was asked. */
  #fault: string | undefined;

  constructor(forget: (addresses: readonly IpAddr[]) => void) {
    this.#forget = forget;
  }

  get fault(): string | undefined {
    return this.#fault;
  }

  /** Those that are not forgotten yet. */
  all(): IpAddr[] {
    return Array.from(this.#of.values(), ({ address }) => address);
  }

  add(address: IpAddr): void {
    this.#of.set(String(address), { address });
  }

  /** Before an address is given again: all that there are, when it is one of them. */
  forgetBefore(address: IpAddr): void {
    const text = String(address);
    if (this.#elsewhere?.addresses.has(text)) this.#elsewhere.wait();
    if (this.#of.has(text)) this.forgetAll();
  }

  forgetAll(): void {
    if (this.#of.size === 0) return;
    const all = this.#of;
    this.#of = new Map();
    try {
      this.#forget(Array.from(all.values(), ({ address }) => address));
      this.#fault = undefined;
    } catch (error) {
      this.#fault = (error as Error).message;
      for (const [text, entry] of this.#of) all.set(text, entry);
      this.#of = all;
      throw error;
    }
  }

  /**
   * All there are now; they count as not forgotten until the caller says so.
   * @param wait blocks until the caller's pass has ended: an address of it that is given again before would have its new users forgotten
   */
  toForget(wait: () => void): ToForget {
    const all = new Map(this.#of);
    const elsewhere = { addresses: all, wait };
    this.#elsewhere = elsewhere;
    const end = (fault: string | undefined): void => {
      this.#fault = fault;
      if (this.#elsewhere === elsewhere) this.#elsewhere = undefined;
    };
    const left = (): [string, { address: IpAddr }][] => [...all].filter(([text, entry]) => this.#of.get(text) === entry);
    return {
      addresses: Array.from(all.values(), ({ address }) => address),
      left: () => left().map(([, { address }]) => address),
      failed: end,
      done: () => {
        end(undefined);
        for (const [text] of left()) this.#of.delete(text);
      },
    };
  }
}
