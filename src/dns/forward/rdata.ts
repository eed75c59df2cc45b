import type { Message, RecordAt } from '../wire/message.ts';
import { readName } from '../wire/names.ts';

/** Where names stand in the data of a type: so many bytes before, so many names, so many bytes behind. */
interface Layout {
  before: number;
  names: number;
  behind: number;
  /** RFC 1035 types may be sent with compressed names; in later ones names are only read so (RFC 3597 4). */
  compress: boolean;
}

const layout = (before: number, names: number, behind = 0, compress = false): Layout => ({ before, names, behind, compress });

/** All types in whose data senders may have compressed names (RFC 3597 4). */
const layouts = new Map<number, Layout>([
  [2, layout(0, 1, 0, true)], // NS
  [5, layout(0, 1, 0, true)], // CNAME
  [6, layout(0, 2, 20, true)], // SOA
  [7, layout(0, 1, 0, true)], // MB
  [8, layout(0, 1, 0, true)], // MG
  [9, layout(0, 1, 0, true)], // MR
  [12, layout(0, 1, 0, true)], // PTR
  [14, layout(0, 2, 0, true)], // MINFO
  [15, layout(2, 1, 0, true)], // MX
  [17, layout(0, 2)], // RP
  [18, layout(2, 1)], // AFSDB
  [21, layout(2, 1)], // RT
  [26, layout(2, 2)], // PX
  [33, layout(6, 1)], // SRV
  [36, layout(2, 1)], // KX
  [39, layout(0, 1)], // DNAME
]);

const naptr = 35;
const fixedLengths = new Map([
  [1, 4],
  [28, 16],
]);

/** Data of a record in pieces: bytes as they are, and names, decompressed. */
export type Piece = { bytes: string } | { name: string; compress: boolean };

/**
 * Takes the data of a record apart, so that it can stand elsewhere in another message.
 * @throws RangeError when the data are not what the type says
 */
export function takeApart(message: Message, { type, dataAt, end }: RecordAt): Piece[] {
  const { buffer } = message;
  const text = (from: number, to: number): string => {
    if (to > end) throw new RangeError(`data of a record of type ${type} are too short`);
    return Buffer.from(buffer.buffer, buffer.byteOffset + from, to - from).toString('latin1');
  };
  const fixed = fixedLengths.get(type);
  if (fixed !== undefined && end - dataAt !== fixed)
    throw new RangeError(`data of a record of type ${type} have ${end - dataAt} bytes`);
  const where = type === naptr ? layout(naptrHead(buffer, dataAt, end), 1) : layouts.get(type);
  if (!where) return [{ bytes: text(dataAt, end) }];
  let at = dataAt + where.before;
  const pieces: Piece[] = where.before > 0 ? [{ bytes: text(dataAt, at) }] : [];
  for (let i = 0; i < where.names; i++) {
    const { name, next } = readName(buffer, 0, at, end);
    pieces.push({ name, compress: where.compress });
    at = next;
  }
  if (at + where.behind !== end) throw new RangeError(`data of a record of type ${type} have another length than their names`);
  if (where.behind > 0) pieces.push({ bytes: text(at, end) });
  return pieces;
}

/** Order, preference and three strings stand before the name (RFC 3403 4.1). */
function naptrHead(buffer: Uint8Array, at: number, end: number): number {
  let length = 4;
  for (let i = 0; i < 3; i++) {
    if (at + length >= end) throw new RangeError('data of a NAPTR record are too short');
    length += 1 + buffer[at + length]!;
  }
  return length;
}
