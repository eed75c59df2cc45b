import type { IpAddr } from '../net/ip.ts';

/** Former users that somebody else has the node forget. */
export interface ToForget {
  addresses: readonly IpAddr[];
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
    if (this.#of.has(String(address))) this.forgetAll();
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

  /** All there are now; they count as not forgotten until the caller says so. */
  toForget(): ToForget {
    const all = new Map(this.#of);
    return {
      addresses: Array.from(all.values(), ({ address }) => address),
      failed: (why) => {
        this.#fault = why;
      },
      done: () => {
        this.#fault = undefined;
        for (const [text, entry] of all) if (this.#of.get(text) === entry) this.#of.delete(text);
      },
    };
  }
}
