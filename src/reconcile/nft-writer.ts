import {
  type Nft,
  type NftFailure,
  type NftTransaction,
  NftTransactionError,
  type TableContent,
  tableOwner,
  tablePersist,
} from '../kernel/nftables/index.ts';
import { sameHook } from './items.ts';
import { type Item, keyOf, type NftChain, type NftElement, type NftSet, type NftTable } from './model.ts';
import { type Failure, type Operation, StaleError, type Writer } from './operations.ts';

/** A refused item is left out and the rest tried again, this often; then everything that is left counts as refused. */
const attempts = 20;

/**
 * Writes podnet's own nftables table: one atomic transaction for each sync. Items that the kernel refuses are left out, the others happen.
 * A change that nf_tables has no way for (a set's type, a chain's hook, the layout's version) replaces the whole table in one transaction.
 */
export class NftWriter implements Writer {
  readonly kinds: ReadonlySet<Item['kind']> = new Set(['nft-table', 'nft-chain', 'nft-set', 'nft-element', 'nft-counter']);
  readonly #nft: Nft;
  readonly #table: string;
  #sets = new Map<string, NftSet>();
  #generation: number | undefined;
  /** Nobody else can change the table. */
  #owned = false;

  constructor(nft: Nft, table = 'podnet') {
    this.#nft = nft;
    this.#table = table;
  }

  observe(): Iterable<Item> {
    const present = this.#nft.tables().find(({ name }) => name === this.#table);
    // Before it is read: from then on nobody else writes to it.
    if (present && !this.#owned) this.#owned = this.#nft.own(this.#table, present.comment);
    const { content, generation } = this.#read();
    this.#generation = generation;
    this.#sets = new Map();
    if (!content) {
      this.#owned = false;
      return [];
    }
    const items: Item[] = [tableItem(content.table)];
    for (const chain of content.chains) items.push({ kind: 'nft-chain', ...chain });
    for (const name of content.counters) items.push({ kind: 'nft-counter', name });
    for (const set of content.sets) {
      const item: NftSet = { kind: 'nft-set', ...set };
      this.#sets.set(set.name, item);
      items.push(item);
      // The packets' own entries are nobody's wish.
      if (set.flags.includes('dynamic')) continue;
      for (const element of content.elements.get(set.name) ?? []) items.push({ kind: 'nft-element', set: set.name, ...element });
    }
    return items;
  }

  apply(operations: readonly Operation[], wanted: () => Iterable<Item>): Failure[] {
    const failures: Failure[] = [];
    const refused = new Set<string>();
    this.#makeTable(operations);
    for (let attempt = 0; attempt < attempts; attempt++) {
      const left = operations.filter(({ key }) => !refused.has(key));
      const failed = this.#try(left, () => withoutKeys(wanted(), refused));
      if (!failed) return failures;
      for (const { about, error } of failed) {
        // Not about one item: there is nothing to leave out.
        if (typeof about !== 'string') return [...failures, ...left.map(({ key }) => ({ key, error }))];
        if (!refused.has(about)) failures.push({ key: about, error });
        refused.add(about);
      }
    }
    const error = new Error(`table inet ${this.#table}: given up after ${attempts} refused transactions`);
    return [...failures, ...operations.filter(({ key }) => !refused.has(key)).map(({ key }) => ({ key, error }))];
  }

  /** A table with types that this version does not know is another version's: it counts as one without a version, and so is replaced. */
  #read(): { content: TableContent | undefined; generation: number } {
    const generation = this.#nft.generation();
    try {
      return this.#nft.read(this.#table, { owned: this.#owned });
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      const table = this.#nft.tables().find(({ name }) => name === this.#table);
      const content = table && {
        table: { ...table, comment: undefined },
        chains: [],
        sets: [],
        elements: new Map(),
        counters: [],
      };
      return { content, generation };
    }
  }

  /** @returns what was refused, or undefined when all of it happened */
  #try(operations: readonly Operation[], wanted: () => Iterable<Item>): readonly NftFailure[] | undefined {
    const sets = this.#setsAfter(operations);
    for (;;) {
      try {
        const written = this.#nft.transaction(this.#table, (t) => this.#build(t, operations, sets, wanted), this.#generation);
        if (this.#generation !== undefined && written.objects + written.elements > 0) this.#generation++;
        this.#sets = sets;
        return undefined;
      } catch (error) {
        if (!(error instanceof NftTransactionError)) throw error;
        if (!error.failures.some((failure) => failure.error.errno === 'ERESTART')) return error.failures;
        // Somebody else's table changed, unless ours is open to everybody.
        if (!this.#owned) throw new StaleError(`table inet ${this.#table}`, { cause: error });
        this.#generation = this.#nft.generation();
      }
    }
  }

  #makeTable(operations: readonly Operation[]): void {
    const operation = operations.find((candidate) => candidate.verb === 'add' && candidate.item.kind === 'nft-table');
    if (operation?.verb !== 'add') return;
    this.#owned = this.#nft.own(this.#table, (operation.item as NftTable).comment);
    this.#generation = undefined;
  }

