import { KernelError } from '../errors.ts';
import type { NetlinkBatch } from '../netlink/batch.ts';
import { nlmFlag } from '../netlink/constants.ts';
import { readKey, writeElement } from './element-messages.ts';
import { familyNumbers, nftMessage, type RulePlace, writeChain, writeCounter, writeRule, writeTable } from './messages.ts';
import { writeSet } from './set-messages.ts';
import type { Chain, Element, NftSetSpec, Rule, RuleFamily, Table } from './types.ts';

const subsystem = 10; // NFNL_SUBSYS_NFTABLES
const batchBegin = 16; // NFNL_MSG_BATCH_BEGIN
const batchEnd = 17;
/** NFNL_BATCH_GENID */
const batchGeneration = 1;

/** The elements of one message stand in one attribute, whose length has 16 bits; some room for the biggest element is left. */
const maxElementBytes = 65_000;

/** One failure of a transaction: what it concerns (the `about` that was given with it) and the kernel's answer. */
export interface NftFailure {
  about: unknown;
  error: Error & { errno?: string };
}

/** The kernel refused a transaction; nothing of it happened. */
export class NftTransactionError extends KernelError {
  readonly failures: readonly NftFailure[];

  constructor(failures: readonly NftFailure[]) {
    const first = failures[0]!.error;
    if (first instanceof KernelError) super(first.operation, first.errno, { extack: first.extack, cause: first });
    else super(`build a transaction: ${first.message}`, 'EINVAL', { cause: first });
    this.name = 'NftTransactionError';
    this.failures = failures;
  }
}

/** struct nfgenmsg, include/uapi/linux/netfilter/nfnetlink.h */
export const nfHeader = (batch: NetlinkBatch, family: number, resource = 0): NetlinkBatch =>
  batch.u8(family).u8(0).be16(resource);

export const nfType = (message: number): number => (subsystem << 8) | message;

interface Sent {
  operation: string;
  about: unknown;
  /** Where the message begins in the batch. */
  start: number;
  elements?: SentElements;
}

/** A load has hundreds of thousands: what one was is read from the batch when it fails. */
interface SentElements {
  set: NftSetSpec;
  /** Where each begins in the message. */
  offsets: number[];
  abouts: unknown[];
}

/** An element with what a failure of it is to be reported as. */
export interface TaggedElement extends Element {
  about?: unknown;
}

/**
 * Changes of tables of one name that the kernel makes at once or not at all. Objects must exist before others name them: table, chains, sets, then rules
 * and elements; the other way round for deletion.
 */
export class NftTransaction {
  readonly #batch: NetlinkBatch;
  readonly #table: string;
  readonly #sent: Sent[] = [];
  #family: RuleFamily = 'inet';
  #setId = 0;
  #objects = 0;
  #elements = 0;

