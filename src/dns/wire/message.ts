import { randomInt } from 'node:crypto';
import { classIn, ednsUdpBytes, flag, headerBytes, rrType } from './constants.ts';
import { lowerName, readName, type WireName } from './names.ts';

/** One record of a received message, as offsets into it. */
export interface RecordAt {
  /** Of the owner's name. */
  at: number;
  type: number;
  class: number;
  ttl: number;
  ttlAt: number;
  dataAt: number;
  dataLength: number;
  end: number;
  section: 'answer' | 'authority' | 'additional';
}

/** A received answer. Records stay where they are; names inside are read when asked for. */
export interface Message {
  buffer: Uint8Array;
  id: number;
  flags: number;
  /** With the upper bits of OPT. */
  rcode: number;
  /** In lower case. */
  name: WireName;
  type: number;
  class: number;
  questionEnd: number;
  records: RecordAt[];
}

const mostRecords = 4096;

/**
 * Reads a message of exactly one question, and walks all its records.
 * @throws RangeError when it is malformed in any way
 */
export function parseMessage(buffer: Uint8Array): Message {
  if (buffer.length < headerBytes) throw new RangeError(`a DNS message has at least ${headerBytes} bytes, not ${buffer.length}`);
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  const end = buffer.length;
  if (view.getUint16(4) !== 1) throw new RangeError(`${view.getUint16(4)} questions in place of one`);
  const { name, next } = readName(buffer, 0, headerBytes, end);
  if (next + 4 > end) throw new RangeError('the question runs past the end of the message');
  const counts = { answer: view.getUint16(6), authority: view.getUint16(8), additional: view.getUint16(10) };
  if (counts.answer + counts.authority + counts.additional > mostRecords)
    throw new RangeError(`more than ${mostRecords} records`);
  const records: RecordAt[] = [];
  let code = view.getUint16(2) & 0xf;
  let at = next + 4;
  for (const section of ['answer', 'authority', 'additional'] as const) {
    for (let i = 0; i < counts[section]; i++) {
      const fixed = readName(buffer, 0, at, end).next;
      if (fixed + 10 > end) throw new RangeError('a record runs past the end of the message');
      const dataAt = fixed + 10;
      const dataLength = view.getUint16(fixed + 8);
      if (dataAt + dataLength > end) throw new RangeError('data of a record run past the end of the message');
      const type = view.getUint16(fixed);
      if (type === rrType.OPT) code |= buffer[fixed + 4]! << 4;
      const ttl = view.getUint32(fixed + 4);
      records.push({
        ...{
          at,
          type,
          class: view.getUint16(fixed + 2),
          ttlAt: fixed + 4,
          dataAt,
          dataLength,
          end: dataAt + dataLength,
          section,
        },
        // RFC 2181 8: the most significant bit means zero.
        ttl: ttl > 0x7fffffff ? 0 : ttl,
      });
      at = dataAt + dataLength;
    }
  }
  return {
    ...{ buffer, id: view.getUint16(0), flags: view.getUint16(2), rcode: code, name: lowerName(name), records },
    ...{ type: view.getUint16(next), class: view.getUint16(next + 2), questionEnd: next + 4 },
  };
}

/** Owner of a record, in lower case. */
export const ownerOf = (message: Message, record: RecordAt): WireName =>
  lowerName(readName(message.buffer, 0, record.at, record.end).name);

/** The name that a CNAME, PTR or NS record leads to, case kept. @throws RangeError when it does not fill the data */
export function targetOf(message: Message, record: RecordAt): WireName {
  const { name, next } = readName(message.buffer, 0, record.dataAt, record.end);
  if (next !== record.end) throw new RangeError('a name in the data of a record has another length than the data');
  return name;
}

/** Data as a byte string. Only for types without names inside. */
export const dataOf = ({ buffer }: Message, { dataAt, end }: RecordAt): string =>
  Buffer.from(buffer.buffer, buffer.byteOffset + dataAt, end - dataAt).toString('latin1');

export interface Question {
  name: WireName;
  type: number;
  /** Asks for DNSSEC records (DO), and not to judge them (CD). */
  dnssecOk?: boolean;
  checkingDisabled?: boolean;
  /** Without RD: only what the server knows already. */
  iterative?: boolean;
}

/** A query with EDNS and a random id from a cryptographic source (T30). */
export function encodeQuery({ name, type, dnssecOk = false, checkingDisabled = false }: Question): Buffer {
  const head = Buffer.alloc(headerBytes);
  head.writeUInt16BE(randomInt(0x10000), 0);
  head.writeUInt16BE(flag.RD | (checkingDisabled ? flag.CD : 0), 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(1, 10);
  const tail = Buffer.alloc(4 + 11);
  tail.writeUInt16BE(type, 0);
  tail.writeUInt16BE(classIn, 2);
  tail.writeUInt16BE(rrType.OPT, 5);
  tail.writeUInt16BE(ednsUdpBytes, 7);
  tail.writeUInt16BE(dnssecOk ? 0x8000 : 0, 11);
  return Buffer.concat([head, Buffer.from(name, 'latin1'), tail]);
}

/** Whether the answer is one to this very question: id, name, type, class (T30). */
export function answersQuestion(message: Message, id: number, { name, type }: Question): boolean {
  return (
    (message.flags & flag.QR) !== 0 &&
    (message.flags & 0x7800) === 0 &&
    message.id === id &&
    message.name === lowerName(name) &&
    message.type === type &&
    message.class === classIn
  );
}
