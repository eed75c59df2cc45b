import { classIn, rcode, rrType } from '../wire/constants.ts';
import { lowerName, nameOf, type WireName } from '../wire/names.ts';
import type { Query } from '../wire/query.ts';
import { questionName, type Reply } from '../wire/reply.ts';
import { ReadyAnswers } from './ready.ts';
import type { RecordSet } from './record-set.ts';
import { soaNumbers, srvTargetAt } from './records.ts';
import type { Entry } from './table.ts';
import type { Zones } from './zone.ts';

/** Aliases that lead to aliases: more is a loop (T32). */
const mostAliases = 8;
/** Compression pointers have 14 bits. */
const lastPointer = 0x3fff;

const answered: ZoneVerdict = { rcode: rcode.NOERROR };
const noName: ZoneVerdict = { rcode: rcode.NXDOMAIN };

/** MNAME and RNAME up to the zone's own name. */
const mnameHead = nameOf(['ns', 'dns']).slice(0, -1);
const rnameHead = nameOf(['hostmaster']).slice(0, -1);

export type ZoneVerdict =
  /** Not in the zones. */
  'foreign' | { rcode: number /** An alias leads out of the zones: what is asked for must be found there. */; outside?: Outside };

export interface Outside {
  target: WireName;
  /** Where the target's name stands in the reply. */
  at: number;
}

/** Answers from the zones into `reply` (begun, not finished). D2-D9, D14, D17, D21. */
export class ZoneAnswerer {
  readonly #zones: Zones;
  #ttl: number;
  readonly #ready: ReadyAnswers;
  #turn = 0;
  /** The SOA record, and the serial that it was made with. */
  #soaRecord: Buffer = Buffer.alloc(0);
  #soaSerial = -1;

  /** @param ttl of negative answers, seconds (D15) */
  constructor(zones: Zones, ttl: number) {
    this.#zones = zones;
    this.#ttl = ttl;
    this.#ready = new ReadyAnswers(zones.changes);
  }

  /** Of negative answers, from now on. */
  setTtl(ttl: number): void {
    this.#ttl = ttl;
    this.#soaSerial = -1;
  }

  answer(query: Query, reply: Reply): ZoneVerdict {
    const isThere = ReadyAnswers.holds(query.type) && this.#zones.mayHave(query) && this.#ready.write(query, reply, this.#zones.serial);
    if (isThere) return answered;
    return this.#answer(query, reply);
  }

