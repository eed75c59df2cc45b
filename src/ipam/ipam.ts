import type { Fd } from '../kernel/fd.ts';
import type { IpAddr } from '../net/ip.ts';
import type { Prefix } from '../net/prefix.ts';
import { type Boot, lock, thisBoot } from './boot.ts';
import { IpamError } from './errors.ts';
import { type Files, Store } from './files.ts';
import { type Hold, Holds } from './holds.ts';
import {
  addressesOfFile,
  decodeLease,
  encodeLease,
  fileName,
  keyText,
  type Lease,
  type LeaseKey,
  type LeaseNotes,
} from './lease.ts';
import { Pool } from './pool.ts';

export interface IpamOptions {
  files?: Files;
  /** Default: that of this machine. */
  boot?: Boot;
  /**
   * Makes the node forget former users of the addresses (conntrack). Called with those that were given back, before any of them is given again; those that
   * another process gave back are the caller's to clean at start, by `isFree`.
   */
  forget?: (addresses: readonly IpAddr[]) => void;
}

/** A lease that cannot be read. Its addresses are held back. */
export interface DamagedLease {
  file: string;
  addresses: readonly IpAddr[];
  why: string;
}

export interface PoolUse {
  prefix: Prefix;
  capacity: number;
  used: number;
}

const cursorFile = 'cursor';

/**
 * Gives addresses of the node's pod CIDRs to containers and remembers them on disk: one small file for each lease, put in place by rename before the
 * address is used. One process at a time. See the README for why it does not fsync.
 */
export class Ipam implements Disposable {
  readonly #store: Store;
  readonly #lock: Fd;
  readonly #boot: Boot;
  readonly #forget: (addresses: readonly IpAddr[]) => void;
  readonly #leases = new Map<string, Lease>();
  readonly #damaged = new Map<string, DamagedLease>();
  /** By range, also of former ones. */
  readonly #cursors: Map<string, number>;
  readonly #holds = new Holds();
  /** Given back, and not forgotten yet. */
  #dirty = new Map<string, IpAddr>();
  /** Why the last lease could not be written. */
  #fault: string | undefined;
  #pools: Pool[] = [];

  /**
   * @throws IpamError 'locked' when another agent has the directory, 'storage' when it cannot be read or others may write there
   */
  constructor(directory: string, { files, boot = thisBoot(), forget = () => {} }: IpamOptions = {}) {
    this.#boot = boot;
    this.#forget = forget;
    const unreadable = (cause: unknown): IpamError =>
      new IpamError('storage', `the leases in ${directory} cannot be read: ${(cause as Error).message}`, { cause });
    try {
      this.#store = new Store(directory, files);
    } catch (cause) {
      throw unreadable(cause);
    }
    this.#lock = lock(directory);
    try {
      this.#store.tidy();
      this.#cursors = this.#loadCursors();
      for (const name of this.#store.names()) this.#load(name);
    } catch (cause) {
      this.#lock.close();
      throw unreadable(cause);
    }
  }

  /**
   * The node's pod CIDRs, primary family first. Leases from other ranges stay until they are released (PC6); nothing more is given from there.
   */
  setRanges(prefixes: readonly Prefix[]): void {
    const before = this.#pools;
    for (const { prefix, cursor } of before) this.#cursors.set(`${prefix}`, cursor);
    this.#pools = prefixes.map((prefix) => {
      const same = before.find((pool) => pool.prefix.equals(prefix));
      if (same) return same;
      const pool = new Pool(prefix);
      pool.cursor = this.#cursors.get(`${prefix}`) ?? pool.cursor;
      for (const address of this.#held()) pool.hold(address);
      return pool;
    });
  }

  get ranges(): readonly Prefix[] {
    return this.#pools.map((pool) => pool.prefix);
  }

