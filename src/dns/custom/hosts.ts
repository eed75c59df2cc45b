import { IpAddr } from '../../net/ip.ts';
import { rcode } from '../wire/constants.ts';
import { formatName, isBelow, lowerName, parseName, type WireName } from '../wire/names.ts';
import type { Query } from '../wire/query.ts';
import { questionName, type Reply } from '../wire/reply.ts';
import { RecordSet } from '../zone/record-set.ts';
import { addressRecord, ptrRecord, type ZoneRecord } from '../zone/records.ts';
import { reverseName } from '../zone/reverse.ts';
import { type Entry, NameTable } from '../zone/table.ts';
import type { HostsEntries } from './entries.ts';

const defaultTtl = 30;

/** Names with addresses that were set by hand, and back. A name that has an entry has nothing else: other types are NODATA. */
export class Hosts {
  readonly #table = new NameTable();
  readonly #zones: readonly WireName[];
  #turn = 0;
  /** Names and addresses with an entry. */
  readonly size: number;
  /** Lines of files that could not be used, for people. */
  readonly faults: string[] = [];

  /** @param read the content of a file; what it throws goes through */
  constructor({ ttl = defaultTtl, entries = [], files = [], reverse = true, zones = [] }: HostsEntries, read: (file: string) => string) {
    this.#zones = zones.map((zone) => lowerName(parseName(zone)));
    for (const { address, names } of entries) for (const name of names) this.#add(name, address, ttl, reverse);
    for (const file of files) for (const [address, name] of this.#lines(file, read(file))) this.#add(name, address, ttl, reverse);
    this.size = this.#table.size;
  }

  /** @returns whether `reply` is finished */
  answer(query: Query, reply: Reply): boolean {
    const entry = this.#table.size > 0 ? this.#table.find(query, 0) : undefined;
    if (!entry) return this.#isAbsent(query, reply);
    const set = entry.sets.find(({ type }) => type === query.type);
    query.trace?.({ stage: 'hosts', text: `entry of ${formatName(entry.name)}` });
    if (set) this.#write(set, reply);
    reply.finish({ rcode: rcode.NOERROR, authoritative: true });
    return true;
  }

  #isAbsent(query: Query, reply: Reply): boolean {
    if (this.#zones.length === 0) return false;
    const name = query.name();
    const zone = this.#zones.find((one) => isBelow(name, one));
    if (zone === undefined) return false;
    query.trace?.({ stage: 'hosts', text: `no entry, and names below ${formatName(zone)} have no others` });
    reply.finish({ rcode: name === zone ? rcode.NOERROR : rcode.NXDOMAIN, authoritative: true });
    return true;
  }

  #write({ data, type, ttl }: RecordSet, reply: Reply): void {
    const first = data.length > 1 ? this.#turn++ % data.length : 0;
    for (let i = 0; i < data.length; i++) {
      if (!reply.record(questionName, type, ttl, data[(first + i) % data.length]!)) {
        reply.truncated = true;
        return;
      }
      reply.answers++;
    }
  }

  #add(name: string, text: string, ttl: number, reverse: boolean): void {
    const address = IpAddr.parse(text);
    const owner = lowerName(parseName(name));
    this.#record(addressRecord(owner, address, ttl));
    if (reverse) this.#record(ptrRecord(reverseName(address), owner, ttl));
  }

  #record({ name, type, ttl, data }: ZoneRecord): void {
    const entry: Entry = this.#table.get(name) ?? this.#table.add(name, apex);
    const set = entry.sets.find((one) => one.type === type);
    if (set) set.add(data);
    else entry.sets = [...entry.sets, new RecordSet(type, ttl, data)];
  }

  /** Lines as in hosts(5). Those that cannot be used are told, and disturb no others. */
  #lines(file: string, text: string): [address: string, name: string][] {
    return text.split('\n').flatMap((line, i) => {
      const [address = '', ...names] = line.replace(/#.*$/, '').trim().split(/\s+/);
      if (address === '') return [];
      if (!IpAddr.tryParse(address)) {
        this.faults.push(`${file}:${i + 1}: "${address}" is no address`);
        return [];
      }
      return names.flatMap((name): [string, string][] => {
        try {
          parseName(name);
          return [[address, name]];
        } catch {
          this.faults.push(`${file}:${i + 1}: "${name}" is no name`);
          return [];
        }
      });
    });
  }
}

/** Entries by hand are in no zone. */
const apex = { name: '\0', labels: 0, addressLabels: 0 };
