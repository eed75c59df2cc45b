import { Reader } from '../../wire/reader.ts';
import { isNotFound, KernelError } from '../errors.ts';
import type { IpSets } from '../ipset.ts';
import { netlinkNetfilter } from '../netlink/constants.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import type { NetNs } from '../netns.ts';
import { readData } from './data.ts';
import { type Expression, readExpression } from './expressions.ts';
import { nftMessage } from './messages.ts';
import { nfHeader, nfType } from './transaction.ts';
import { decodeRuleComment } from './userdata.ts';

/** Whoever changes the ruleset all the time must not stop this process. */
const readAttempts = 5;

export type NftFamily = 'inet' | 'ip' | 'ip6' | 'arp' | 'bridge' | 'netdev';

/** NFPROTO_… (include/uapi/linux/netfilter.h) */
const familyNames = new Map<number, NftFamily>([
  [1, 'inet'],
  [2, 'ip'],
  [3, 'arp'],
  [5, 'netdev'],
  [7, 'bridge'],
  [10, 'ip6'],
]);
const familyNumbers = new Map(Array.from(familyNames, ([number, name]) => [name, number]));

export type NftHookName = 'ingress' | 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting' | 'egress';

/** Where a base chain of any family sits. */
export interface RulesetHook {
  type: string;
  hook: NftHookName;
  priority: number;
  policy: 'accept' | 'drop';
  /** Of family netdev and of hook ingress: the links whose packets it sees. */
  devices: string[];
}

/** A rule of anybody. */
export interface RulesetRule {
  handle: number;
  expressions: Expression[];
  /** The words that its owner keeps with it. */
  comment?: string;
}

export interface RulesetChain {
  name: string;
  hook?: RulesetHook;
  rules: RulesetRule[];
}

/** An element as its bytes: `end` closes an interval, `keyEnd` is the last key of a range (concatenations). */
export interface RulesetElement {
  key: Buffer;
  keyEnd?: Buffer;
  /** Bytes as `0x…` or a verdict. */
  data?: string;
  end: boolean;
  /** It stands for every key that no other element has. */
  catchAll: boolean;
}

export interface RulesetSet {
  name: string;
  /** Bytes of a key. */
  keyLength: number;
  /** Bytes of each part of a concatenation, without the padding to four. */
  parts?: number[];
  interval: boolean;
  isMap: boolean;
  /** It has elements that packets or time add and delete: what was read is not what is there later. */
  dynamic: boolean;
  /** undefined: it has more than were wanted. */
  elements: RulesetElement[] | undefined;
}

export interface RulesetTable {
  family: NftFamily;
  name: string;
  /** It is of iptables-legacy (ip_tables), not of nf_tables. */
  legacy?: boolean;
  /** Its chains see no packets. */
  dormant: boolean;
  chains: Map<string, RulesetChain>;
  sets: Map<string, RulesetSet>;
  /** Sets of ip_set that rules of iptables name by number; whoever wants them reads them (`readIpSets`). */
  ipsets?: IpSets;
}

/** All tables of a namespace at one generation. */
export interface Ruleset {
  generation: number;
  tables: RulesetTable[];
}

export interface RulesetOptions {
  /** Tables whose chains and sets are left out. */
  skip?: (family: NftFamily, table: string) => boolean;
  /** Sets with more elements are told without them. Default 20000. */
  maxElements?: number;
}

/** Rules that are decoded before others get their turn. */
const rulesPerStep = 500;

/**
 * Reads the tables of all families, whoever made them, as plain data. Nothing is changed: these are dumps, read again when somebody changed the
 * ruleset meanwhile.
 * @throws KernelError EINTR when it changed during each of several tries
 */
export function readRuleset(ns: NetNs | undefined, options: RulesetOptions = {}): Ruleset {
  const reading = rulesetReading(ns, options);
  for (;;) {
    const { done, value } = reading.next();
    if (done) return value;
  }
}

/** As `readRuleset`, in steps: the dumps are one, and many rules are decoded in several. */
export function* rulesetReading(ns: NetNs | undefined, options: RulesetOptions = {}): Generator<void, Ruleset> {
  const { skip = () => false, maxElements = 20_000 } = options;
  using socket = NetlinkSocket.open(netlinkNetfilter, ns, { receiveBufferBytes: 8 << 20 });
  for (let attempt = 0; attempt < readAttempts; attempt++) {
    const generation = generationOf(socket);
    try {
      const { tables, rules } = readTables(socket, skip, maxElements);
      if (generationOf(socket) !== generation) continue;
      for (const [i, { family, bytes }] of rules.entries()) {
        if (i % rulesPerStep === rulesPerStep - 1) yield;
        const decoded = ruleOf(family, new Reader(bytes), tables);
        if (decoded) decoded.chain.rules.push(decoded.rule);
      }
      return { generation, tables: [...tables.values()] };
    } catch (error) {
      // A set that went after it was listed.
      if (!isNotFound(error)) throw error;
    }
  }
  throw new KernelError('read the ruleset', 'EINTR', { extack: `nftables changed during each of ${readAttempts} tries` });
}

