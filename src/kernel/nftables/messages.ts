import type { Reader } from '../../wire/reader.ts';
import type { Writer } from '../../wire/writer.ts';
import { type Expression, readExpression, writeExpression } from './expressions.ts';
import type { Chain, Hook, RuleFamily, Table, TableFamily } from './types.ts';
import { decodeTableComment, encodeRuleComment, encodeTableComment } from './userdata.ts';

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
