import { type Family, families, IpAddr } from '../net/ip.ts';
import {
  byAddress,
  byDestinationPort,
  type ConntrackEntry,
  type ConntrackFilter,
  type ConntrackName,
  conntrack,
  deleteConntrack,
  entryOf,
  getConntrack,
  markIn,
  matches,
  someAddress,
  tableStatistics,
  tupleAttributes,
} from './conntrack-messages.ts';
import { isNotFound } from './errors.ts';
import type { NetlinkBatch } from './netlink/batch.ts';
import { netlinkNetfilter } from './netlink/constants.ts';
import { NetlinkSocket } from './netlink/socket.ts';
import type { NetNs } from './netns.ts';
import { familyNumber } from './rtnetlink/names.ts';

export type { ConntrackEntry, ConntrackFilter } from './conntrack-messages.ts';

/**
 * From how many addresses on the table is read once, rather than walked by the kernel four times for each. On Linux 6.18 four walks of a table of 100,000
 * connections take 75 ms, of 10,000 8 ms, of 1,000 1.5 ms; reading it takes 450, 53 and 17 ms.
 */
const manyAddresses = 8;

/** The connection table of one network namespace. */
export class Conntrack implements Disposable {
  readonly #socket: NetlinkSocket;
  /** Whether the kernel deletes by a filter (since Linux 6.8); undefined before it was tried. */
  #filters: boolean | undefined;

  private constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  static open(ns?: NetNs): Conntrack {
    return new Conntrack(NetlinkSocket.open(netlinkNetfilter, ns, { sendBufferBytes: 8 << 20, receiveBufferBytes: 8 << 20 }));
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }

