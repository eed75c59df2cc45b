import { Reader } from '../../wire/reader.ts';
import type { Writer } from '../../wire/writer.ts';
import { readData, writeData } from './data.ts';
import { type Datatype, decodeValue, intervalOf, parseType, typeSize, writeValue } from './datatypes.ts';
import { isRanged, rangeOf, rangeText } from './ranges.ts';
import type { Element, NftSetSpec } from './types.ts';

/** NLA_F_NESTED */
const nested = 0x8000;
/** NFT_SET_ELEM_INTERVAL_END */
const intervalEnd = 1;

/** One element of a set: its key, and for an interval the key where it ends. */
export function writeElement(writer: Writer, set: NftSetSpec, element: Element): void {
  const keyTypes = parseType(set.key);
  if (!set.flags.includes('interval')) {
    writeEntry(writer, set, element, keyTypes);
    return;
  }
  if (isRanged(set)) {
    const { first, last } = rangeOf(keyTypes, element.key);
    writeEntry(writer, set, element, first, last);
    return;
  }
  const { start, end } = intervalOf(keyTypes, element.key);
  writeEntry(writer, set, element, start);
  if (end)
    writer.nested(1, (w) => w.nested(1, (key) => key.attribute(1, (v) => v.bytes(end))).attribute(3, (v) => v.be32(intervalEnd)));
}

/**
 * There are hundreds of thousands of these in a load: nothing is made for one but its bytes.
 * @param key its bytes, or the types that its text is of
 * @param last of a range of concatenations
 */
function writeEntry(writer: Writer, set: NftSetSpec, element: Element, key: Buffer | readonly Datatype[], last?: Buffer): void {
  const { data, timeoutMs } = element;
  const entry = writer.beginAttribute(1 | nested);
  const keyList = writer.beginAttribute(1 | nested);
  if (Buffer.isBuffer(key)) writer.attribute(1, (v) => v.bytes(key));
  else writeText(writer, key, element.key);
  writer.endAttribute(keyList);
  if (data !== undefined) {
    const dataList = writer.beginAttribute(2 | nested);
    if (set.data === 'verdict') writeData(writer, data);
    else writeText(writer, parseType(set.data!), data);
    writer.endAttribute(dataList);
  }
  if (timeoutMs !== undefined) writer.attribute(4, (v) => v.be64(BigInt(timeoutMs)));
  if (last) writer.nested(10, (inner) => inner.attribute(1, (v) => v.bytes(last)));
  writer.endAttribute(entry);
}

/** NFTA_DATA_VALUE */
function writeText(writer: Writer, types: readonly Datatype[], text: string): void {
  const value = writer.beginAttribute(1);
  const at = writer.blank(typeSize(types));
  writeValue(types, text, writer.buffer, at);
  writer.endAttribute(value);
}

/** What stands in one NFTA_LIST_ELEM. */
export interface ReadElement {
  key: Buffer;
  data?: string;
  end: boolean;
  /** Of a range of concatenations: the last value of each part. */
  last?: Buffer;
  /** What the element's counter has counted, if it has one. */
  packets?: number;
}

export function readElements(reader: Reader, set: NftSetSpec, each: (element: ReadElement) => void): void {
  reader.eachAttribute((type, list) => {
    if (type === 3) list.eachAttribute((_, inner) => each(readEntry(inner, set)));
  });
}

/** NFTA_DATA_VALUE as text. */
function readText(reader: Reader, types: readonly Datatype[]): string {
  let text = '';
  reader.eachAttribute((type, inner) => {
    if (type === 1) text = decodeValue(types, inner.rest());
  });
  return text;
}

/** NFTA_EXPR_DATA of a counter: NFTA_COUNTER_PACKETS. */
function readPackets(reader: Reader): number {
  let packets = 0;
  reader.eachAttribute((type, data) => {
    if (type === 2) data.eachAttribute((kind, value) => void (kind === 2 && (packets = Number(value.be64()))));
  });
  return packets;
}

function readEntry(reader: Reader, set: NftSetSpec): ReadElement {
  const element: ReadElement = { key: Buffer.alloc(0), end: false };
  reader.eachAttribute((type, inner) => {
    if (type === 1) inner.eachAttribute((_, value) => void (element.key = value.rest()));
    else if (type === 10) inner.eachAttribute((_, value) => void (element.last = value.rest()));
    else if (type === 7) element.packets = readPackets(inner);
    else if (type === 3) element.end = (inner.be32() & intervalEnd) !== 0;
    else if (type === 2) element.data = set.data && set.data !== 'verdict' ? readText(inner, parseType(set.data)) : readData(inner);
  });
  return element;
}

/**
 * The key of an element that was written by `writeElement`, as text; of an interval its first value.
 * @param at where the element begins in the bytes
 */
export function readKey(bytes: Buffer, at: number, set: NftSetSpec): string {
  const element = new Reader(bytes, at + 4, at + new Reader(bytes, at).u16());
  const { key, last } = readEntry(element, { ...set, data: undefined });
  const types = parseType(set.key);
  return last ? rangeText(types, key, last) : decodeValue(types, key);
}