  /** Made by Nft.transaction. @param generation that the change was planned on; the kernel refuses (ERESTART) when it has another */
  constructor(batch: NetlinkBatch, table: string, generation?: number) {
    this.#batch = batch;
    this.#table = table;
    this.#message(`begin a transaction on tables ${table}`, undefined, () => {
      nfHeader(batch.begin(batchBegin), 0, subsystem);
      if (generation !== undefined) batch.attribute(batchGeneration, (w) => w.be32(generation));
    });
  }

  /** Objects (tables, chains, rules, sets) and elements written so far. */
  get size(): { objects: number; elements: number } {
    return { objects: this.#objects, elements: this.#elements };
  }

  /** Room for the messages of so many elements. */
  expect(elements: number): this {
    // Key and data of the largest set, with the headers of their attributes: 60 to 90 bytes.
    if (elements > 1000) this.#batch.reserve(elements * 64);
    return this;
  }

  /** What follows is done to the table of this family, which has the same name. */
  in(family: RuleFamily): this {
    this.#family = family;
    return this;
  }

  /** @param flags tableOwner, tablePersist */
  addTable(table: Table, flags = 0, about?: unknown): this {
    return this.#object(nftMessage.newTable, nlmFlag.create, `add table ${this.#family} ${table.name}`, about, () =>
      writeTable(this.#batch, table, flags),
    );
  }

  deleteTable(about?: unknown): this {
    return this.#object(nftMessage.delTable, 0, `delete table ${this.#family} ${this.#table}`, about, () =>
      this.#batch.attribute(1, (w) => w.cstring(this.#table)),
    );
  }

  /** The chain alone, without its rules. */
  addChain(chain: Chain, about?: unknown): this {
    return this.#object(
      nftMessage.newChain,
      nlmFlag.create,
      `add chain ${this.#family} ${this.#table} ${chain.name}`,
      about,
      () => writeChain(this.#batch, this.#table, chain, this.#family),
    );
  }

  deleteChain(name: string, about?: unknown): this {
    return this.#object(nftMessage.delChain, 0, `delete chain ${this.#family} ${this.#table} ${name}`, about, () =>
      this.#batch.attribute(1, (w) => w.cstring(this.#table)).attribute(3, (w) => w.cstring(name)),
    );
  }

  /** Deletes all rules of a chain. */
  flushChain(name: string, about?: unknown): this {
    return this.#object(nftMessage.delRule, 0, `flush chain ${this.#family} ${this.#table} ${name}`, about, () =>
      this.#batch.attribute(1, (w) => w.cstring(this.#table)).attribute(2, (w) => w.cstring(name)),
    );
  }

  /** Adds a rule at the end of a chain. */
  addRule(chain: string, rule: Rule, about?: unknown): this {
    const flags = nlmFlag.create | nlmFlag.append;
    return this.#object(nftMessage.newRule, flags, `add rule ${this.#family} ${this.#table} ${chain} ${rule.text}`, about, () =>
      writeRule(this.#batch, this.#table, chain, rule.expressions),
    );
  }

  /** Adds a rule at a place of a chain that others write too. The rule that it comes before must be there (ENOENT). */
  insertRule(chain: string, rule: Rule, place: RulePlace, about?: unknown): this {
    const flags = place.before === undefined ? nlmFlag.create | nlmFlag.append : nlmFlag.create;
    return this.#object(nftMessage.newRule, flags, `insert rule ${this.#family} ${this.#table} ${chain} ${rule.text}`, about, () =>
      writeRule(this.#batch, this.#table, chain, rule.expressions, place),
    );
  }

  /** Deletes one rule. One that is not there is a failure (ENOENT). */
  deleteRule(chain: string, handle: number, about?: unknown): this {
    return this.#object(nftMessage.delRule, 0, `delete rule ${this.#family} ${this.#table} ${chain} handle ${handle}`, about, () =>
      this.#batch
        .attribute(1, (w) => w.cstring(this.#table))
        .attribute(2, (w) => w.cstring(chain))
        .attribute(3, (w) => w.be64(BigInt(handle))),
    );
  }

  addSet(set: NftSetSpec, about?: unknown): this {
    const what = set.data === undefined ? 'set' : 'map';
    return this.#object(nftMessage.newSet, nlmFlag.create, `add ${what} ${this.#family} ${this.#table} ${set.name}`, about, () =>
      writeSet(this.#batch, this.#table, set, ++this.#setId),
    );
  }

  deleteSet(name: string, about?: unknown): this {
    return this.#object(nftMessage.delSet, 0, `delete set ${this.#family} ${this.#table} ${name}`, about, () =>
      this.#batch.attribute(1, (w) => w.cstring(this.#table)).attribute(2, (w) => w.cstring(name)),
    );
  }

  /** One that is there goes on counting. */
  addCounter(name: string, about?: unknown): this {
    return this.#object(nftMessage.newObj, nlmFlag.create, `add counter ${this.#family} ${this.#table} ${name}`, about, () =>
      writeCounter(this.#batch, this.#table, name),
    );
  }

  deleteCounter(name: string, about?: unknown): this {
    return this.#object(nftMessage.delObj, 0, `delete counter ${this.#family} ${this.#table} ${name}`, about, () =>
      this.#batch
        .attribute(1, (w) => w.cstring(this.#table))
        .attribute(2, (w) => w.cstring(name))
        .attribute(3, (w) => w.be32(1)),
    );
  }

  /** An element that is there with the same data is success, with other data a failure (EEXIST). */
  addElements(set: NftSetSpec, elements: Iterable<TaggedElement>): this {
    return this.#elementList(nftMessage.newSetElem, nlmFlag.create, 'add element', set, elements);
  }

  /** An element that is not there is a failure (ENOENT). */
  deleteElements(set: NftSetSpec, elements: Iterable<TaggedElement>): this {
    const keys = (function* () {
      for (const { key, about } of elements) yield { key, about };
    })();
    return this.#elementList(nftMessage.delSetElem, 0, 'delete element', set, keys);
  }

  /** Ends the batch; called by Nft. */
  finish(): NetlinkBatch {
    this.#message(`commit tables ${this.#table}`, undefined, () => nfHeader(this.#batch.begin(batchEnd), 0, subsystem));
    return this.#batch;
  }

  operation(sequence: number): string {
    return this.#sent[sequence - this.#batch.firstSequence]?.operation ?? `change tables ${this.#table}`;
  }

  /** What a failed message was about: for elements the one that the kernel points at. */
  failure(sequence: number, error: KernelError): NftFailure {
    const sent = this.#sent[sequence - this.#batch.firstSequence];
    const { elements } = sent ?? {};
    const place = elements ? placeOf(elements, sent!.start, error.offset) : -1;
    if (place < 0) return { about: sent?.about, error };
    const { set, offsets, abouts } = elements!;
    const key = readKey(this.#batch.written, sent!.start + offsets[place]!, set);
    const named = new KernelError(`${sent!.operation} ${key}`, error.errno, { extack: error.extack, cause: error });
    return { about: abouts[place], error: named };
  }

  #message(operation: string, about: unknown, write: () => void): Sent {
    const sent: Sent = { operation, about, start: this.#batch.length };
    write();
    this.#batch.end();
    this.#sent.push(sent);
    return sent;
  }

  #object(message: number, flags: number, operation: string, about: unknown, write: () => void): this {
    this.#message(operation, about, () => {
      nfHeader(this.#batch.begin(nfType(message), flags), familyNumbers[this.#family]);
      write();
    });
    this.#objects++;
    return this;
  }

  #encode(set: NftSetSpec, element: TaggedElement): void {
    try {
      writeElement(this.#batch, set, element);
    } catch (error) {
      throw new NftTransactionError([{ about: element.about, error: error as Error }]);
    }
  }

  #elementList(message: number, flags: number, verb: string, set: NftSetSpec, elements: Iterable<TaggedElement>): this {
    const iterator = elements[Symbol.iterator]();
    let next = iterator.next();
    while (!next.done) {
      const inMessage: SentElements = { set, offsets: [], abouts: [] };
      const sent = this.#message(`${verb} ${this.#family} ${this.#table} ${set.name}`, undefined, () => {
        const batch = this.#batch;
        const start = batch.length;
        nfHeader(batch.begin(nfType(message), flags), familyNumbers[this.#family]);
        batch.attribute(1, (w) => w.cstring(this.#table)).attribute(2, (w) => w.cstring(set.name));
        const list = batch.beginAttribute(3 | 0x8000);
        while (!next.done && batch.length - list < maxElementBytes) {
          const element = next.value;
          inMessage.offsets.push(batch.length - start);
          inMessage.abouts.push(element.about);
          this.#encode(set, element);
          this.#elements++;
          next = iterator.next();
        }
        batch.endAttribute(list);
      });
      sent.elements = inMessage;
    }
    return this;
  }
}

/** @returns the place of the element that the kernel points at, or -1 */
function placeOf({ offsets }: SentElements, start: number, offset: number | undefined): number {
  if (offsets.length === 1) return 0;
  if (offset === undefined) return -1;
  // Some kernels count from the message's header, some from the batch.
  const place = offsets.indexOf(offset);
  return place < 0 ? offsets.indexOf(offset - start) : place;
}