  /**
   * One address of each family for the container.
   * @param notes kept with the lease
   * @param wanted instead of the next free ones, at most one of each family
   * @throws IpamError 'exists' when the key has a lease, 'exhausted', 'no-range', 'refused' when a wanted one cannot be had, 'storage'
   */
  allocate(key: LeaseKey, notes: LeaseNotes = {}, wanted: readonly IpAddr[] = []): Lease {
    const holder = this.#leases.get(keyText(key));
    if (holder)
      throw new IpamError(
        'exists',
        `container ${key.containerId} has ${holder.addresses.join(' and ')} for ${key.ifname} of network ${key.network} already`,
      );
    if (this.#pools.length === 0)
      throw new IpamError(
        'no-range',
        'the node has no pod CIDR yet (node.spec.podCIDRs is empty): wait until the node IPAM controller has given it one',
      );
    const addresses: IpAddr[] = [];
    try {
      this.#requireFree(wanted);
      for (const pool of this.#pools) {
        const one = wanted.find(({ family }) => family === pool.prefix.family);
        addresses.push(one ? this.#claim(pool, one) : this.#take(pool));
      }
      const lease = { key, addresses, notes, boot: this.#boot.id };
      this.#put(fileName(lease), encodeLease(lease));
      this.#leases.set(keyText(key), lease);
      // A file that is written for each lease costs as much as the lease itself: ext4 looks long for an inode where some were given back just now.
      if (!this.#pools.every((pool) => pool.isAhead(this.#cursors.get(`${pool.prefix}`), this.#ahead))) this.#saveCursors();
      return lease;
    } catch (error) {
      if (!this.#leases.has(keyText(key))) for (const address of addresses) this.#give(address);
      throw error;
    }
  }

  /**
   * Gives a lease another key or other notes; its addresses stay.
   * @throws IpamError 'exists' when the key has another lease, 'storage'
   */
  replace(lease: Lease, key: LeaseKey, notes: LeaseNotes): Lease {
    const other = this.#leases.get(keyText(key));
    if (other && other !== lease)
      throw new IpamError('exists', `container ${key.containerId} has a lease for ${key.ifname} already`);
    const next = { ...lease, key, notes };
    this.#put(fileName(next), encodeLease(next));
    this.#leases.delete(keyText(lease.key));
    this.#leases.set(keyText(key), next);
    return next;
  }

  /**
   * Writes a lease for addresses that are seen in use, though none of their leases can be read (F23).
   * @throws IpamError 'exists' when the key or an address has a lease, 'storage'
   */
  restore(key: LeaseKey, addresses: readonly IpAddr[], notes: LeaseNotes): Lease {
    const lease = { key, addresses, notes, boot: this.#boot.id };
    const other = this.leases().find((one) => keyText(one.key) === keyText(key) || shareAddress(one, lease));
    if (other) throw new IpamError('exists', `container ${other.key.containerId} has ${other.addresses.join(' and ')} already`);
    this.#put(fileName(lease), encodeLease(lease));
    this.#leases.set(keyText(key), lease);
    for (const { file } of this.damaged().filter((damaged) => shareAddress(damaged, lease)))
      if (file === fileName(lease)) this.#damaged.delete(file);
      else this.discardDamaged(file);
    for (const address of addresses) for (const pool of this.#pools) pool.hold(address);
    return lease;
  }

  /**
   * Keeps addresses back that are in use without a lease here; those that have one are left out.
   * @param finder whose word it is; replaces what it said before
   */
  hold(finder: string, found: readonly Hold[]): void {
    const leased = new Set(this.leases().flatMap(({ addresses }) => addresses.map(String)));
    const holds = found.filter(({ address }) => !leased.has(String(address)));
    for (const address of this.#holds.set(finder, holds)) if (!leased.has(String(address))) this.#give(address);
    for (const { address } of holds) for (const pool of this.#pools) pool.hold(address);
  }

  /** What is held without a lease, in the pod CIDRs. */
  held(): Hold[] {
    return this.#holds.all().filter(({ address }) => this.#pools.some(({ prefix }) => prefix.contains(address)));
  }

  /** Whether the next container could get it. */
  isFree(address: IpAddr): boolean {
    return this.#pools.some((pool) => pool.isFree(address));
  }

  /** Has the node forget the users of what was given back. To be called soon after a release, once for many. */
  cleanse(): void {
    if (this.#dirty.size === 0) return;
    const dirty = this.#dirty;
    this.#dirty = new Map();
    try {
      this.#forget([...dirty.values()]);
    } catch (error) {
      for (const [text, address] of this.#dirty) dirty.set(text, address);
      this.#dirty = dirty;
      throw error;
    }
  }

  /** Why no lease can be written, after it was tried again; undefined when all is well (F23). */
  storageFault(): string | undefined {
    if (this.#fault !== undefined && this.#saveCursors()) this.#fault = undefined;
    return this.#fault;
  }

  get(key: LeaseKey): Lease | undefined {
    return this.#leases.get(keyText(key));
  }

  leases(): Lease[] {
    return [...this.#leases.values()];
  }

  /** Gives a container's addresses back. Only its own: another container of the same pod has another key (CNI7). @returns what it had */
  release(key: LeaseKey): Lease | undefined {
    const lease = this.#leases.get(keyText(key));
    if (!lease) return undefined;
    try {
      this.#store.remove(fileName(lease));
    } catch (cause) {
      throw new IpamError(
        'storage',
        `the lease of ${lease.addresses.join(' and ')} cannot be removed: ${(cause as Error).message}`,
        { cause },
      );
    }
    this.#leases.delete(keyText(key));
    for (const address of lease.addresses) {
      this.#dirty.set(String(address), address);
      this.#give(address);
    }
    return lease;
  }

  /** Leases of the network whose key is not among these; the caller releases them after what they stand for is gone (CNI10). */
  stale(network: string, valid: Iterable<LeaseKey>): Lease[] {
    const keep = new Set([...valid].map(keyText));
    return this.leases().filter((lease) => lease.key.network === network && !keep.has(keyText(lease.key)));
  }

  /** Leases of addresses that are no longer in the node's pod CIDRs (PC6): other nodes have no route to them. */
  outOfRange(): Lease[] {
    return this.leases().filter(
      ({ addresses }) => !addresses.every((address) => this.#pools.some(({ prefix }) => prefix.contains(address))),
    );
  }

  damaged(): DamagedLease[] {
    return [...this.#damaged.values()];
  }

  /** Forgets a damaged lease, once it is certain that nobody uses its addresses. */
  discardDamaged(file: string): void {
    const damaged = this.#damaged.get(file);
    if (!damaged) return;
    this.#store.remove(file);
    this.#damaged.delete(file);
    for (const address of damaged.addresses) {
      this.#dirty.set(String(address), address);
      this.#give(address);
    }
  }

  use(): PoolUse[] {
    return this.#pools.map(({ prefix, capacity, used }) => ({ prefix, capacity, used }));
  }

  [Symbol.dispose](): void {
    this.#lock.close();
  }

  #load(name: string): void {
    const addresses = addressesOfFile(name);
    if (!addresses) return;
    let lease: Lease;
    try {
      lease = decodeLease(this.#store.read(name));
      if (fileName(lease) !== name) throw new SyntaxError('its name and its contents tell different addresses');
      // After a reboot no pod is left, and the runtime asks for new addresses (CRI7).
      if (lease.boot !== this.#boot.id) return this.#drop(name);
      const twice = this.leases().find((other) => keyText(other.key) === keyText(lease.key) || shareAddress(other, lease));
      if (twice) throw new SyntaxError(`it contradicts the lease in ${fileName(twice)}`);
    } catch (error) {
      this.#quarantine({ file: name, addresses, why: (error as Error).message });
      return;
    }
    this.#leases.set(keyText(lease.key), lease);
  }

  /** A file from before this boot needs no quarantine: its pod is gone whoever it was. */
  #quarantine(damaged: DamagedLease): void {
    let isOld = false;
    try {
      isOld = this.#store.modified(damaged.file) < this.#boot.startedMs - 60_000;
    } catch {
      // Then it is kept back.
    }
    if (isOld) this.#drop(damaged.file);
    else this.#damaged.set(damaged.file, damaged);
  }

  /** One that cannot be removed is written over by the next lease of its addresses, or found again by the next start. */
  #drop(name: string): void {
    try {
      this.#store.remove(name);
    } catch (error) {
      this.#fault = (error as Error).message;
    }
  }

  *#held(): Iterable<IpAddr> {
    for (const { addresses } of this.#leases.values()) yield* addresses;
    for (const { addresses } of this.#damaged.values()) yield* addresses;
    for (const { address } of this.#holds.all()) yield address;
  }

  #requireFree(wanted: readonly IpAddr[]): void {
    for (const address of wanted) {
      if (this.isFree(address)) continue;
      const holder = this.leases().find(({ addresses }) => addresses.some((one) => one.equals(address)));
      const hold = this.#holds.all().find((one) => one.address.equals(address));
      const why = holder
        ? `${holderText(holder)} has it`
        : (hold?.why ?? `it is none that pods get from ${this.ranges.join(' and ')}`);
      throw new IpamError('refused', `the address ${address} that was asked for cannot be had: ${why}`);
    }
  }

  #claim(pool: Pool, address: IpAddr): IpAddr {
    if (this.#dirty.has(String(address))) this.cleanse();
    pool.hold(address);
    return address;
  }

  #take(pool: Pool): IpAddr {
    const address = pool.take();
    if (address) {
      try {
        if (this.#dirty.has(String(address))) this.cleanse();
      } catch (error) {
        pool.give(address);
        throw error;
      }
      return address;
    }
    const held = this.damaged().filter((d) => d.addresses.some((a) => pool.prefix.contains(a))).length;
    throw new IpamError(
      'exhausted',
      `no address is left in ${pool.prefix}: ${pool.used} of ${pool.capacity} are in use${held > 0 ? `, ${held} of them by leases that cannot be read` : ''}, e.g. ${this.#someHolders(pool)}; delete pods here, or give the node a larger pod CIDR`,
    );
  }

  #someHolders({ prefix }: Pool): string {
    const holders = this.leases().filter((lease) => lease.addresses.some((address) => prefix.contains(address)));
    const shown = holders
      .slice(0, 3)
      .map(({ key, notes, addresses }) => `${addresses.find((a) => prefix.contains(a))} by ${holderText({ key, notes })}`);
    return shown.join(', ') || 'none that is known';
  }

  #give(address: IpAddr): void {
    if (this.#holds.has(address)) return;
    for (const pool of this.#pools) pool.give(address);
  }

  #put(name: string, text: string): void {
    try {
      this.#store.put(name, text);
      this.#fault = undefined;
    } catch (cause) {
      this.#fault = (cause as Error).message;
      throw new IpamError('storage', `a lease cannot be written to ${this.#store.directory}: ${(cause as Error).message}`, {
        cause,
      });
    }
  }

  /** So many addresses a restart may pass, alike in all ranges; few enough that it is no noticeable part of any. */
  get #ahead(): number {
    return Math.min(32, ...this.#pools.map(({ capacity }) => Math.floor(capacity / 16)));
  }

  #loadCursors(): Map<string, number> {
    try {
      return new Map(Object.entries(JSON.parse(this.#store.read(cursorFile)) as Record<string, number>));
    } catch {
      // Only the order in which addresses are used again depends on it.
      return new Map();
    }
  }

  /** @returns whether they could be written; a full disk shows at the next lease besides */
  #saveCursors(): boolean {
    for (const pool of this.#pools) this.#cursors.set(`${pool.prefix}`, pool.milestone(this.#ahead));
    try {
      this.#store.put(cursorFile, JSON.stringify(Object.fromEntries(this.#cursors)));
      return true;
    } catch {
      return false;
    }
  }
}

const holderText = ({ key, notes }: Pick<Lease, 'key' | 'notes'>): string =>
  notes.pod || `container ${key.containerId.slice(0, 13)}`;

type Addresses = Pick<Lease, 'addresses'>;
const shareAddress = (a: Addresses, b: Addresses): boolean =>
  a.addresses.some((one) => b.addresses.some((other) => one.equals(other)));