  /** How many connections there are, in this namespace. */
  count(): number {
    let entries = 0;
    const write = (batch: NetlinkBatch): void => tableStatistics.body.encode(batch, {});
    this.#socket.request(tableStatistics.type, 0, write, 'count conntrack', (type, reader) => {
      if (type === tableStatistics.type) entries = tableStatistics.body.decode(reader).entries ?? 0;
    });
    return entries;
  }

  /**
   * A connection that comes or goes while the table is read may be in the list or not. With a protocol and an original destination port the kernel itself
   * looks for them (since 5.8; one before answers with all): what there is besides costs its walk only.
   */
  list(filter: ConntrackFilter = {}): ConntrackEntry[] {
    const { protocol, originalDestinationPort: destinationPort } = filter;
    const asked = protocol !== undefined && destinationPort !== undefined;
    // It looks within one family.
    if (asked && filter.family === undefined) return families.flatMap((family) => this.list({ ...filter, family }));
    const byPort = asked ? { original: { proto: { protocol, destinationPort } }, filter: { original: byDestinationPort } } : {};
    const write = (batch: NetlinkBatch): void => conntrack.body.encode(batch, { family: familyNumber(filter.family), ...byPort });
    return this.#socket.dump(getConntrack, write, 'list conntrack', (type, reader) => {
      if (type !== conntrack.type) return undefined;
      const entry = entryOf(conntrack.body.decode(reader));
      return entry && matches(entry, filter) ? entry : undefined;
    });
  }

  /** Every mark that a connection has; the whole table is read for it. */
  marks(): Set<number> {
    const marks = new Set<number>();
    const write = (batch: NetlinkBatch): void => conntrack.body.encode(batch, { family: familyNumber(undefined) });
    this.#socket.dump(getConntrack, write, 'list marks of conntrack', (type, reader) => {
      if (type === conntrack.type) marks.add(markIn(reader));
      return undefined;
    });
    return marks;
  }

  /**
   * Clears bits in the marks of connections; the whole table is read for it. One that is marked anew meanwhile may lose its bits too.
   * @param wanted whether a connection with this mark is meant
   * @returns how many there were
   */
  clearMarks(mask: number, wanted: (mark: number) => boolean): number {
    const write = (batch: NetlinkBatch): void => conntrack.body.encode(batch, { family: familyNumber(undefined) });
    const entries = this.#socket.dump(getConntrack, write, 'list marks of conntrack', (type, reader) =>
      type === conntrack.type && wanted(markIn(reader)) ? entryOf(conntrack.body.decode(reader)) : undefined,
    );
    if (entries.length === 0) return 0;
    const batch = this.#socket.batch();
    for (const { reply, zone } of entries) {
      // Without NLM_F_CREATE one that is gone is not made again.
      batch.begin(conntrack.type);
      const family = familyNumber(reply.source.family);
      conntrack.body.encode(batch, { family, reply: tupleAttributes(reply), zone: zone || undefined, mark: 0, markMask: mask });
      batch.end();
    }
    const errors = this.#socket.exchange(batch, (index) => `clear the mark of conntrack ${JSON.stringify(entries[index]?.original)}`);
    for (const error of errors.values()) if (!isNotFound(error)) throw error;
    return entries.length - errors.size;
  }

  /** @returns false when it was gone already */
  delete(entry: ConntrackName): boolean {
    return this.deleteAll([entry]) === 1;
  }

  /**
   * Deletes many with one system call. One that came since they were listed is left, though it may have the original tuple and the id of one of them: a client
   * that uses its port again may be led to another endpoint. The kernel is asked by the reply tuple, and the id answers for the original one.
   * @returns how many were still there
   */
  deleteAll(entries: readonly ConntrackName[]): number {
    const batch = this.#socket.batch();
    for (const { reply, zone, id } of entries) {
      const family = familyNumber(reply.source.family);
      batch.begin(deleteConntrack);
      conntrack.body.encode(batch, { family, reply: tupleAttributes(reply), zone: zone || undefined, id });
      batch.end();
    }
    const errors = this.#socket.exchange(batch, (index) => `delete conntrack ${JSON.stringify(entries[index]?.original)}`);
    for (const error of errors.values()) if (!isNotFound(error)) throw error;
    return entries.length - errors.size;
  }

  /**
   * Deletes every connection, of whatever protocol, that has one of the addresses at either end, before or after translation.
   * Few IPv4 addresses: the kernel is told what to look for, where it knows how (since 6.8). Else the table is read once.
   *
   * IPv6 is never left to the kernel's filter: it compares the wrong way round and would delete all other connections (ctnetlink_filter_match_tuple with
   * `!ipv6_addr_cmp`, seen in 6.18).
   */
  deleteOf(addresses: readonly IpAddr[]): void {
    // The kernel's table is one for all namespaces: walking it takes milliseconds also when nothing in it is of this one.
    if (this.count() === 0) return;
    for (const family of ['ipv4', 'ipv6'] as const) {
      const some = addresses.filter((address) => address.family === family);
      if (some.length === 0) continue;
      const byFilter = family === 'ipv4' && this.#filters !== false && some.length < manyAddresses;
      if (byFilter && this.#deleteByFilter(some)) continue;
      const texts = new Set(some.map(String));
      this.deleteWhere((address) => texts.has(String(address)), family);
    }
  }

  /**
   * Reads the whole table and deletes every connection with an address, at either end, before or after translation, that the predicate is true of.
   * @param predicate asked once for each address
   * @returns how many were deleted
   */
  deleteWhere(predicate: (address: IpAddr) => boolean, family?: Family): number {
    const known = new Map<string, boolean>();
    const wanted = (bytes: string): boolean => {
      let is = known.get(bytes);
      if (is === undefined) known.set(bytes, (is = predicate(IpAddr.fromBytes(Buffer.from(bytes, 'latin1')))));
      return is;
    };
    const write = (batch: NetlinkBatch): void => conntrack.body.encode(batch, { family: familyNumber(family) });
    const entries = this.#socket.dump(getConntrack, write, 'list conntrack', (type, reader) =>
      // Most entries are nobody's business here, and are not decoded.
      type === conntrack.type && someAddress(reader, wanted) ? entryOf(conntrack.body.decode(reader)) : undefined,
    );
    return entries.length === 0 ? 0 : this.deleteAll(entries);
  }

  /** @param addresses IPv4; @returns false when the kernel does not know how */
  #deleteByFilter(addresses: readonly IpAddr[]): boolean {
    const batch = this.#socket.batch();
    for (const address of addresses)
      for (const direction of ['original', 'reply'] as const)
        for (const end of ['source', 'destination'] as const) {
          batch.begin(deleteConntrack);
          conntrack.body.encode(batch, {
            family: familyNumber(address.family),
            // Without a tuple and flags a kernel would delete all there is; with a tuple that is not whole, one before 6.8 refuses.
            [direction]: { ip: { [end === 'source' ? 'src4' : 'dst4']: address } },
            filter: { [direction]: byAddress[end] },
          });
          batch.end();
        }
    const errors = this.#socket.exchange(batch, () => `delete conntrack of ${addresses.join(', ')}`);
    for (const error of errors.values()) {
      if (error.errno !== 'EINVAL' && error.errno !== 'EOPNOTSUPP') throw error;
      this.#filters = false;
    }
    this.#filters ??= true;
    return this.#filters;
  }
}
