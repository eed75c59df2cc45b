import type { IpAddr } from '../net/ip.ts';

/** Addresses that were given back, and whose users the node still knows (conntrack entries; T19, F54). */
export class FormerUsers {
  readonly #forget: (addresses: readonly IpAddr[]) => void;
  #of = new Map<string, IpAddr>();

  constructor(forget: (addresses: readonly IpAddr[]) => void) {
    this.#forget = forget;
  }

  add(address: IpAddr): void {
    this.#of.set(String(address), address);
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
      this.#forget([...all.values()]);
    } catch (error) {
      for (const [text, address] of this.#of) all.set(text, address);
      this.#of = all;
      throw error;
    }
  }
}