interface Dumped {
  /** By family and name. */
  tables: Map<string, RulesetTable>;
  /** In order, not decoded. */
  rules: { family: NftFamily; bytes: Buffer }[];
}

function generationOf(socket: NetlinkSocket): number {
  let generation = 0;
  const header = (batch: Parameters<typeof nfHeader>[0]): unknown => nfHeader(batch, 0);
  socket.request(nfType(nftMessage.getGen), 0, header, 'read the ruleset generation', (type, reader) => {
    if (type !== nfType(nftMessage.newGen)) return;
    reader.skip(4).eachAttribute((attribute, inner) => {
      if (attribute === 1) generation = inner.be32();
    });
  });
  return generation;
}

function readTables(
  socket: NetlinkSocket,
  skip: (family: NftFamily, table: string) => boolean,
  maxElements: number,
): Dumped {
  /** All objects of a kind, of every family; of families that podnet does not know none. */
  const dump = <T>(request: number, reply: number, what: string, decode: (family: NftFamily, reader: Reader) => T): T[] =>
    socket.dump(
      nfType(request),
      (batch) => void nfHeader(batch, 0),
      `list ${what}`,
      (type, reader) => {
        if (type !== nfType(reply)) return undefined;
        const family = familyNames.get(reader.u8());
        return family === undefined ? undefined : decode(family, reader.skip(3));
      },
    );
  const byName = new Map<string, RulesetTable>();
  for (const table of dump(nftMessage.getTable, nftMessage.newTable, 'tables', tableOf))
    if (!skip(table.family, table.name)) byName.set(`${table.family} ${table.name}`, table);
  if (byName.size === 0) return { tables: byName, rules: [] };
  for (const { family, table, chain } of dump(nftMessage.getChain, nftMessage.newChain, 'chains', chainOf))
    byName.get(`${family} ${table}`)?.chains.set(chain.name, chain);
  const rules = dump(nftMessage.getRule, nftMessage.newRule, 'rules', (family, reader) => ({ family, bytes: reader.rest() }));
  for (const { family, table, set } of dump(nftMessage.getSet, nftMessage.newSet, 'sets', setOf))
    byName.get(`${family} ${table}`)?.sets.set(set.name, set);
  for (const table of byName.values()) for (const set of table.sets.values()) readElements(socket, table, set, maxElements);
  return { tables: byName, rules };
}

function tableOf(family: NftFamily, reader: Reader): RulesetTable {
  const table: RulesetTable = { family, name: '', dormant: false, chains: new Map(), sets: new Map() };
  reader.eachAttribute((type, inner) => {
    if (type === 1) table.name = inner.cstring();
    // NFT_TABLE_F_DORMANT
    else if (type === 2) table.dormant = (inner.be32() & 1) !== 0;
  });
  return table;
}

function chainOf(family: NftFamily, reader: Reader): { family: NftFamily; table: string; chain: RulesetChain } {
  const chain: RulesetChain = { name: '', rules: [] };
  let table = '';
  let type = 'filter';
  let policy: RulesetHook['policy'] = 'accept';
  let at: Pick<RulesetHook, 'hook' | 'priority' | 'devices'> | undefined;
  reader.eachAttribute((attribute, inner) => {
    if (attribute === 1) table = inner.cstring();
    else if (attribute === 3) chain.name = inner.cstring();
    else if (attribute === 4) at = hookOf(family, inner);
    else if (attribute === 5) policy = inner.be32() === 0 ? 'drop' : 'accept';
    else if (attribute === 7) type = inner.cstring();
  });
  if (at) chain.hook = { type, ...at, policy };
  return { family, table, chain };
}

const inetHooks: readonly NftHookName[] = ['prerouting', 'input', 'forward', 'output', 'postrouting', 'ingress'];
const netdevHooks: readonly NftHookName[] = ['ingress', 'egress'];
/** NF_ARP_IN, NF_ARP_OUT, NF_ARP_FORWARD */
const arpHooks: readonly NftHookName[] = ['input', 'output', 'forward'];

