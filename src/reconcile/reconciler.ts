import { Contributions } from './contributions.ts';
import { HeldItems } from './held-items.ts';
import type { Item, NodeNetwork } from './model.ts';
import { diff, ElementOperation, type Failure, type Operation, StaleError, type Writer } from './operations.ts';
import { type OwnerStatus, OwnerStatuses } from './owner-statuses.ts';
import { PlaceSet } from './place-set.ts';
import { type Place, Places } from './places.ts';

export interface SyncResult {
  /** The kernel was read anew. */
  full: boolean;
  /** What was written, failures included. */
  operations: readonly Operation[];
  failures: readonly Failure[];
}

export interface ReconcilerOptions {
  now?: () => number;
  /** Called when something is to be done, e.g. to wake a Runner. */
  onWork?: () => void;
  onStatus?: (owner: string, status: OwnerStatus | undefined) => void;
}

/** How often a sync is planned anew when somebody else changes the kernel meanwhile. */
const staleAttempts = 5;

/**
 * Brings the kernel to what all owners want. A change costs what it changes; a full check is the same diff with every key marked.
 * Nothing here waits: `contribute` marks, `sync` writes.
 */
export class Reconciler {
  readonly #writers: readonly Writer[];
  readonly #onWork: () => void;
  readonly #places = new Places();
  readonly #contributions = new Contributions(this.#places);
  /** What the kernel is known to hold. */
  readonly #actual: NodeNetwork = new HeldItems(this.#places);
  readonly #dirty = new PlaceSet();
  /** All of them are dirty. */
  readonly #failing = new Map<Place, Error>();
  readonly #statuses: OwnerStatuses;
  #readNeeded = true;
  /** What is remembered of the kernel may be wrong, whoever wrote to it: everything is to be read. */
  #inDoubt = true;

  constructor(writers: readonly Writer[], options: ReconcilerOptions = {}) {
    this.#writers = writers;
    this.#onWork = options.onWork ?? (() => {});
    this.#statuses = new OwnerStatuses(options.now ?? Date.now, options.onStatus ?? (() => {}));
  }

