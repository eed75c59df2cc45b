import type { Fd } from '../kernel/fd.ts';
import type { IpAddr } from '../net/ip.ts';
import type { Prefix } from '../net/prefix.ts';
import { type Boot, lock, thisBoot } from './boot.ts';
import { IpamError } from './errors.ts';
import { type Files, reasonOf, Store } from './files.ts';
import { FormerUsers, type ToForget } from './former-users.ts';
import { type Hold, Holds } from './holds.ts';
import { fileName, keyText, type Lease, type LeaseKey, type LeaseNotes } from './lease.ts';
import { type DamagedLease, LeaseFiles, shareAddress } from './lease-files.ts';
import type { Pool } from './pool.ts';
import { Pools, type PoolUse } from './pools.ts';
import { exhausted, type InUse, refused } from './refusals.ts';

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

/**
 * Gives addresses of the node's pod CIDRs to containers and remembers them on disk: one small file for each lease, put in place by rename before the
 * address is used. One process at a time. See the README for why it does not fsync.
 */
export class Ipam implements Disposable {
  readonly #directory: string;
  #lock: Fd;
  readonly #boot: Boot;
  readonly #leases: LeaseFiles;
  readonly #pools: Pools;
  readonly #holds = new Holds();
  readonly #formerUsers: FormerUsers;

  /**
   * @throws IpamError 'locked' when another agent has the directory, 'storage' when it cannot be read or others may write there
   */
  constructor(directory: string, { files, boot = thisBoot(), forget = () => {} }: IpamOptions = {}) {
    this.#directory = directory;
    this.#boot = boot;
    this.#formerUsers = new FormerUsers(forget);
    const unreadable = (cause: unknown): IpamError =>
      new IpamError('storage', `the leases in ${directory} cannot be read: ${(cause as Error).message}`, { cause });
    let store: Store;
    try {
      store = new Store(directory, files);
    } catch (cause) {
      throw unreadable(cause);
    }
    this.#lock = lock(directory);
    try {
      store.tidy();
      this.#pools = new Pools(store);
      this.#leases = new LeaseFiles(store, boot);
      this.#leases.load();
    } catch (cause) {
      this.#lock.close();
      throw unreadable(cause);
    }
  }

  /**
   * The node's pod CIDRs, primary family first. Leases from other ranges stay until they are released (PC6); nothing more is given from there.
   */
  setRanges(prefixes: readonly Prefix[]): void {
    this.#pools.setRanges(prefixes, () => [...this.#leases.addresses(), ...this.#holds.all().map(({ address }) => address)]);
  }

  get ranges(): readonly Prefix[] {
    return this.#pools.all.map((pool) => pool.prefix);
  }

