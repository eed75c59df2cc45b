import { Reader } from '../../wire/reader.ts';
import type { Writer } from '../../wire/writer.ts';
import { readData, writeData } from './data.ts';
import { type Datatype, decodeValue, intervalOf, parseType, typeId, typeSize, verdictType, writeValue } from './datatypes.ts';
import { type Expression, readExpression, writeExpression } from './expressions.ts';
import { isRanged, rangeOf, rangeText } from './ranges.ts';
import type { Chain, Element, Hook, NftSetSpec, RuleFamily, SetFlag, Table, TableFamily } from './types.ts';
import { decodeSetComment, decodeTableComment, encodeRuleComment, encodeSetUserdata, encodeTableComment } from './userdata.ts';

/** NLA_F_NESTED */
const nested = 0x8000;

/** enum nf_tables_msg_types; on the wire below NFNL_SUBSYS_NFTABLES << 8. */
export const nftMessage = {
  newTable: 0,
  getTable: 1,
  delTable: 2,
  newChain: 3,
  getChain: 4,
  delChain: 5,
  newRule: 6,
  getRule: 7,
  delRule: 8,
  newSet: 9,
  getSet: 10,
  delSet: 11,
  newSetElem: 12,
  getSetElem: 13,
  delSetElem: 14,
  newGen: 15,
  getGen: 16,
  newObj: 18,
  getObj: 19,
  delObj: 20,
} as const;

/** NFT_TABLE_F_OWNER (Linux 5.12), NFT_TABLE_F_PERSIST (6.9): only the socket that owns the table may write it; it outlives that socket. */
export const tableOwner = 2;
export const tablePersist = 4;

/** NFPROTO_… */
export const familyNumbers: Readonly<Record<RuleFamily, number>> = { inet: 1, ip: 2, arp: 3, bridge: 7, ip6: 10 };

const ipHooks: readonly Hook['hook'][] = ['prerouting', 'input', 'forward', 'output', 'postrouting'];
/** In the order of their numbers: NF_INET_…, NF_BR_…; NF_ARP_… */
const hookNames: Readonly<Record<RuleFamily, readonly Hook['hook'][]>> = {
  ...{ inet: ipHooks, ip: ipHooks, ip6: ipHooks, bridge: ipHooks },
  arp: ['input', 'output'],
};

const setFlags: Record<SetFlag, number> = { constant: 2, interval: 4, timeout: 0x10, dynamic: 0x20 };
const mapFlag = 8;
const concatFlag = 0x80;
/** NFT_SET_ELEM_INTERVAL_END */
const intervalEnd = 1;

export function writeTable(writer: Writer, table: Table, flags: number): void {
  writer.attribute(1, (w) => w.cstring(table.name)).attribute(2, (w) => w.be32(flags));
  if (table.comment !== undefined) writer.attribute(6, (w) => w.bytes(encodeTableComment(table.comment!)));
}

export interface ReadTable extends Table {
  flags: number;
  /** Port id of the owning socket; absent on an orphan. */
  owner?: number;
}

export function readTable(reader: Reader): ReadTable {
  const table: ReadTable = { name: '', flags: 0 };
  reader.eachAttribute((type, inner) => {
    if (type === 1) table.name = inner.cstring();
    else if (type === 2) table.flags = inner.be32();
    else if (type === 6) table.comment = decodeTableComment(inner.rest());
    else if (type === 7) table.owner = inner.be32();
  });
  return table;
}

export function writeChain(writer: Writer, table: string, { name, hook }: Chain, family: RuleFamily = 'inet'): void {
  writer.attribute(1, (w) => w.cstring(table)).attribute(3, (w) => w.cstring(name));
  if (!hook) return;
  writer.nested(4, (w) =>
    w
      .attribute(1, (inner) => inner.be32(hookNames[family].indexOf(hook.hook) >>> 0))
      .attribute(2, (inner) => inner.be32(hook.priority >>> 0)),
  );
  writer.attribute(5, (w) => w.be32(hook.policy === 'drop' ? 0 : 1)).attribute(7, (w) => w.cstring(hook.type));
}