function hookOf(family: NftFamily, reader: Reader): Pick<RulesetHook, 'hook' | 'priority' | 'devices'> {
  const result = { hook: 'prerouting' as NftHookName, priority: 0, devices: [] as string[] };
  const hooks = family === 'netdev' ? netdevHooks : family === 'arp' ? arpHooks : inetHooks;
  reader.eachAttribute((type, inner) => {
    if (type === 1) result.hook = hooks[inner.be32()] ?? 'prerouting';
    else if (type === 2) result.priority = inner.be32() | 0;
    else if (type === 3) result.devices.push(inner.cstring());
    // NFTA_HOOK_DEVS; a single one was told as NFTA_HOOK_DEV already
    else if (type === 4)
      inner.eachAttribute((_, device) => {
        const name = device.cstring();
        if (!result.devices.includes(name)) result.devices.push(name);
      });
  });
  return result;
}

/** Rules of tables that are not wanted are not decoded: there may be many thousands. */
function ruleOf(
  family: NftFamily,
  reader: Reader,
  tables: ReadonlyMap<string, RulesetTable>,
): { chain: RulesetChain; rule: RulesetRule } | undefined {
  const rule: RulesetRule = { handle: 0, expressions: [] };
  let table: RulesetTable | undefined;
  let chain: RulesetChain | undefined;
  reader.eachAttribute((type, inner) => {
    if (type === 1) table = tables.get(`${family} ${inner.cstring()}`);
    else if (!table) return;
    else if (type === 2) chain = table.chains.get(inner.cstring());
    else if (type === 3) rule.handle = Number(inner.be64());
    else if (type === 4) inner.eachAttribute((_, expression) => void rule.expressions.push(readExpression(expression)));
    else if (type === 7) {
      const comment = decodeRuleComment(inner.rest());
      if (comment !== undefined) rule.comment = comment;
    }
  });
  return chain && { chain, rule };
}

/** NFT_SET_… */
const setFlag = { interval: 4, map: 8, timeout: 0x10, evaluated: 0x20 } as const;

function setOf(family: NftFamily, reader: Reader): { family: NftFamily; table: string; set: RulesetSet } {
  const set: RulesetSet = { name: '', keyLength: 0, interval: false, isMap: false, dynamic: false, elements: [] };
  let table = '';
  reader.eachAttribute((type, inner) => {
    if (type === 1) table = inner.cstring();
    else if (type === 2) set.name = inner.cstring();
    else if (type === 5) set.keyLength = inner.be32();
    else if (type === 9) inner.eachAttribute((attribute, list) => void (attribute === 2 && (set.parts = partsOf(list))));
    else if (type === 3) {
      const flags = inner.be32();
      set.interval = (flags & setFlag.interval) !== 0;
      set.isMap = (flags & setFlag.map) !== 0;
      set.dynamic = (flags & (setFlag.timeout | setFlag.evaluated)) !== 0;
    }
  });
  return { family, table, set };
}

/** NFTA_SET_DESC_CONCAT: a list of NFTA_SET_FIELD_LEN */
function partsOf(reader: Reader): number[] {
  const parts: number[] = [];
  reader.eachAttribute((_, part) => part.eachAttribute((type, length) => void (type === 1 && parts.push(length.be32()))));
  return parts;
}

function readElements(socket: NetlinkSocket, table: RulesetTable, set: RulesetSet, maximum: number): void {
  const messages = socket.dump(
    nfType(nftMessage.getSetElem),
    (batch) => {
      nfHeader(batch, familyNumbers.get(table.family)!);
      batch.attribute(1, (w) => w.cstring(table.name)).attribute(2, (w) => w.cstring(set.name));
    },
    `list set ${table.family} ${table.name} ${set.name}`,
    (type, reader) => {
      if (type !== nfType(nftMessage.newSetElem)) return undefined;
      const elements: RulesetElement[] = [];
      reader.skip(4).eachAttribute((attribute, list) => {
        if (attribute === 3) list.eachAttribute((_, inner) => void elements.push(elementOf(inner)));
      });
      return elements;
    },
  );
  const elements = messages.flat();
  set.elements = elements.length > maximum ? undefined : elements;
}

/** NFTA_SET_ELEM_…; flags NFT_SET_ELEM_INTERVAL_END, NFT_SET_ELEM_CATCHALL */
function elementOf(reader: Reader): RulesetElement {
  const element: RulesetElement = { key: Buffer.alloc(0), end: false, catchAll: false };
  reader.eachAttribute((type, inner) => {
    if (type === 1) element.key = keyBytes(inner);
    else if (type === 2) element.data = readData(inner);
    else if (type === 3) {
      const flags = inner.be32();
      element.end = (flags & 1) !== 0;
      element.catchAll = (flags & 2) !== 0;
    } else if (type === 10) element.keyEnd = keyBytes(inner);
  });
  return element;
}

function keyBytes(reader: Reader): Buffer {
  let value = Buffer.alloc(0);
  reader.eachAttribute((_, inner) => void (value = inner.rest() as Buffer<ArrayBuffer>));
  return value;
}
