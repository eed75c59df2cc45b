import { classIn, ednsUdpBytes, flag, headerBytes, plainUdpBytes, rcode, rrType, tcpBytes } from './constants.ts';
import { ClientAddress } from './client.ts';
import { hashSlots, hashSuffixes } from './hash.ts';
import { lowerByte, maxLabelBytes, maxNameBytes, type WireName } from './names.ts';

export type Transport = 'udp' | 'tcp';

/** What a stage did with a question, and what that rests on: for people. */
export interface TraceStep {
  stage: string;
  text: string;
}

export type Trace = (step: TraceStep) => void;

/** What `parse` says beside a response code: there is to be no answer at all (an answer, or not even a header). */
export const ignore = -1;

/**
 * A question as it stands in a received message, read without copying. One object is used again for every datagram, so that nothing is allocated for
 * each: keep nothing of it beyond the call; `copy` makes one that stays.
 */
export class Query {
  buffer: Uint8Array = new Uint8Array(0);
  /** Where the message begins in `buffer`. */
  at = 0;
  length = 0;
  transport: Transport = 'udp';
  /** Who asks; set by who received it. */
  client: ClientAddress = new ClientAddress();
  /** Hears what the stages do; undefined but for the one question in a million that is explained. */
  trace: Trace | undefined;
  /** The header's second word. */
  flags = 0;
  /** Number of labels without the root; `labelAt[i]` is the i-th's offset from the name's begin, `labelAt[labels]` the root's. */
  labels = 0;
  readonly labelAt = new Uint16Array(hashSlots);
  readonly hashes = new Int32Array(hashSlots);
  /** Bytes of the name with the root. */
  nameLength = 0;
  type = 0;
  class = 0;
  /** The question was understood and can be echoed. */
  hasQuestion = false;
  /** The asker knows EDNS, and gets an OPT record back. */
  edns = false;
  /** DNSSEC OK: forwarded, never needed for own names. */
  dnssecOk = false;
  /** Most bytes of the answer. */
  limit = plainUdpBytes;

  /**
   * Reads and judges a message (D18): everything must be well-formed up to the last byte, or it is FORMERR.
   * @returns `rcode.NOERROR` when it is to be answered, another response code to be sent, or `ignore`
   */
  parse(buffer: Uint8Array, at: number, length: number, transport: Transport): number {
    this.buffer = buffer;
    this.at = at;
    this.length = length;
    this.transport = transport;
    this.hasQuestion = this.edns = this.dnssecOk = false;
    this.limit = transport === 'udp' ? plainUdpBytes : tcpBytes;
    if (length < headerBytes) return ignore;
    this.flags = word(buffer, at + 2);
    if (this.flags & flag.QR) return ignore;
    if (this.flags & 0x7800) return rcode.NOTIMP;
    if (word(buffer, at + 4) !== 1 || word(buffer, at + 6) !== 0) return rcode.FORMERR;
    const end = at + length;
    const question = this.#question(at + headerBytes, end);
    return question < 0 ? rcode.FORMERR : this.#records(question, end);
  }

  /** End of the question, relative to the message. */
  get questionEnd(): number {
    return headerBytes + this.nameLength + 4;
  }

  get id(): number {
    return word(this.buffer, this.at);
  }

  get recursionDesired(): boolean {
    return (this.flags & flag.RD) !== 0;
  }

  /** The name as a string of its own, in lower case. */
  name(): WireName {
    let name = '';
    const begin = this.at + headerBytes;
    for (let i = begin; i < begin + this.nameLength; i++) name += String.fromCharCode(lowerByte[this.buffer[i]!]!);
    return name;
  }

  /** A query that outlives the buffer. */
  copy(): Query {
    const copy = new Query();
    copy.client = this.client.copy();
    copy.trace = this.trace;
    copy.parse(Buffer.from(this.buffer.subarray(this.at, this.at + this.length)), 0, this.length, this.transport);
    return copy;
  }

  /** @returns the offset behind the question, or -1 */
  #question(begin: number, end: number): number {
    let labels = 0;
    let i = begin;
    for (;;) {
      if (i >= end) return -1;
      const length = this.buffer[i]!;
      // No pointer can be right here: there is nothing before it to point at.
      if (length > maxLabelBytes || i - begin + length >= maxNameBytes) return -1;
      this.labelAt[labels] = i - begin;
      i += length + 1;
      if (length === 0) break;
      labels++;
    }
    if (i + 4 > end) return -1;
    this.labels = labels;
    this.nameLength = i - begin;
    this.type = word(this.buffer, i);
    this.class = word(this.buffer, i + 2);
    hashSuffixes(this.buffer, begin, this.labelAt, labels, this.hashes);
    this.hasQuestion = true;
    return i + 4;
  }

  /** Walks authority (IXFR has some) and additional records in search of OPT (RFC 6891). */
  #records(from: number, end: number): number {
    const { buffer, at } = this;
    const authority = word(buffer, at + 8);
    const count = authority + word(buffer, at + 10);
    let badVersion = false;
    let i = from;
    for (let record = 0; record < count; record++) {
      const name = i;
      i = skipName(buffer, i, end);
      if (i < 0 || i + 10 > end) return rcode.FORMERR;
      const type = word(buffer, i);
      const dataLength = word(buffer, i + 8);
      if (i + 10 + dataLength > end) return rcode.FORMERR;
      if (type === rrType.OPT) {
        if (this.edns || buffer[name] !== 0 || record < authority) return rcode.FORMERR;
        if (!wholeOptions(buffer, i + 10, i + 10 + dataLength)) return rcode.FORMERR;
        this.edns = true;
        badVersion = buffer[i + 5] !== 0;
        this.dnssecOk = (buffer[i + 6]! & 0x80) !== 0;
        if (this.transport === 'udp') this.limit = Math.min(Math.max(word(buffer, i + 2), plainUdpBytes), ednsUdpBytes);
      }
      i += 10 + dataLength;
    }
    if (i !== end) return rcode.FORMERR;
    if (badVersion) return rcode.BADVERS;
    return this.class === classIn ? rcode.NOERROR : rcode.REFUSED;
  }
}

const word = (buffer: Uint8Array, at: number): number => (buffer[at]! << 8) | buffer[at + 1]!;

/** Steps over a name that may end in a pointer. @returns the offset behind it, or -1 */
function skipName(buffer: Uint8Array, at: number, end: number): number {
  for (let i = at; i < end; ) {
    const length = buffer[i]!;
    if (length === 0) return i + 1;
    if (length >= 0xc0) return i + 2 <= end ? i + 2 : -1;
    if (length > maxLabelBytes) return -1;
    i += length + 1;
    if (i - at >= maxNameBytes) return -1;
  }
  return -1;
}

/** Options are code, length, data, with nothing left over. What they say is of no concern here. */
function wholeOptions(buffer: Uint8Array, at: number, end: number): boolean {
  let i = at;
  while (i + 4 <= end) i += 4 + word(buffer, i + 2);
  return i === end;
}
