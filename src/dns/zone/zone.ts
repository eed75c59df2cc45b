import { hashName } from '../wire/hash.ts';
import { isBelow, labelsOf, parentName, parseName, type WireName } from '../wire/names.ts';
import type { Query } from '../wire/query.ts';
import { Changes } from './changes.ts';
import { RecordSet } from './record-set.ts';
import type { ZoneRecord } from './records.ts';
import { type Apex, type Entry, NameTable } from './table.ts';

/** What one owner (an object of the cluster) gives to the zones. */
export interface Contribution {
  records: readonly ZoneRecord[];
  /** Names that exist even without records (namespaces, D14). */
  names?: readonly WireName[];
}

interface Given {
  records: readonly ZoneRecord[];
  names: readonly WireName[];
}

export interface Found {
  apex: Apex;
  /** undefined: the name does not exist. */
  entry: Entry | undefined;
  /** It was made for this question: nothing may be kept of it, as nobody tells when it changes. */
  made: boolean;
}

/**
 * All names that this server knows by itself, in one or more zones. Every record has an owner; giving an owner's contribution anew touches only what
 * differs, so a change costs as much as it is large. What is in it depends on the present contributions alone, never on their order.
 */
export class Zones {
  readonly apexes: readonly Apex[];
  /** For who keeps something of a name. */
  readonly changes = new Changes();
  readonly #table = new NameTable();
  readonly #given = new Map<string, Given>();
  readonly #now: () => number;
  /** Records of names that are made when they are asked for: none of them is in the table, nor anything below them. None: the name does not exist. */
  make: (name: WireName) => readonly RecordSet[] = () => [];
  /** SOA serial: seconds since 1970 at the last change, as CoreDNS has it. */
  serial: number;

