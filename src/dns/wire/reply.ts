import {
  classIn,
  ednsUdpBytes,
  extendedErrorBytes,
  extendedErrorOption,
  flag,
  headerBytes,
  optBytes,
  rrType,
} from './constants.ts';
import type { WireName } from './names.ts';
import type { Query } from './query.ts';

export interface Ending {
  rcode: number;
  /** AA: the answer comes from our own zone. */
  authoritative?: boolean;
  /** AD of a forwarded answer. */
  authenticated?: boolean;
  /** Why, for those who know EDNS (RFC 8914); left out where there is no room. */
  extendedError?: number;
}

/** Compression pointer to the question's name, which always stands right behind the header. */
export const questionName: number = headerBytes;

/**
 * Writes an answer into a given buffer: whole records only, never past the asker's limit. What does not fit any more is left out, and TC says so when it
 * belonged to the answer (RFC 2181 9). One object is used again for every answer.
 */
export class Reply {
  buffer: Uint8Array = new Uint8Array(0);
  /** Where the message begins in `buffer`. */
  at = 0;
  /** Where the next record goes, relative to the message; pointers are made of this. */
  position = 0;
  /** RA is set: there are resolvers to forward to. */
  recursionAvailable = false;
  answers = 0;
  authority = 0;
  additional = 0;
  truncated = false;
  /** Length of the finished message. */
  length = 0;
  #end = 0;
  #query!: Query;

  /** Begins with header and question, in the asker's own case (D18, 0x20). `limit` bytes must fit at `at`. */
  begin(query: Query, buffer: Uint8Array, at: number): void {
    this.#query = query;
    this.buffer = buffer;
    this.at = at;
    this.answers = this.authority = this.additional = 0;
    this.truncated = false;
    this.length = 0;
    const keep = query.hasQuestion ? query.questionEnd : headerBytes;
    const from = query.at;
    const source = query.buffer;
    for (let i = 0; i < keep; i++) buffer[at + i] = source[from + i]!;
    this.position = keep;
    this.#end = query.limit - (query.edns ? optBytes : 0);
  }

  /** Forgets all records. */
  restart(): void {
    this.begin(this.#query, this.buffer, this.at);
  }

  /** Bytes that are left for records. */
  get room(): number {
    return this.#end - this.position;
  }

  /**
   * A record in the section that is being filled; count it there afterwards.
   * @param owner offset of the owner's name in the message, made into a pointer; or the name itself
   * @returns false when there was no room; nothing is written then
   */
  record(owner: number | WireName, type: number, ttl: number, data: string): boolean {
    const ownerLength = typeof owner === 'number' ? 2 : owner.length;
    if (this.position + ownerLength + 10 + data.length > this.#end) return false;
    if (typeof owner === 'number') this.#pointer(owner);
    else this.bytes(owner);
    const { buffer } = this;
    let i = this.at + this.position;
    buffer[i++] = type >> 8;
    buffer[i++] = type;
    buffer[i++] = 0;
    buffer[i++] = classIn;
    buffer[i++] = ttl >>> 24;
    buffer[i++] = ttl >>> 16;
    buffer[i++] = ttl >>> 8;
    buffer[i++] = ttl;
    buffer[i++] = data.length >> 8;
    buffer[i++] = data.length;
    this.position = i - this.at;
    this.bytes(data);
    return true;
  }

  bytes(data: string): void {
    const begin = this.at + this.position;
    for (let i = 0; i < data.length; i++) this.buffer[begin + i] = data.charCodeAt(i);
    this.position += data.length;
  }

  #pointer(to: number): void {
    this.buffer[this.at + this.position++] = 0xc0 | (to >> 8);
    this.buffer[this.at + this.position++] = to;
  }

  /** Writes OPT and header. @returns the message's length */
  finish({ rcode, authoritative = false, authenticated = false, extendedError = -1 }: Ending): number {
    const query = this.#query;
    if (query.edns) {
      // Root name, OPT, our size, upper bits of the response code, version 0, DO echoed (RFC 3225), perhaps why.
      const tells = extendedError >= 0 && this.position + optBytes + extendedErrorBytes <= query.limit;
      this.buffer[this.at + this.position++] = 0;
      this.#word(rrType.OPT);
      this.#word(ednsUdpBytes);
      this.#word((rcode >> 4) << 8);
      this.#word(query.dnssecOk ? 0x8000 : 0);
      this.#word(tells ? extendedErrorBytes : 0);
      if (tells) {
        this.#word(extendedErrorOption);
        this.#word(2);
        this.#word(extendedError);
      }
      this.additional++;
    }
    // Opcode, RD and CD of the question come back.
    let flags = flag.QR | (query.flags & (0x7800 | flag.RD | flag.CD)) | (rcode & 0xf);
    if (authoritative) flags |= flag.AA;
    if (authenticated) flags |= flag.AD;
    if (this.recursionAvailable) flags |= flag.RA;
    // Over TCP asking again would not help.
    if (this.truncated && query.transport === 'udp') flags |= flag.TC;
    this.length = this.position;
    this.position = 2;
    this.#word(flags);
    this.#word(query.hasQuestion ? 1 : 0);
    this.#word(this.answers);
    this.#word(this.authority);
    this.#word(this.additional);
    return this.length;
  }

  #word(value: number): void {
    this.buffer[this.at + this.position++] = value >> 8;
    this.buffer[this.at + this.position++] = value;
  }
}
