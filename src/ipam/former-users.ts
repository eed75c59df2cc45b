import type { IpAddr } from '../net/ip.ts';

/** Former users that somebody else has the node forget. */
export interface ToForget {
  addresses: readonly IpAddr[];
  /** They are forgotten. What was given back anew meanwhile is not. */
  done(): void;
}

/** Addresses that were given back, and whose users the node still knows (conntrack entries; T19, F54). */
export class FormerUsers {
  readonly #forget: (addresses: readonly IpAddr[]) => void;
  /** A new object for each time that an address was given back. */
  #of = new Map<string, { address: IpAddr }>();

  constructor(forget: (addresses: readonly IpAddr[]) => void) {
    this.#forget = forget;
  }

  add(address: IpAddr): void {
    this.#of.set(String(address), { address });
  }

  /** Before an address is given again: all that there are, when it is one of them. */
  forgetBefore(address: IpAddr): void {
    if (this.#of.has(String(address))) this.forgetAll();
  }

  forgetAll(): void {
    if (this.#of.size === 0) return;
    const all = this.#of;
    this.#of = new Map();
    try {
      this.#forget(Array.from(all.values(), ({ address }) => address));
    } catch (error) {
      for (const [text, entry] of this.#of) all.set(text, entry);
      this.#of = all;
      throw error;
    }
  }

  /** All there are now; they count as not forgotten until the caller says so. */
  toForget(): ToForget {
    const all = new Map(this.#of);
    return {
      addresses: Array.from(all.values(), ({ address }) => address),
      done: () => {
        for (const [text, entry] of all) if (this.#of.get(text) === entry) this.#of.delete(text);
      },
    };
  }
}