  /** @param now milliseconds since 1970 */
  constructor(apexes: readonly WireName[], now: () => number = Date.now) {
    this.#now = now;
    this.serial = Math.floor(now() / 1000);
    this.apexes = apexes.map((name) => ({ name, labels: labelsOf(name).length, addressLabels: addressLabels(name) }));
    for (const apex of this.apexes) if (!this.#table.get(apex.name)) this.#table.add(apex.name, apex).pins = 1;
  }

  /** Number of names that exist. */
  get size(): number {
    return this.#table.size;
  }

  /** Sets all that `owner` gives; records outside of the zones are left out. */
  contribute(owner: string, { records, names = noNames }: Contribution): void {
    const before = this.#given.get(owner);
    if (!before && records.length === 0 && names.length === 0) return;
    const gone = new Map<string, ZoneRecord>((before?.records ?? []).map((record) => [keyOf(record), record]));
    const kept: ZoneRecord[] = [];
    // Before taking away: a name that stays is not removed and made anew.
    for (const record of records) {
      const key = keyOf(record);
      const same = gone.get(key);
      if (same) gone.delete(key);
      kept.push(same ?? this.#add(record));
    }
    for (const name of names) this.#pin(name);
    for (const record of gone.values()) this.#remove(record);
    for (const name of before?.names ?? []) this.#unpin(name);
    if (records.length > 0 || names.length > 0) this.#given.set(owner, { records: kept.slice(), names });
    else this.#given.delete(owner);
    this.serial = Math.floor(this.#now() / 1000);
  }

  /** For an owner that knows by itself what it gives: only what comes and goes. What comes twice must go twice. */
  amend(added: Iterable<ZoneRecord>, removed: Iterable<ZoneRecord>): void {
    for (const record of added) this.#add(record);
    for (const record of removed) this.#remove(record);
    this.serial = Math.floor(this.#now() / 1000);
  }

  /** Records that were given with one TTL have another one from now on; those to come are given with it. */
  setTtl(before: number, now: number): void {
    for (const { sets } of this.#table.entries()) for (const set of sets) if (set.ttl === before) set.ttl = now;
    this.changes.noteAll();
  }

  withdraw(owner: string): void {
    this.contribute(owner, { records: [] });
  }

  /** @returns false when the whole name of the question does not exist; true says nothing */
  mayHave(query: Query): boolean {
    return this.#table.mayHave(query.hashes[0]!);
  }

  /** @returns undefined when the name is in none of the zones */
  find(query: Query): Found | undefined {
    for (let skip = 0; skip < query.labels; skip++) {
      const entry = this.#table.find(query, skip);
      if (!entry) continue;
      const { apex } = entry;
      if (skip === 0) return { apex, entry, made: false };
      // Endpoints have names directly below their Service's; most names that do not exist are not worth a string.
      const mayBeMade = apex.addressLabels > 0 ? query.labels === apex.addressLabels : skip === 1 && entry.sets.length > 0;
      return { apex, entry: mayBeMade ? this.#made(query.name(), apex) : undefined, made: true };
    }
    return undefined;
  }

  /** @param name in lower case */
  #made(name: WireName, apex: Apex): Entry | undefined {
    const sets = this.make(name);
    return sets.length === 0 ? undefined : { name, hash: hashName(name), apex, sets, children: 0, pins: 0, next: undefined };
  }

  /** Also one that is made when it is asked for. */
  look(name: WireName): Entry | undefined {
    const present = this.#table.get(name);
    const apex = present ? undefined : this.apexOf(name);
    return apex ? this.#made(name, apex) : present;
  }

  /** Whether an owner gives anything. */
  has(owner: string): boolean {
    return this.#given.has(owner);
  }

  /** Whether an owner gives a record of this name and type; or, without a type, the name itself. */
  gives(owner: string, name: WireName, type?: number): boolean {
    const given = this.#given.get(owner);
    if (!given) return false;
    if (type === undefined) return given.names.includes(name) || given.records.some((record) => record.name === name);
    return given.records.some((record) => record.name === name && record.type === type);
  }

  get(name: WireName): Entry | undefined {
    return this.#table.get(name);
  }

  /** The zone that a name is in, whether it exists or not. */
  apexOf(name: WireName): Apex | undefined {
    return this.apexes
      .filter((apex) => isBelow(name, apex.name))
      .reduce<Apex | undefined>((best, apex) => (best && best.labels >= apex.labels ? best : apex), undefined);
  }

  /** Every name with what it has; for comparison and for people. */
  *entries(): IterableIterator<Entry> {
    yield* this.#table.entries();
  }

  /** @returns the record as it is kept: with the entry's own string for its name, and without the parts that its data were made of */
  #add(record: ZoneRecord): ZoneRecord {
    const { name, type, ttl } = record;
    const entry = this.#entry(name);
    if (!entry) return record;
    this.changes.note(entry.hash);
    // Data are often another name of the zones.
    const data = this.#table.get(record.data)?.name ?? flat(record.data);
    const set = entry.sets.find((other) => other.type === type);
    if (set) set.add(data);
    else entry.sets = [...entry.sets, new RecordSet(type, ttl, data)];
    return { name: entry.name, type, ttl, data };
  }

  #remove({ name, type, data }: ZoneRecord): void {
    const entry = this.#table.get(name);
    const set = entry?.sets.find((other) => other.type === type);
    if (!entry || !set?.remove(data)) return;
    this.changes.note(entry.hash);
    if (set.isEmpty) entry.sets = entry.sets.filter((other) => other !== set);
    this.#prune(entry);
  }

  #pin(name: WireName): void {
    const entry = this.#entry(name);
    if (entry) entry.pins++;
  }

  #unpin(name: WireName): void {
    const entry = this.#table.get(name);
    if (!entry) return;
    entry.pins--;
    this.#prune(entry);
  }

  /** The entry of a name inside one of the zones, made with all its ancestors up to the top of the zone. */
  #entry(name: WireName): Entry | undefined {
    const present = this.#table.get(name);
    if (present) return present;
    const apex = this.apexOf(name);
    if (!apex) return undefined;
    const entry = this.#table.add(flat(name), apex);
    this.changes.note(entry.hash);
    this.#entry(parentName(name))!.children++;
    return entry;
  }

  #prune(entry: Entry): void {
    for (let at: Entry | undefined = entry; at && at.sets.length === 0 && at.children === 0 && at.pins === 0; ) {
      this.#table.remove(at);
      this.changes.note(at.hash);
      const parent = this.#table.get(parentName(at.name));
      if (parent) parent.children--;
      at = parent;
    }
  }
}

const noNames: readonly WireName[] = [];

const arpa: readonly (readonly [WireName, number])[] = [
  [parseName('in-addr.arpa'), 4 + 2],
  [parseName('ip6.arpa'), 32 + 2],
];
const addressLabels = (apex: WireName): number => arpa.find(([name]) => isBelow(apex, name))?.[1] ?? 0;

/** The same text in one piece: strings that were put together keep their parts. */
const flat = (text: string): string => Buffer.from(text, 'latin1').toString('latin1');

const keyOf = ({ name, type, ttl, data }: ZoneRecord): string => `${type} ${ttl} ${name} ${data}`;