  /**
   * Replaces everything that an owner wants; an empty list withdraws it.
   * @param applied the kernel holds these items already (and no longer those that the owner had before), because the caller wrote them
   */
  contribute(owner: string, items: Iterable<Item>, { applied = false } = {}): void {
    let work = false;
    // Who wants the same under another owner's name may win or lose by this.
    const others = new Set<string>();
    this.#contributions.set(owner, items, (place) => {
      if (!this.#contributions.isAlone(place, owner))
        for (const other of this.#contributions.ownersOf(place)) if (other !== owner) others.add(other);
      if (applied) this.#assume(place);
      else {
        this.#dirty.add(place);
        work = true;
      }
    });
    if (this.#noteOwner(owner)) {
      if (work || !this.#statuses.all.has(owner)) this.#statuses.pending(owner);
      if (!work) this.#settle(owner);
    }
    for (const other of others) {
      if (work) this.#statuses.unsettled.add(other);
      else this.#settle(other);
    }
    if (work) this.#onWork();
  }

  /**
   * Replaces what an owner wants, like `contribute`, and has it in the kernel when it returns: for what must be there before its caller goes on. Nothing
   * of other owners is written, so it costs what it changes.
   * @throws Error with what the kernel refused; it is tried again by the next sync
   */
  contributeNow(owner: string, items: Iterable<Item>): void {
    this.contributeAllNow([[owner, items]]);
  }

  /** `contributeNow` of several owners at once: what of it goes to nftables is one transaction. */
  contributeAllNow(parts: Iterable<readonly [owner: string, items: Iterable<Item>]>): void {
    // What one withdraws another may want.
    const places = new Set<Place>();
    const affected = new Set<string>();
    for (const [owner, items] of parts) {
      this.#contributions.set(owner, items, (place) => void places.add(place));
      if (this.#noteOwner(owner)) affected.add(owner);
      else affected.delete(owner);
    }
    const changed = [...places];
    for (const place of changed) this.#dirty.add(place);
    // Who wants the same may win or lose by this.
    for (const place of changed) for (const one of this.#contributions.ownersOf(place)) affected.add(one);
    if (this.#writeNow(changed)) {
      for (const one of affected) this.#settle(one);
      return;
    }
    for (const one of affected) this.#statuses.unsettled.add(one);
    // What was refused may be there already: the kernel is read, and everything compared.
    this.#readNeeded = this.#inDoubt = true;
    this.sync();
    for (const place of changed) {
      const error = this.#failing.get(place);
      if (error) throw error;
    }
  }

  withdraw(owner: string, options?: { applied?: boolean }): void {
    this.contribute(owner, [], options);
  }

  /** The next sync reads the kernel and compares everything. */
  markAll(): void {
    this.#readNeeded = true;
    this.#onWork();
  }

  /** There is something to write, to try again or to read. */
  get hasWork(): boolean {
    return this.#readNeeded || this.#dirty.size > 0;
  }

  /** Brings the kernel to what is wanted. Never throws for what the kernel refuses: that is in the result and in the owners' status. */
  sync(): SyncResult {
    const full = this.#readNeeded;
    for (let attempt = 1; ; attempt++) {
      try {
        return this.#syncOnce(full);
      } catch (error) {
        if (!(error instanceof StaleError) || attempt === staleAttempts) throw error;
        this.#readNeeded = this.#inDoubt = true;
      }
    }
  }

  /** What would be written now, without writing; reads the kernel when `read` is set. */
  plan({ read = false } = {}): Operation[] {
    if (read) this.#inDoubt = true;
    if (read || this.#readNeeded) this.#read();
    return diff(this.#places, this.#dirty);
  }

  status(owner: string): OwnerStatus | undefined {
    return this.#statuses.all.get(owner);
  }

  statuses(): ReadonlyMap<string, OwnerStatus> {
    return this.#statuses.all;
  }

  /** What is wanted, as a whole. */
  network(): NodeNetwork {
    return this.#contributions.network();
  }

  /** What an owner wants, others' wishes under the same keys aside. */
  itemsOf(owner: string): Iterable<Item> {
    return this.#contributions.itemsOf(owner);
  }

  /** Reads the kernel now. @returns what it holds, e.g. to take over ids from before a restart */
  observe(): NodeNetwork {
    this.#inDoubt = true;
    this.#read();
    return this.#actual;
  }

  /** What the kernel was last known to hold. */
  actual(): NodeNetwork {
    return this.#actual;
  }

  /** @returns whether the owner wants anything */
  #noteOwner(owner: string): boolean {
    if (this.#contributions.has(owner)) {
      this.#statuses.unsettled.add(owner);
      return true;
    }
    this.#statuses.forget(owner);
    return false;
  }

  /** @returns false when anything was refused */
  #writeNow(places: readonly Place[]): boolean {
    const operations = diff(this.#places, places);
    let failures: Failure[];
    try {
      failures = this.#write(operations);
    } catch (error) {
      if (error instanceof StaleError) return false;
      throw error;
    }
    if (failures.length > 0) return false;
    this.#remember(operations);
    for (const place of places) {
      this.#dirty.delete(place);
      this.#failing.delete(place);
      this.#tidy(place);
    }
    return true;
  }

  #syncOnce(full: boolean): SyncResult {
    if (this.#readNeeded) this.#read();
    const operations = diff(this.#places, this.#dirty);
    const failures = this.#write(operations);
    const failed = new Map<Place, Error>();
    for (const { key, error } of failures) {
      const place = this.#places.find(key);
      if (place !== undefined) failed.set(place, error);
    }
    this.#remember(operations, failed);
    this.#note(failed);
    return { full, operations, failures };
  }

  /** The kernel holds what was written. */
  #remember(operations: readonly Operation[], failed?: ReadonlyMap<Place, Error>): void {
    for (const operation of operations) {
      const place = operation instanceof ElementOperation ? operation.place : this.#places.find(operation.key)!;
      if (!failed?.has(place)) this.#places.holdWanted(place);
    }
  }

  #write(operations: readonly Operation[]): Failure[] {
    const failures: Failure[] = [];
    for (const writer of this.#writers) {
      const own = operations.filter((operation) => writer.kinds.has(operation.kind));
      if (own.length === 0) continue;
      try {
        failures.push(...writer.apply(own, () => this.#wanted(writer.kinds)));
      } catch (error) {
        if (error instanceof StaleError) throw error;
        failures.push(...own.map(({ key }) => ({ key, error: error as Error })));
      }
    }
    return failures;
  }

  /** Keeps failures marked, for the next try, and tells the owners. */
  #note(failed: ReadonlyMap<Place, Error>): void {
    const touched = new Set(this.#statuses.unsettled);
    for (const place of [...this.#failing.keys(), ...failed.keys()])
      for (const owner of this.#contributions.ownersOf(place)) touched.add(owner);
    const looked = [...this.#dirty];
    this.#dirty.clear();
    this.#failing.clear();
    for (const [place, error] of failed) {
      this.#failing.set(place, error);
      this.#dirty.add(place);
    }
    for (const place of looked) this.#tidy(place);
    for (const owner of touched) this.#settle(owner);
    // What was refused may be there already in another form: look before trying again. That casts no doubt on what was written.
    if (failed.size > 0) this.#readNeeded = this.#inDoubt = true;
  }

  #settle(owner: string): void {
    const why: string[] = [];
    let isPending = this.#readNeeded;
    if (this.#failing.size > 0 || this.#dirty.size > 0)
      for (const place of this.#contributions.placesOf(owner)) {
        const error = this.#failing.get(place);
        if (error) why.push(error.message);
        else if (this.#dirty.has(place)) isPending = true;
      }
    for (const { key, winner } of this.#contributions.conflicts(owner)) why.push(`${key} is wanted otherwise by ${winner}`);
    this.#statuses.settle(owner, { why, isPending });
  }

  #assume(place: Place): void {
    this.#places.holdWanted(place);
    this.#dirty.delete(place);
    this.#failing.delete(place);
    this.#tidy(place);
  }

  /** A place where nothing is wanted, held or left to do is no more. */
  #tidy(place: Place): void {
    if (!this.#places.isEmpty(place) || this.#dirty.has(place)) return;
    this.#places.free(place);
  }

  #read(): void {
    const unread = new Set(this.#inDoubt ? [] : this.#writers.filter((writer) => writer.isUnchanged?.()));
    const readers = this.#writers.filter((writer) => !unread.has(writer));
    const actual = readers.map((writer) => writer.observe(() => this.#wanted(writer.kinds)));
    const read = new Set(readers.flatMap(({ kinds }) => [...kinds]));
    for (const place of this.#places.all()) if (read.has(this.#places.kindOf(place))) this.#places.hold(place, undefined);
    for (const items of actual) for (const item of items) this.#places.hold(this.#places.of(item), item);
    for (const place of this.#places.plain()) this.#dirty.add(place);
    // Of elements, only those that are not as they should be: a million that are right would be marked for nothing.
    for (const place of this.#places.elements()) {
      if (!this.#places.isRight(place)) this.#dirty.add(place);
      else this.#tidy(place);
    }
    this.#readNeeded = this.#inDoubt = false;
  }

  *#wanted(kinds: ReadonlySet<Item['kind']>): Iterable<Item> {
    for (const place of this.#places.all()) {
      if (!kinds.has(this.#places.kindOf(place))) continue;
      const item = this.#places.wanted(place);
      if (item) yield item;
    }
  }
}
