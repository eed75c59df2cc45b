import type { Reader } from '../../wire/reader.ts';
import { isNotFound, KernelError } from '../errors.ts';
import type { NetlinkBatch } from '../netlink/batch.ts';
import { netlinkNetfilter } from '../netlink/constants.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import type { NetNs } from '../netns.ts';
import { decodeValue, intervalText, parseType } from './datatypes.ts';
import { type ReadElement, readElements, writeElement } from './element-messages.ts';
import {
  type Counted,
  familyNumbers,
  nftMessage,
  type ReadTable,
  readChain,
  readCounter,
  readRule,
  readTable,
  tableOwner,
  tablePersist,
} from './messages.ts';
import { isRanged, rangeText } from './ranges.ts';
import { type ReadSet, readSet, specOf } from './set-messages.ts';
import { NftTransaction, NftTransactionError, nfHeader, nfType } from './transaction.ts';
import type { Chain, Element, NftSetSpec, Rule, TableFamily } from './types.ts';

/** A load of 50,000 Services is about 30 MB; the whole batch must go out in one sendmsg. */
const sendBufferBytes = 128 << 20;
const receiveBufferBytes = 8 << 20;
/** NLA_F_NESTED */
const nested = 0x8000;
/** How often a table is read again when the ruleset changed meanwhile: whoever changes it all the time must not stop this process. */
const readAttempts = 20;

/** Everything in one table. Rules that were read have no text. */
export interface TableContent {
  table: ReadTable;
  chains: Chain[];
  sets: NftSetSpec[];
  /** Names of the counters. */
  counters: string[];
  /** By set name. */
  elements: Map<string, Element[]>;
}

/**
 * nf_tables of one network namespace through a persistent nfnetlink socket: a transaction with one element takes 6-9 µs at any size.
 * Tables are of family inet where no other is named.
 */
export class Nft implements Disposable {
  readonly #socket: NetlinkSocket;
  /** Of this socket, as far as the generation counts them. */
  #transactions = 0;

  private constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  /** @param ns where the tables are; the thread's own when not given */
  static open(ns?: NetNs): Nft {
    return new Nft(NetlinkSocket.open(netlinkNetfilter, ns, { sendBufferBytes, receiveBufferBytes }));
  }