/** A chain without its rules, which come by messages of their own. */
export function readChain(reader: Reader, family: TableFamily = 'inet'): { table: string; chain: Chain } {
  let table = '';
  let name = '';
  let type: Hook['type'] = 'filter';
  let policy: Hook['policy'];
  let at: { hook: Hook['hook']; priority: number } | undefined;
  reader.eachAttribute((attribute, inner) => {
    if (attribute === 1) table = inner.cstring();
    else if (attribute === 3) name = inner.cstring();
    else if (attribute === 4) at = readHook(inner, family);
    else if (attribute === 5) policy = inner.be32() === 0 ? 'drop' : 'accept';
    else if (attribute === 7) type = inner.cstring() as Hook['type'];
  });
  const hook: Hook | undefined = at && { type, ...at, policy: policy ?? 'accept' };
  return { table, chain: hook ? { name, hook, rules: [] } : { name, rules: [] } };
}

function readHook(reader: Reader, family: TableFamily): { hook: Hook['hook']; priority: number } {
  let hook: Hook['hook'] = 'prerouting';
  let priority = 0;
  reader.eachAttribute((type, inner) => {
    if (type === 1) hook = hookNames[family][inner.be32()] ?? 'prerouting';
    else if (type === 2) priority = inner.be32() | 0;
  });
  return { hook, priority };
}

/** Where a rule goes in its chain, and what is kept with it. */
export interface RulePlace {
  /** For whoever lists it; iptables-nft shows it as a match `comment`. */
  comment?: string;
  /** Handle of the rule that it comes before; at the end of the chain when there is none. */
  before?: number | undefined;
}

export function writeRule(
  writer: Writer,
  table: string,
  chain: string,
  expressions: readonly Expression[],
  { comment, before }: RulePlace = {},
): void {
  writer.attribute(1, (w) => w.cstring(table)).attribute(2, (w) => w.cstring(chain));
  writer.nested(4, (list) => {
    for (const expression of expressions) list.nested(1, (w) => writeExpression(w, expression));
  });
  if (before !== undefined) writer.attribute(6, (w) => w.be64(BigInt(before)));
  if (comment !== undefined) writer.attribute(7, (w) => w.bytes(encodeRuleComment(comment)));
}

export function readRule(reader: Reader): { table: string; chain: string; expressions: Expression[] } {
  const rule = { table: '', chain: '', expressions: [] as Expression[] };
  reader.eachAttribute((type, inner) => {
    if (type === 1) rule.table = inner.cstring();
    else if (type === 2) rule.chain = inner.cstring();
    else if (type === 4) inner.eachAttribute((_, expression) => void rule.expressions.push(readExpression(expression)));
  });
  return rule;
}

/** @param id of the set inside of its transaction */
export function writeSet(writer: Writer, table: string, set: NftSetSpec, id: number): void {
  const keyTypes = parseType(set.key);
  const dataTypes = set.data === undefined || set.data === 'verdict' ? undefined : parseType(set.data);
  let flags = set.data === undefined ? 0 : mapFlag;
  for (const flag of set.flags) flags |= setFlags[flag];
  const ranged = isRanged(set);
  if (ranged) flags |= concatFlag;
  writer
    .attribute(1, (w) => w.cstring(table))
    .attribute(2, (w) => w.cstring(set.name))
    .attribute(3, (w) => w.be32(flags))
    .attribute(4, (w) => w.be32(typeId(keyTypes)))
    .attribute(5, (w) => w.be32(typeSize(keyTypes)))
    .attribute(10, (w) => w.be32(id))
    .attribute(13, (w) => w.bytes(encodeSetUserdata(set, keyTypes, dataTypes)));
  // NFTA_SET_DESC: NFTA_SET_DESC_SIZE, NFTA_SET_DESC_CONCAT with NFTA_SET_FIELD_LEN for each part.
  if (set.size !== undefined || ranged)
    writer.nested(9, (w) => {
      if (set.size !== undefined) w.attribute(1, (v) => v.be32(set.size!));
      if (ranged)
        w.nested(2, (parts) => {
          for (const { size } of keyTypes) parts.nested(1, (part) => part.attribute(1, (v) => v.be32(size)));
        });
    });
  if (set.data === 'verdict') writer.attribute(6, (w) => w.be32(verdictType));
  if (dataTypes) writer.attribute(6, (w) => w.be32(typeId(dataTypes))).attribute(7, (w) => w.be32(typeSize(dataTypes)));
  if (set.timeoutMs !== undefined) writer.attribute(11, (w) => w.be64(BigInt(set.timeoutMs!)));
}

