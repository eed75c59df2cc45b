import { classIn, rrType } from './constants.ts';
import { type Message, ownerOf, type RecordAt } from './message.ts';
import { readName, type WireName } from './names.ts';
import type { Reply } from './reply.ts';

/** Compression pointers have 14 bits. */
const lastPointer = 0x3fff;

/** How many bytes stand before and behind the names in a record's data, for types whose names may be compressed (RFC 3597 4). */
const namesIn = new Map<number, { before: number; names: number }>([
  [rrType.NS, { before: 0, names: 1 }],
  [rrType.CNAME, { before: 0, names: 1 }],
  [rrType.PTR, { before: 0, names: 1 }],
  [rrType.SOA, { before: 0, names: 2 }],
  [rrType.MX, { before: 2, names: 1 }],
  [rrType.SRV, { before: 6, names: 1 }],
  [rrType.DNAME, { before: 0, names: 1 }],
]);

/** Data of a record as a byte string, all names in it whole. @throws RangeError when it is malformed */
export function wholeData({ buffer }: Message, { type, dataAt, end }: RecordAt): string {
  const bytes = Buffer.from(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  const layout = namesIn.get(type);
  if (!layout) return bytes.toString('latin1', dataAt, end);
  let at = dataAt + layout.before;
  let data = bytes.toString('latin1', dataAt, at);
  for (let i = 0; i < layout.names; i++) {
    const { name, next } = readName(buffer, 0, at, end);
    data += name;
    at = next;
  }
  if (at > end) throw new RangeError('a name in the data of a record runs past its end');
  return data + bytes.toString('latin1', at, end);
}

export interface Relocation {
  /** Names that stand in the reply already: where. In lower case. */
  known?: Map<WireName, number>;
  /** In place of an owner's name; by default itself. */
  owner?: (name: WireName) => WireName | number;
  data?: (record: RecordAt, data: string) => string;
}

/**
 * Copies what answers another question into a reply: the answer and authority sections, names whole where they cannot point at one that is there.
 * @throws RangeError when the message is malformed
 */
export function copyRecords(reply: Reply, message: Message, { known = new Map(), owner, data }: Relocation): void {
  for (const record of message.records) {
    if (record.section === 'additional' || record.class !== classIn || record.type === rrType.OPT) continue;
    const name = ownerOf(message, record);
    const written = owner?.(name) ?? name;
    const at = typeof written === 'number' ? written : (known.get(written) ?? written);
    const bytes = wholeData(message, record);
    const began = reply.position;
    if (!reply.record(at, record.type, record.ttl, data?.(record, bytes) ?? bytes)) {
      // Without authority the answer is as good.
      if (record.section === 'answer') reply.truncated = true;
      return;
    }
    if (record.section === 'answer') reply.answers++;
    else reply.authority++;
    if (typeof at === 'string' && began <= lastPointer) known.set(at, began);
  }
}

