import type { IpAddr } from '../net/ip.ts';
import type { Prefix } from '../net/prefix.ts';

/** Of a larger range, e.g. an IPv6 /64, no more than this many addresses are used: more pods than that fit on no node. */
const largest = 1n << 24n;
/** Of how many addresses it is remembered when they were given back. */
const mostRemembered = 65536;

/**
 * The addresses of one pod CIDR. An address comes back as late as possible: first those that were never given since the cursor passed, then the
 * one that was given back longest ago. Packets, caches and conntrack entries that mean the former pod then find nobody rather than a stranger.
 *
 * Never given: the network address (the tunnel's next hop, and IPv6's subnet-router anycast), the next one (the bridge's), IPv4's broadcast address.
 */
export class Pool {
  readonly prefix: Prefix;
  /** Offsets from the network address: first and one past the last. */
  readonly #first = 2;
  readonly #end: number;
  readonly #taken = new Set<number>();
  /** In order of giving back. */
  readonly #returned = new Set<number>();
  #cursor: number;

  constructor(prefix: Prefix) {
    this.prefix = prefix;
    const size = prefix.size < largest ? prefix.size : largest;
    const broadcast = prefix.family === 'ipv4' ? 1 : 0;
    this.#end = Math.max(this.#first, Number(size) - broadcast);
    this.#cursor = this.#first;
  }

  get capacity(): number {
    return this.#end - this.#first;
  }

  get used(): number {
    return this.#taken.size;
  }

  /** Offset of the address that is looked at first the next time. */
  get cursor(): number {
    return this.#cursor;
  }

  set cursor(offset: number) {
    if (Number.isSafeInteger(offset) && offset >= this.#first && offset < this.#end) this.#cursor = offset;
  }

  /**
   * The cursor as it is to be kept: some addresses further, so that not every address that is given changes what is kept. Whoever begins there has passed
   * all that were given.
   */
  milestone(ahead: number): number {
    return this.capacity === 0 ? this.#first : this.#first + ((this.#cursor - this.#first + ahead) % this.capacity);
  }

  /** Whether a milestone has not been passed yet. */
  isAhead(milestone: number | undefined, ahead: number): boolean {
    if (milestone === undefined || this.capacity === 0) return false;
    return (milestone - this.#cursor + this.capacity) % this.capacity <= ahead;
  }

  /** Takes a free address; undefined when there is none. */
  take(): IpAddr | undefined {
    const offset = this.#neverGiven() ?? this.#returnedFirst();
    if (offset === undefined) return undefined;
    this.#taken.add(offset);
    this.#returned.delete(offset);
    this.#cursor = offset + 1 < this.#end ? offset + 1 : this.#first;
    return this.prefix.at(offset);
  }

  /** Marks an address as taken, e.g. by a lease from before a restart. @returns whether it was free; addresses of others are none of this pool's */
  hold(address: IpAddr): boolean {
    const offset = this.#offset(address);
    if (offset === undefined) return true;
    if (this.#taken.has(offset)) return false;
    this.#taken.add(offset);
    this.#returned.delete(offset);
    return true;
  }

  /** Whether it could be given. */
  isFree(address: IpAddr): boolean {
    const offset = this.#offset(address);
    return offset !== undefined && !this.#taken.has(offset);
  }

  give(address: IpAddr): void {
    const offset = this.#offset(address);
    if (offset === undefined || !this.#taken.delete(offset)) return;
    this.#returned.add(offset);
    if (this.#returned.size <= mostRemembered) return;
    const [oldest] = this.#returned;
    this.#returned.delete(oldest!);
  }

  #offset(address: IpAddr): number | undefined {
    if (!this.prefix.contains(address)) return undefined;
    const offset = address.toBigInt() - this.prefix.address.toBigInt();
    // An address that is never given, e.g. the bridge's, is none of this pool's.
    return offset >= this.#first && offset < this.#end ? Number(offset) : undefined;
  }

  #neverGiven(): number | undefined {
    if (this.#taken.size + this.#returned.size >= this.capacity) return undefined;
    for (let i = 0, offset = this.#cursor; i < this.capacity; i++, offset++) {
      if (offset >= this.#end) offset = this.#first;
      if (!this.#taken.has(offset) && !this.#returned.has(offset)) return offset;
    }
    return undefined;
  }

  #returnedFirst(): number | undefined {
    const [oldest] = this.#returned;
    return oldest;
  }
}