/** NFT_OBJECT_COUNTER */
const counterObject = 1;

/** NFTA_OBJ_…, beginning at zero (struct nft_counter by NFTA_COUNTER_BYTES and _PACKETS). */
export function writeCounter(writer: Writer, table: string, name: string): void {
  writer
    .attribute(1, (w) => w.cstring(table))
    .attribute(2, (w) => w.cstring(name))
    .attribute(3, (w) => w.be32(counterObject));
  writer.nested(4, (w) => w.attribute(1, (v) => v.be64(0n)).attribute(2, (v) => v.be64(0n)));
}

/** What a named counter has counted since it was made. */
export interface Counted {
  packets: number;
  bytes: number;
}

/** @returns undefined for an object that is no counter */
export function readCounter(reader: Reader): (Counted & { table: string; name: string }) | undefined {
  const counter = { table: '', name: '', packets: 0, bytes: 0 };
  let type = 0;
  reader.eachAttribute((attribute, inner) => {
    if (attribute === 1) counter.table = inner.cstring();
    else if (attribute === 2) counter.name = inner.cstring();
    else if (attribute === 3) type = inner.be32();
    else if (attribute === 4 && type === counterObject)
      inner.eachAttribute((field, value) => {
        if (field === 1) counter.bytes = Number(value.be64());
        else if (field === 2) counter.packets = Number(value.be64());
      });
  });
  return type === counterObject ? counter : undefined;
}

/** A set as the kernel tells it; types are nft's numbers. */
export interface ReadSet {
  table: string;
  name: string;
  flags: number;
  keyType: number;
  dataType: number;
  timeoutMs?: number;
  size?: number;
  comment?: string;
}

export function readSet(reader: Reader): ReadSet {
  const set: ReadSet = { table: '', name: '', flags: 0, keyType: 0, dataType: 0 };
  reader.eachAttribute((type, inner) => {
    if (type === 1) set.table = inner.cstring();
    else if (type === 2) set.name = inner.cstring();
    else if (type === 3) set.flags = inner.be32();
    else if (type === 4) set.keyType = inner.be32();
    else if (type === 6) set.dataType = inner.be32();
    else if (type === 9)
      inner.eachAttribute((field, value) => {
        if (field === 1) set.size = value.be32();
      });
    else if (type === 11) set.timeoutMs = Number(inner.be64());
    else if (type === 13) set.comment = decodeSetComment(inner.rest());
  });
  return set;
}

/** The definition as podnet would have written it. @throws SyntaxError on a type that podnet does not know */
export function specOf(set: ReadSet): NftSetSpec {
  const spec: NftSetSpec = {
    name: set.name,
    key: typeNames(set.keyType),
    flags: (Object.keys(setFlags) as SetFlag[]).filter((flag) => set.flags & setFlags[flag]),
  };
  if (set.flags & mapFlag) spec.data = set.dataType === verdictType ? 'verdict' : typeNames(set.dataType);
  if (set.timeoutMs !== undefined) spec.timeoutMs = set.timeoutMs;
  // Of other sets the kernel makes up a size of its own.
  if (set.size !== undefined && set.flags & setFlags.dynamic) spec.size = set.size;
  if (set.comment !== undefined) spec.comment = set.comment;
  return spec;
}

const idNames = new Map(
  ['integer', 'ipv4_addr', 'ipv6_addr', 'ether_addr', 'inet_proto', 'inet_service', 'mark', 'classid', 'ifname'].map((name) => [
    parseType(name)[0]!.id,
    name,
  ]),
);

function typeNames(id: number): string {
  const names: string[] = [];
  for (let rest = id; rest > 0; rest >>>= 6) names.unshift(idNames.get(rest & 0x3f) ?? `type-${rest & 0x3f}`);
  return names.join(' . ');
}

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