  #build(t: NftTransaction, operations: readonly Operation[], sets: Map<string, NftSet>, wanted: () => Iterable<Item>): void {
    const table = operations.find((operation) => operation.key === keyOf({ kind: 'nft-table', name: this.#table }));
    if (table?.verb === 'delete') {
      t.deleteTable(table.key);
      this.#owned = false;
      return;
    }
    if (operations.some(needsRebuild)) {
      const items = [...wanted()];
      const head = items.find((item) => item.kind === 'nft-table') ?? { kind: 'nft-table', name: this.#table };
      t.deleteTable().addTable(head, this.#owned ? tableOwner | tablePersist : 0, keyOf(head));
      const rest = items.filter((item) => item.kind !== 'nft-table');
      buildChanges(
        t,
        rest.map((item) => ({ verb: 'add', key: keyOf(item), item })),
        setsOf(rest),
      );
      return;
    }
    buildChanges(t, operations, sets);
  }

  #setsAfter(operations: readonly Operation[]): Map<string, NftSet> {
    const sets = new Map(this.#sets);
    for (const operation of operations) {
      if (operation.verb === 'delete') {
        // Kept for the elements that are deleted with it.
      } else if (operation.item.kind === 'nft-set') sets.set(operation.item.name, operation.item);
    }
    return sets;
  }
}

const tableItem = ({ name, comment }: { name: string; comment?: string }): NftTable =>
  comment === undefined ? { kind: 'nft-table', name } : { kind: 'nft-table', name, comment };

const setsOf = (items: readonly Item[]): Map<string, NftSet> =>
  new Map(items.filter((item) => item.kind === 'nft-set').map((set) => [set.name, set]));

function* withoutKeys(items: Iterable<Item>, keys: ReadonlySet<string>): Iterable<Item> {
  for (const item of items) if (!keys.has(keyOf(item))) yield item;
}

const needsRebuild = (operation: Operation): boolean => {
  if (operation.verb !== 'replace') return false;
  const { item, actual } = operation;
  if (item.kind === 'nft-chain') return actual.kind !== 'nft-chain' || !sameHook(actual, item);
  return item.kind === 'nft-set' || item.kind === 'nft-table';
};

interface Tagged {
  key: string;
  data?: string;
  about: string;
}

/** Elements by set, in the order given. */
function bySet(entries: Iterable<[NftElement, string]>): Map<string, Tagged[]> {
  const sets = new Map<string, Tagged[]>();
  for (const [{ set, key, data }, about] of entries) {
    let list = sets.get(set);
    if (!list) {
      list = [];
      sets.set(set, list);
    }
    list.push({ key, data, about });
  }
  return sets;
}

/**
 * New chains, sets and counters come first, since rules and elements name them; then elements (deleted, then added: an element's data cannot be changed in
 * place), then the rules of changed chains, and last what goes away, in the opposite order.
 */
function buildChanges(t: NftTransaction, operations: readonly Operation[], sets: ReadonlyMap<string, NftSet>): void {
  const doomedSets = new Set<string>();
  const doomedCounters: string[] = [];
  const doomedChains: [NftChain, string][] = [];
  const changedChains: [NftChain, string, fresh: boolean][] = [];
  const gone: [NftElement, string][] = [];
  const come: [NftElement, string][] = [];
  for (const operation of operations) {
    const { key } = operation;
    const before = operation.verb === 'add' ? undefined : operation.actual;
    const after = operation.verb === 'delete' ? undefined : operation.item;
    if (after?.kind === 'nft-chain') {
      if (!before) t.addChain(after, key);
      changedChains.push([after, key, !before]);
    } else if (after?.kind === 'nft-set') t.addSet(after, key);
    else if (after?.kind === 'nft-counter') t.addCounter(after.name, key);
    else if (!after && before?.kind === 'nft-counter') doomedCounters.push(before.name);
    else if (!after && before?.kind === 'nft-chain') doomedChains.push([before, key]);
    else if (!after && before?.kind === 'nft-set') doomedSets.add(before.name);
    if (before?.kind === 'nft-element') gone.push([before, key]);
    if (after?.kind === 'nft-element') come.push([after, key]);
  }
  for (const [set, elements] of bySet(gone)) if (!doomedSets.has(set)) t.deleteElements(setNamed(sets, set, elements), elements);
  for (const [set, elements] of bySet(come)) t.addElements(setNamed(sets, set, elements), elements);
  for (const [chain, key, fresh] of changedChains) {
    if (!fresh) t.flushChain(chain.name, key);
    for (const rule of chain.rules) t.addRule(chain.name, rule, key);
  }
  for (const [chain, key] of doomedChains) t.flushChain(chain.name, key);
  for (const set of doomedSets) t.deleteSet(set, `nft-set ${set}`);
  for (const [chain, key] of doomedChains) t.deleteChain(chain.name, key);
  for (const name of doomedCounters) t.deleteCounter(name, `nft-counter ${name}`);
}

/** @throws NftTransactionError about all of the set's elements when there is no such set */
function setNamed(sets: ReadonlyMap<string, NftSet>, name: string, elements: readonly Tagged[]): NftSet {
  const set = sets.get(name);
  if (set) return set;
  const error = new Error(`the set ${name} is neither wanted nor in the kernel`);
  throw new NftTransactionError(elements.map(({ about }) => ({ about, error })));
}