  #answer(query: Query, reply: Reply): ZoneVerdict {
    const found = this.#zones.find(query);
    if (!found) return 'foreign';
    let { apex } = found;
    let { entry } = found;
    let owner = questionName;
    // Where the top of the zone stands, for the SOA's owner and names.
    let apexAt = questionName + query.labelAt[query.labels - apex.labels]!;
    for (let aliases = 0; ; aliases++) {
      if (!entry) {
        this.#negative(reply, apexAt, rcode.NXDOMAIN);
        return noName;
      }
      if (query.type === rrType.ANY) return this.#any(entry, reply, apexAt);
      if (query.type === rrType.SOA && entry.name === apex.name && aliases === 0) {
        this.#soa(reply, apexAt);
        reply.answers++;
        return { rcode: rcode.NOERROR };
      }
      const set = setOf(entry, query.type);
      if (set) {
        this.#write(set, owner, reply);
        if (aliases === 0 && !found.made) this.#keep(query, reply, set);
        return answered;
      }
      const alias = setOf(entry, rrType.CNAME);
      if (!alias) {
        this.#negative(reply, apexAt, rcode.NOERROR);
        if (aliases === 0 && !found.made) this.#keep(query, reply);
        return answered;
      }
      const target = alias.data[0]!;
      if (!reply.record(owner, rrType.CNAME, alias.ttl, target)) {
        reply.truncated = true;
        return { rcode: rcode.NOERROR };
      }
      reply.answers++;
      owner = reply.position - target.length;
      const lower = lowerName(target);
      const next = this.#zones.apexOf(lower);
      if (!next) return { rcode: rcode.NOERROR, outside: { target, at: owner } };
      if (aliases === mostAliases) return { rcode: rcode.SERVFAIL };
      apex = next;
      apexAt = owner + target.length - apex.name.length;
      entry = this.#zones.look(lower);
    }
  }

  /** What is the same each time: one record, which needs no turns, or none. @param set undefined: there is none of that type */
  #keep(query: Query, reply: Reply, set?: RecordSet): void {
    if (!ReadyAnswers.holds(query.type) || reply.truncated || (set && set.data.length > 1)) return;
    if (!set) {
      // Five numbers of four bytes end the SOA, the serial first.
      if (reply.authority === 1) this.#ready.keep(query, reply, { serialAt: reply.position - query.questionEnd - 20 });
    } else if (set.type === rrType.SRV) {
      const target = lowerName(set.data[0]!.slice(srvTargetAt));
      // With all addresses: they were left out if there was no room.
      if (reply.additional > 0) this.#ready.keep(query, reply, { target });
    } else this.#ready.keep(query, reply, {});
  }

  /** One name outside of a question, e.g. at the end of an alias that came back: writes what is there. @returns a response code */
  writeOwn(name: WireName, type: number, owner: number, reply: Reply): number {
    const entry = this.#zones.look(lowerName(name));
    const set = entry && setOf(entry, type);
    if (set) this.#write(set, owner, reply);
    return entry ? rcode.NOERROR : rcode.NXDOMAIN;
  }

  /** Starts elsewhere each time, so that clients that take the first are spread (D21). */
  #write(set: RecordSet, owner: number, reply: Reply): void {
    const { data, type, ttl } = set;
    const count = data.length;
    const first = count > 1 ? this.#turn++ % count : 0;
    const began = reply.position;
    for (let i = 0; i < count; i++) {
      const at = first + i < count ? first + i : first + i - count;
      if (!reply.record(owner, type, ttl, data[at]!)) {
        reply.truncated = true;
        return;
      }
      reply.answers++;
    }
    if (type === rrType.SRV) this.#targets(reply, began, count);
  }

  /** Addresses of SRV targets, as far as they fit: their absence is no truncation (RFC 2782). */
  #targets(reply: Reply, began: number, count: number): void {
    // Owner pointer, fixed part, then the data: names in SRV are never compressed (RFC 2782), so that pointers can lead there.
    let at = began;
    let lastTarget: WireName | undefined;
    const seen = count > 1 ? new Set<WireName>() : undefined;
    for (let i = 0; i < count; i++) {
      const nameAt = at + 12 + srvTargetAt;
      const length = ((reply.buffer[reply.at + at + 10]! << 8) | reply.buffer[reply.at + at + 11]!) - srvTargetAt;
      at = nameAt + length;
      if (nameAt > lastPointer) return;
      const target = Buffer.from(reply.buffer.buffer, reply.buffer.byteOffset + reply.at + nameAt, length).toString('latin1');
      if (target === lastTarget || seen?.has(target)) continue;
      lastTarget = target;
      seen?.add(target);
      for (const set of this.#zones.get(target)?.sets ?? []) {
        if (set.type !== rrType.A && set.type !== rrType.AAAA) continue;
        for (const data of set.data) {
          if (!reply.record(nameAt, set.type, set.ttl, data)) return;
          reply.additional++;
        }
      }
    }
  }

  /** RFC 8482: a small answer that is true, in place of everything (T31). */
  #any(entry: Entry, reply: Reply, apexAt: number): ZoneVerdict {
    if (entry.sets.length === 0) return { rcode: this.#negative(reply, apexAt, rcode.NOERROR) };
    if (reply.record(questionName, rrType.HINFO, this.#ttl, '\x07RFC8482\x00')) reply.answers++;
    return { rcode: rcode.NOERROR };
  }

  /** SOA tells how long the absence may be remembered (RFC 2308). */
  #negative(reply: Reply, apexAt: number, code: number): number {
    if (this.#soa(reply, apexAt)) reply.authority++;
    return code;
  }

  #soa(reply: Reply, apexAt: number): boolean {
    const { serial } = this.#zones;
    if (serial !== this.#soaSerial) {
      this.#soaRecord = soaRecord(serial, this.#ttl);
      this.#soaSerial = serial;
    }
    const record = this.#soaRecord;
    if (reply.room < record.length) return false;
    const begin = reply.at + reply.position;
    const { buffer } = reply;
    for (let i = 0; i < record.length; i++) buffer[begin + i] = record[i]!;
    for (let i = 0; i < soaPointers.length; i++) {
      const at = begin + soaPointers[i]!;
      buffer[at] = 0xc0 | (apexAt >> 8);
      buffer[at + 1] = apexAt;
    }
    reply.position += record.length;
    return true;
  }
}

const pointer = '\xc0\0';
/** Where pointers to the top of the zone stand in the record: its owner, and the ends of MNAME and RNAME. */
const soaPointers: readonly number[] = [0, 12 + mnameHead.length, 12 + mnameHead.length + 2 + rnameHead.length];

/** A whole SOA record (RFC 1035 3.3.13), whose pointers are to be filled in. */
function soaRecord(serial: number, ttl: number): Buffer {
  const data = mnameHead + pointer + rnameHead + pointer + soaNumbers(serial, ttl);
  const head = Buffer.alloc(12);
  head.write(pointer, 'latin1');
  head.writeUInt16BE(rrType.SOA, 2);
  head.writeUInt16BE(classIn, 4);
  head.writeUInt32BE(ttl, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, Buffer.from(data, 'latin1')]);
}

function setOf({ sets }: Entry, type: number): RecordSet | undefined {
  for (let i = 0; i < sets.length; i++) if (sets[i]!.type === type) return sets[i];
  return undefined;
}
