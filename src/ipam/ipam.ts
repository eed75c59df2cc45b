import fs from 'node:fs';
import os from 'node:os';
import { check, KernelError } from '../kernel/errors.ts';
import { Fd } from '../kernel/fd.ts';
import { sys } from '../kernel/sys.ts';
import type { IpAddr } from '../net/ip.ts';
import type { Prefix } from '../net/prefix.ts';
import { IpamError } from './errors.ts';
import { type Files, Store } from './files.ts';
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
  boot?: { id: string; startedMs: number };
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
  readonly #boot: { id: string; startedMs: number };
  readonly #leases = new Map<string, Lease>();
  readonly #damaged = new Map<string, DamagedLease>();
  /** By range, also of former ones. */
  readonly #cursors: Map<string, number>;
  #pools: Pool[] = [];

  /**
   * @throws IpamError 'locked' when another agent has the directory, 'storage' when it cannot be read
   */
  constructor(directory: string, { files, boot = thisBoot() }: IpamOptions = {}) {
    this.#boot = boot;
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
   * @param notes kept with the lease; @throws IpamError 'exists' when the key has a lease, 'exhausted', 'no-range', 'storage'
   */
  allocate(key: LeaseKey, notes: LeaseNotes = {}): Lease {
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
      for (const pool of this.#pools) addresses.push(this.#take(pool));
      const lease = { key, addresses, notes, boot: this.#boot.id };
      this.#put(fileName(lease), encodeLease(lease));
      this.#leases.set(keyText(key), lease);
      this.#saveCursors();
      return lease;
    } catch (error) {
      if (!this.#leases.has(keyText(key))) for (const address of addresses) this.#give(address);
      throw error;
    }
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
    for (const address of lease.addresses) this.#give(address);
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
    for (const address of damaged.addresses) this.#give(address);
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
      const twice = this.leases().find((other) => keyText(other.key) === keyText(lease.key) || shareAddress(other, lease));
      if (twice) throw new SyntaxError(`it contradicts the lease in ${fileName(twice)}`);
    } catch (error) {
      this.#quarantine({ file: name, addresses, why: (error as Error).message });
      return;
    }
    // After a reboot no pod is left, and the runtime asks for new addresses (CRI7).
    if (lease.boot === this.#boot.id) this.#leases.set(keyText(lease.key), lease);
    else this.#store.remove(name);
  }

  /** A file from before this boot needs no quarantine: its pod is gone whoever it was. */
  #quarantine(damaged: DamagedLease): void {
    if (this.#store.modified(damaged.file) < this.#boot.startedMs - 60_000) this.#store.remove(damaged.file);
    else this.#damaged.set(damaged.file, damaged);
  }

  *#held(): Iterable<IpAddr> {
    for (const { addresses } of this.#leases.values()) yield* addresses;
    for (const { addresses } of this.#damaged.values()) yield* addresses;
  }

  #take(pool: Pool): IpAddr {
    const address = pool.take();
    if (address) return address;
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
      .map(
        ({ key, notes, addresses }) =>
          `${addresses.find((a) => prefix.contains(a))} by ${notes.pod ?? `container ${key.containerId.slice(0, 13)}`}`,
      );
    return shown.join(', ') || 'none that is known';
  }

  #give(address: IpAddr): void {
    for (const pool of this.#pools) pool.give(address);
  }

  #put(name: string, text: string): void {
    try {
      this.#store.put(name, text);
    } catch (cause) {
      throw new IpamError('storage', `a lease cannot be written to ${this.#store.directory}: ${(cause as Error).message}`, {
        cause,
      });
    }
  }

  #loadCursors(): Map<string, number> {
    try {
      return new Map(Object.entries(JSON.parse(this.#store.read(cursorFile)) as Record<string, number>));
    } catch {
      // Only the order in which addresses are used again depends on it.
      return new Map();
    }
  }

  #saveCursors(): void {
    for (const { prefix, cursor } of this.#pools) this.#cursors.set(`${prefix}`, cursor);
    try {
      this.#store.put(cursorFile, JSON.stringify(Object.fromEntries(this.#cursors)));
    } catch {
      // As above; a full disk shows at the next lease.
    }
  }
}

const shareAddress = (a: Lease, b: Lease): boolean => a.addresses.some((one) => b.addresses.some((other) => one.equals(other)));

function thisBoot(): { id: string; startedMs: number } {
  const id = fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return { id, startedMs: Date.now() - os.uptime() * 1000 };
}

/** flock(2) LOCK_EX | LOCK_NB; the kernel lets go of it when the process dies. */
function lock(directory: string): Fd {
  const fd = Fd.open(directory);
  try {
    check(`lock ${directory}`, sys.flock(fd.number, 2 | 4));
    return fd;
  } catch (cause) {
    fd.close();
    const taken = cause instanceof KernelError && cause.errno === 'EAGAIN';
    throw new IpamError(
      'locked',
      taken ? `another agent has the leases in ${directory}; stop it first` : (cause as Error).message,
      { cause },
    );
  }
}
