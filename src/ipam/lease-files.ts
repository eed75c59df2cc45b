import type { IpAddr } from '../net/ip.ts';
import type { Boot } from './boot.ts';
import { IpamError } from './errors.ts';
import { reasonOf, type Store } from './files.ts';
import { addressesOfFile, decodeLease, encodeLease, fileName, keyText, type Lease, type LeaseKey } from './lease.ts';

/** A lease that cannot be read. Its addresses are held back. */
export interface DamagedLease {
  file: string;
  addresses: readonly IpAddr[];
  why: string;
}

type Addresses = Pick<Lease, 'addresses'>;
export const shareAddress = (a: Addresses, b: Addresses): boolean =>
  a.addresses.some((one) => b.addresses.some((other) => one.equals(other)));

/** How much older than the boot a file must be to be called so: file times have the clock of the moment, which may be set meanwhile. */
const bootSlackMs = 60_000;

/** All leases, in memory and on disk: what is in one is in the other, whatever fails. */
export class LeaseFiles {
  readonly #store: Store;
  readonly #boot: Boot;
  readonly #leases = new Map<string, Lease>();
  readonly #damaged = new Map<string, DamagedLease>();
  /** Why the last lease could not be written: the directory, and what the file system said. */
  fault: string | undefined;

  constructor(store: Store, boot: Boot) {
    this.#store = store;
    this.#boot = boot;
  }

  /** Reads what is there. @throws Error when the directory cannot be listed */
  load(): void {
    for (const name of this.#store.names()) this.#load(name);
  }

  get(key: LeaseKey): Lease | undefined {
    return this.#leases.get(keyText(key));
  }

  values(): Lease[] {
    return [...this.#leases.values()];
  }

  damaged(): DamagedLease[] {
    return [...this.#damaged.values()];
  }

  /** Whether a lease that cannot be read keeps it back. */
  isDamaged(address: IpAddr): boolean {
    return this.damaged().some(({ addresses }) => addresses.some((one) => one.equals(address)));
  }

  /** What no other may get, with what cannot be read. */
  *addresses(): Iterable<IpAddr> {
    for (const { addresses } of this.#leases.values()) yield* addresses;
    for (const { addresses } of this.#damaged.values()) yield* addresses;
  }

  /** @param before the lease that it takes the place of, with the same addresses. @throws IpamError 'storage' when it is not on disk, and not a lease then */
  put(lease: Lease, before?: Lease): void {
    try {
      this.#store.put(fileName(lease), encodeLease(lease));
      this.fault = undefined;
    } catch (cause) {
      this.fault = this.#inDirectory(cause);
      throw new IpamError('storage', `a lease cannot be written to ${this.fault}`, { cause });
    }
    if (before) this.#leases.delete(keyText(before.key));
    this.#leases.set(keyText(lease.key), lease);
  }

  /** Sees a directory that is gone or read-only before a lease is to be written. */
  look(): void {
    try {
      this.#store.look();
    } catch (cause) {
      this.fault ??= this.#inDirectory(cause);
    }
  }

  /** Whether somebody took the directory away. */
  get isGone(): boolean {
    try {
      this.#store.names();
      return false;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ENOENT';
    }
  }

  /** Makes the directory again. What is known is written to it by `rewrite`. @throws Error */
  makeDirectory(): void {
    this.#store.makeDirectory();
  }

  /** @throws Error when a lease cannot be written */
  rewrite(): void {
    for (const lease of this.#leases.values()) this.#store.put(fileName(lease), encodeLease(lease));
  }

  /** @throws IpamError 'storage' when it is still on disk, and a lease then */
  remove(lease: Lease): void {
    try {
      this.#store.remove(fileName(lease));
    } catch (cause) {
      const why = (cause as Error).message;
      throw new IpamError('storage', `the lease of ${lease.addresses.join(' and ')} cannot be removed: ${why}`, { cause });
    }
    this.#leases.delete(keyText(lease.key));
  }

  /** @returns the addresses that it held back */
  discard(file: string): readonly IpAddr[] {
    const damaged = this.#damaged.get(file);
    if (!damaged) return [];
    this.#store.remove(file);
    this.#damaged.delete(file);
    return damaged.addresses;
  }

  /** Its file holds a lease again. */
  isMended(file: string): void {
    this.#damaged.delete(file);
  }

  #load(name: string): void {
    const addresses = addressesOfFile(name);
    if (!addresses) return;
    let lease: Lease;
    try {
      lease = decodeLease(this.#store.read(name));
      if (fileName(lease) !== name) throw new SyntaxError('its name and its contents tell different addresses');
      // After a reboot no pod is left, and the runtime asks for new addresses (CRI7).
      if (lease.boot !== this.#boot.id) {
        this.#drop(name);
        return;
      }
      const twice = this.values().find((other) => keyText(other.key) === keyText(lease.key) || shareAddress(other, lease));
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
      isOld = this.#store.modified(damaged.file) < this.#boot.startedMs - bootSlackMs;
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
      this.fault = this.#inDirectory(error);
    }
  }

  readonly #inDirectory = (error: unknown): string => `${this.#store.directory}: ${reasonOf(error)}`;
}