  /** Goes up with every transaction of anybody in this namespace, on any table. */
  generation(): number {
    let generation = 0;
    this.#socket.request(
      nfType(nftMessage.getGen),
      0,
      (batch) => nfHeader(batch, 0),
      'read the ruleset generation',
      (type, reader) => {
        if (type !== nfType(nftMessage.newGen)) return;
        reader.skip(4).eachAttribute((attribute, inner) => {
          if (attribute === 1) generation = inner.be32();
        });
      },
    );
    return generation;
  }

  /**
   * Changes when anybody else changed something, and not by transactions of this socket: asking now and then costs 6 µs. Nobody needs to listen to events: while
   * anybody on the machine does, in whatever namespace, the kernel allocates a page for each element that anybody's transaction changes
   * (nf_tables_setelem_notify), and a transaction takes twice as long (of 220,000 elements 4 s longer: seen on 6.18).
   */
  foreignGeneration(): number {
    return (this.generation() - this.#transactions) >>> 0;
  }

  /**
   * Changes the tables of one name, all or nothing.
   * @param generation of the ruleset that the change was planned on
   * @throws NftTransactionError with what failed; errno ERESTART when the generation is another by now
   */
  transaction(
    table: string,
    build: (transaction: NftTransaction) => void,
    generation?: number,
  ): { objects: number; elements: number } {
    const transaction = new NftTransaction(this.#socket.batch(), table, generation);
    build(transaction);
    const { size } = transaction;
    if (size.objects + size.elements === 0) return size;
    this.#socket.send(transaction.finish(), () => `change tables ${table}`);
    // The kernel works inside of sendmsg, and silence is success.
    const errors = this.#socket.drain((sequence) => transaction.operation(sequence));
    if (errors.size > 0)
      throw new NftTransactionError(Array.from(errors, ([sequence, error]) => transaction.failure(sequence, error)));
    this.#transactions++;
    // A large one leaves no memory behind.
    this.#socket.batch();
    return size;
  }

  /**
   * Makes the table with flags `owner` and `persist`, or takes over one that a dead agent left: no other process can change or flush it while this
   * socket is open, and it outlives the socket. Without these flags (Linux before 6.9) it makes a plain table.
   * @returns whether the table is owned
   * @throws KernelError EPERM or EOPNOTSUPP when another living process owns it
   */
  own(table: string, comment?: string, family: TableFamily = 'inet'): boolean {
    const [before, counted] = [this.generation(), this.#transactions];
    try {
      return this.#own(table, comment, family);
    } finally {
      // One that changes nothing, as of a table that is there, is no new generation.
      this.#transactions = counted + (this.generation() - before);
    }
  }

  #own(table: string, comment: string | undefined, family: TableFamily): boolean {
    const attempt = (flags: number): NftTransactionError | undefined => {
      try {
        this.transaction(table, (t) => t.in(family).addTable({ name: table, comment }, flags));
        return undefined;
      } catch (error) {
        if (error instanceof NftTransactionError) return error;
        throw error;
      }
    };
    const refused = attempt(tableOwner | tablePersist);
    if (!refused) return true;
    // An unowned table of an older agent refuses the flag just as an old kernel does; a table with another living owner refuses both ways.
    const plain = refused.errno === 'EOPNOTSUPP' || refused.errno === 'EINVAL' ? attempt(0) : refused;
    if (plain) throw plain;
    return false;
  }

  /** Whether the kernel filters packets of this family (CONFIG_NF_TABLES_ARP, …). Where no table shows it, one is made and deleted at once. */
  supports(family: TableFamily): boolean {
    if (this.tables(family).length > 0) return true;
    const name = `podnet-try-${this.#socket.port}`;
    try {
      this.transaction(name, (t) => t.in(family).addTable({ name }).deleteTable());
      return true;
    } catch (error) {
      if (error instanceof NftTransactionError && ['EAFNOSUPPORT', 'EOPNOTSUPP'].includes(error.errno)) return false;
      throw error;
    }
  }

  tables(family: TableFamily = 'inet'): ReadTable[] {
    return this.#dump(family, nftMessage.getTable, nftMessage.newTable, 'list tables', () => {}, readTable);
  }

  /**
   * Everything in a table, read at one generation; undefined when there is no such table.
   * @param owned by this socket: changes of other tables, which raise the generation too, are then no reason to read again
   * @throws KernelError EINTR when something changed during each of many tries
   */
  read(
    table: string,
    { owned = false, family = 'inet' }: { owned?: boolean; family?: TableFamily } = {},
  ): { content: TableContent; generation: number } | { content: undefined; generation: number } {
    for (let attempt = 0; attempt < readAttempts; attempt++) {
      const generation = this.generation();
      const content = this.#readOnce(table, family);
      if (owned || this.generation() === generation) return { content, generation } as ReturnType<Nft['read']>;
    }
    throw new KernelError(`read table ${family} ${table}`, 'EINTR', {
      extack: `nftables changed during each of ${readAttempts} tries`,
    });
  }

  /** The named counters of a table; empty when there is no such table. */
  counters(table: string, family: TableFamily = 'inet'): Map<string, Counted> {
    const write = (batch: NetlinkBatch): unknown => batch.attribute(1, (w) => w.cstring(table));
    const all = this.#dump(family, nftMessage.getObj, nftMessage.newObj, 'list counters', write, readCounter);
    return new Map(
      all.flatMap((counter) =>
        counter?.table === table ? [[counter.name, { packets: counter.packets, bytes: counter.bytes }]] : [],
      ),
    );
  }

  /** Elements of one set. */
  elements(table: string, set: NftSetSpec, family: TableFamily = 'inet'): Element[] {
    const keys = parseType(set.key);
    const isInterval = set.flags.includes('interval');
    if (isRanged(set))
      return this.#elements(table, set, family, ({ key, last, data }) => {
        const text = rangeText(keys, key, last ?? key);
        return data === undefined ? { key: text } : { key: text, data };
      });
    if (isInterval) return intervals(this.#elements(table, set, family, (element) => element));
    // Text at once: of hundreds of thousands the bytes are not kept.
    return this.#elements(table, set, family, ({ key, data }) =>
      data === undefined ? { key: decodeValue(keys, key) } : { key: decodeValue(keys, key), data },
    );
  }

  /** Elements of a set in which packets count themselves (`countElement`), and how many they were. */
  countedElements(table: string, set: NftSetSpec, family: TableFamily = 'inet'): { key: string; packets: number }[] {
    const keys = parseType(set.key);
    return this.#elements(table, set, family, ({ key, packets = 0 }) => ({ key: decodeValue(keys, key), packets }));
  }

  #elements<T>(table: string, set: NftSetSpec, family: TableFamily, made: (element: ReadElement) => T): T[] {
    const messages = this.#dump(
      family,
      nftMessage.getSetElem,
      nftMessage.newSetElem,
      `list set ${family} ${table} ${set.name}`,
      (batch) => batch.attribute(1, (w) => w.cstring(table)).attribute(2, (w) => w.cstring(set.name)),
      (reader) => {
        const read: T[] = [];
        readElements(reader, set, (element) => read.push(made(element)));
        return read;
      },
    );
    return messages.flat();
  }

  /**
   * Looks keys of one set up, without reading the rest of it: the cost is that of the keys, whatever the size of the set.
   * @param set without intervals
   * @returns what the kernel holds of them, by key
   */
  find(table: string, set: NftSetSpec, keys: readonly string[], family: TableFamily = 'inet'): Map<string, Element> {
    const found = new Map<string, Element>();
    if (keys.length === 0) return found;
    const type = parseType(set.key);
    const batch = this.#socket.batch();
    // One message for each: the first key that is not there ends a message.
    for (const key of keys) {
      nfHeader(batch.begin(nfType(nftMessage.getSetElem)), familyNumbers[family]);
      batch.attribute(1, (w) => w.cstring(table)).attribute(2, (w) => w.cstring(set.name));
      const list = batch.beginAttribute(3 | nested);
      writeElement(batch, set, { key });
      batch.endAttribute(list);
      batch.end();
    }
    const operation = (index: number): string => `get element ${family} ${table} ${set.name} ${keys[index]}`;
    const errors = this.#socket.exchange(batch, operation, (reply, reader) => {
      if (reply !== nfType(nftMessage.newSetElem)) return;
      readElements(reader.skip(4), set, ({ key, data }) => {
        const text = decodeValue(type, key);
        found.set(text, data === undefined ? { key: text } : { key: text, data });
      });
    });
    for (const error of errors.values()) if (!isNotFound(error)) throw error;
    return found;
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }

  #readOnce(name: string, family: TableFamily): TableContent | undefined {
    const table = this.tables(family).find((candidate) => candidate.name === name);
    if (!table) return undefined;
    const named = (batch: NetlinkBatch): unknown => batch.attribute(1, (w) => w.cstring(name));
    const chains = this.#dump(family, nftMessage.getChain, nftMessage.newChain, 'list chains', named, (reader) =>
      readChain(reader, family),
    )
      .filter((read) => read.table === name)
      .map(({ chain }) => chain);
    const rules = new Map<string, Rule[]>(chains.map((chain) => [chain.name, []]));
    for (const rule of this.#dump(family, nftMessage.getRule, nftMessage.newRule, 'list rules', named, readRule))
      if (rule.table === name) rules.get(rule.chain)?.push({ text: '', expressions: rule.expressions });
    const sets = this.#dump<ReadSet>(family, nftMessage.getSet, nftMessage.newSet, 'list sets', named, readSet)
      .filter((read) => read.table === name)
      .map(specOf);
    return {
      table,
      chains: chains.map((chain) => ({ ...chain, rules: rules.get(chain.name)! })),
      sets,
      counters: [...this.counters(name, family).keys()],
      elements: new Map(sets.map((set) => [set.name, this.elements(name, set, family)])),
    };
  }

  #dump<T>(
    family: TableFamily,
    request: number,
    reply: number,
    operation: string,
    write: (batch: NetlinkBatch) => unknown,
    decode: (reader: Reader) => T,
  ): T[] {
    return this.#socket.dump(
      nfType(request),
      (batch) => {
        write(nfHeader(batch, familyNumbers[family]));
      },
      operation,
      (type, reader) => (type === nfType(reply) ? decode(reader.skip(4)) : undefined),
    );
  }
}

/** Starts and ends of intervals become one text each. */
function intervals(read: ReadElement[]): Element[] {
  // At the same key the end of one interval comes before the start of the next.
  const sorted = read.toSorted((a, b) => Buffer.compare(a.key, b.key) || Number(b.end) - Number(a.end));
  const elements: Element[] = [];
  sorted.forEach(({ key, data, end }, i) => {
    if (end) return;
    const next = sorted[i + 1];
    const text = intervalText(key, next?.key);
    elements.push(data === undefined ? { key: text } : { key: text, data });
  });
  return elements;
}