  /**
   * One address of each family for the container.
   * @param notes kept with the lease
   * @param wanted instead of the next free ones, at most one of each family
   * @throws IpamError 'exists' when the key has a lease, 'exhausted', 'no-range', 'refused' when a wanted one cannot be had, 'storage'
   */
  allocate(key: LeaseKey, notes: LeaseNotes = {}, wanted: readonly IpAddr[] = []): Lease {
    const holder = this.get(key);
    if (holder)
      throw new IpamError(
        'exists',
        `container ${key.containerId} has ${holder.addresses.join(' and ')} for ${key.ifname} of network ${key.network} already`,
      );
    if (this.#pools.all.length === 0)
      throw new IpamError(
        'no-range',
        'the node has no pod CIDR yet (node.spec.podCIDRs is empty): wait until the node IPAM controller has given it one',
      );
    const taken = wanted.find((address) => !this.isFree(address));
    if (taken) throw refused(taken, this.#inUse(), this.ranges);
    const addresses: IpAddr[] = [];
    const lease = { key, addresses, notes, boot: this.#boot.id };
    try {
      for (const pool of this.#pools.all)
        addresses.push(
          this.#take(
            pool,
            wanted.find(({ family }) => family === pool.prefix.family),
          ),
        );
      this.#leases.put(lease);
    } catch (error) {
      for (const address of addresses) this.#give(address);
      throw error;
    }
    this.#pools.keepCursors();
    return lease;
  }

  /**
   * Gives a lease another key or other notes; its addresses stay.
   * @throws IpamError 'exists' when the key has another lease, 'storage'
   */
  replace(lease: Lease, key: LeaseKey, notes: LeaseNotes): Lease {
    const other = this.get(key);
    if (other && other !== lease)
      throw new IpamError('exists', `container ${key.containerId} has a lease for ${key.ifname} already`);
    const next = { ...lease, key, notes };
    this.#leases.put(next, lease);
    return next;
  }

  /**
   * Writes a lease for addresses that are seen in use, though none of their leases can be read (F23).
   * @param isDead whether a lease is one that a disk brought back: it gives way
   * @throws IpamError 'exists' when the key or an address has another lease, 'storage'
   */
  restore(
    key: LeaseKey,
    addresses: readonly IpAddr[],
    notes: LeaseNotes,
    isDead: (lease: Lease) => boolean = () => false,
  ): Lease {
    const lease = { key, addresses, notes, boot: this.#boot.id };
    const others = this.leases().filter((one) => keyText(one.key) === keyText(key) || shareAddress(one, lease));
    const other = others.find((one) => !isDead(one));
    if (other) throw new IpamError('exists', `container ${other.key.containerId} has ${other.addresses.join(' and ')} already`);
    for (const one of others) this.release(one.key);
    this.#leases.put(lease);
    for (const { file } of this.damaged().filter((damaged) => shareAddress(damaged, lease)))
      if (file === fileName(lease)) this.#leases.isMended(file);
      else this.discardDamaged(file);
    for (const address of addresses) this.#pools.hold(address);
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
    for (const { address } of holds) this.#pools.hold(address);
  }

  /** What is held without a lease, in the pod CIDRs. */
  held(): Hold[] {
    return this.#holds.all().filter(({ address }) => this.#pools.contains(address));
  }

  /** Whether the next container could get it. */
  isFree(address: IpAddr): boolean {
    return this.#pools.isFree(address);
  }

  /** Whose users the node is to forget: to be done soon after a release, once for many. Before it is told that it was, an ADD that needs one of them forgets itself, after `wait`. */
  toForget(wait: () => void): ToForget {
    return this.#formerUsers.toForget(wait);
  }

  /** Why no lease can be written, after it was tried again; undefined when all is well (F23). A directory that somebody took away is made again, with all leases. */
  storageFault(): string | undefined {
    if (this.#leases.fault === undefined) return undefined;
    try {
      if (this.#leases.isGone) this.#makeAgain();
      if (this.#pools.saveCursors()) this.#leases.fault = undefined;
    } catch (error) {
      this.#leases.fault = `${this.#directory}: ${reasonOf(error)}`;
    }
    return this.#leases.fault;
  }

  /** As `storageFault`, for whoever wants to know it before a lease is to be written. */
  lookForFault(): string | undefined {
    this.#leases.look();
    return this.storageFault();
  }

  /** @throws IpamError 'locked' when another agent was faster; Error of the file system */
  #makeAgain(): void {
    this.#leases.makeDirectory();
    // That of the former directory keeps nobody out.
    const next = lock(this.#directory);
    this.#lock.close();
    this.#lock = next;
    this.#leases.rewrite();
  }

  get(key: LeaseKey): Lease | undefined {
    return this.#leases.get(key);
  }

  leases(): Lease[] {
    return this.#leases.values();
  }

  /** Gives a container's addresses back. Only its own: another container of the same pod has another key (CNI7). @returns what it had */
  release(key: LeaseKey): Lease | undefined {
    const lease = this.get(key);
    if (!lease) return undefined;
    this.#leases.remove(lease);
    this.#giveBack(lease.addresses);
    return lease;
  }

  /** Leases of the network whose key is not among these; the caller releases them after what they stand for is gone (CNI10). */
  stale(network: string, valid: Iterable<LeaseKey>): Lease[] {
    const keep = new Set([...valid].map(keyText));
    return this.leases().filter((lease) => lease.key.network === network && !keep.has(keyText(lease.key)));
  }

  /** Leases of addresses that are no longer in the node's pod CIDRs (PC6): other nodes have no route to them. */
  outOfRange(): Lease[] {
    return this.leases().filter(({ addresses }) => !addresses.every((address) => this.#pools.contains(address)));
  }

  damaged(): DamagedLease[] {
    return this.#leases.damaged();
  }

  /** Forgets a damaged lease, once it is certain that nobody uses its addresses. */
  discardDamaged(file: string): void {
    this.#giveBack(this.#leases.discard(file));
  }

  use(): PoolUse[] {
    return this.#pools.use();
  }

  /** Why the next container cannot get one address of each family; undefined when it can. What is only not forgotten yet can be given. */
  whyFull(): string | undefined {
    const { fault } = this.#formerUsers;
    for (const { prefix, used, capacity } of this.use()) {
      if (used >= capacity) return `no address is left in ${prefix}: all ${capacity} are in use`;
      if (fault === undefined) continue;
      const unclean = this.#formerUsers.all().filter((address) => prefix.contains(address) && this.isFree(address)).length;
      if (used + unclean >= capacity)
        return `no address is left in ${prefix}: ${used} of ${capacity} are in use, and the connections of the other ${unclean} cannot be deleted: ${fault}`;
    }
    return undefined;
  }

  [Symbol.dispose](): void {
    this.#lock.close();
  }

  #inUse(): InUse {
    return { leases: this.leases(), damaged: this.damaged(), held: this.#holds.all() };
  }

  /** @param wanted a free one; else the next */
  #take(pool: Pool, wanted: IpAddr | undefined): IpAddr {
    if (wanted) pool.hold(wanted);
    const address = wanted ?? pool.take();
    if (!address) throw exhausted(pool, this.#inUse());
    try {
      this.#formerUsers.forgetBefore(address);
    } catch (error) {
      pool.give(address);
      throw error;
    }
    return address;
  }

  #giveBack(addresses: readonly IpAddr[]): void {
    for (const address of addresses) {
      this.#formerUsers.add(address);
      this.#give(address);
    }
  }

  #give(address: IpAddr): void {
    if (!this.#holds.has(address) && !this.#leases.isDamaged(address)) this.#pools.give(address);
  }
}
