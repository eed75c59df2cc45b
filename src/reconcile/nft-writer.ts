import {
  type Nft,
  type NftFailure,
  type NftTransaction,
  NftTransactionError,
  type TableContent,
  type TableFamily,
  type TaggedElement,
  tableOwner,
  tablePersist,
} from '../kernel/nftables/index.ts';
import { sameHook } from './items.ts';
import { type Item, keyOf, type NftChain, type NftElement, type NftSet, type NftTable } from './model.ts';
import { ElementOperation, type Failure, type Operation, StaleError, type Writer } from './operations.ts';
import { ReducedChains } from './reduced-chains.ts';

/** A refused item is left out and the rest tried again, this often; then everything that is left counts as refused. */
const attempts = 20;

type NftItem = Extract<Item, { kind: `nft-${string}` }>;

const families: readonly TableFamily[] = ['inet', 'arp', 'bridge'];
const familyOf = (item: Item): TableFamily => (item as NftItem).family ?? 'inet';
const familyOfOperation = (operation: Operation): TableFamily => {
  if (operation instanceof ElementOperation) return operation.set.family;
  return familyOf(operation.verb === 'delete' ? operation.actual : operation.item);
};
/** As a field of an item: the inet table goes without saying. */
const inFamily = (family: TableFamily): { family?: TableFamily } => (family === 'inet' ? {} : { family });

/** What is known of one of the tables. */
interface Known {
  /** Nobody else can change the table. */
  owned: boolean;
  sets: Map<string, NftSet>;
}

const nothing = (): Known => ({ owned: false, sets: new Map() });

/**
 * Writes podnet's own nftables tables, one of each family that something is wanted of: one atomic transaction for each sync. Items that the kernel refuses are
 * left out, the others happen. A change that nf_tables has no way for (a set's type, a chain's hook, the layout's version) replaces its whole table in the same
 * transaction.
 */
export class NftWriter implements Writer {
  readonly kinds: ReadonlySet<Item['kind']> = new Set(['nft-table', 'nft-chain', 'nft-set', 'nft-element', 'nft-counter']);
  readonly #nft: Nft;
  readonly #table: string;
  readonly #known: Record<TableFamily, Known> = { inet: nothing(), arp: nothing(), bridge: nothing() };
  /** Of the whole ruleset, before the first table was read. */
  #generation: number | undefined;
  readonly #reduced = new ReducedChains();

  constructor(nft: Nft, table = 'podnet') {
    this.#nft = nft;
    this.#table = table;
  }

  /**
   * Nobody but this process can write to a table that it owns, and the generation tells whether anybody wrote anything. Reading costs far more than that: the
   * kernel begins a set anew for every 32 KiB that it tells of it (nf_tables_dump_set), seconds for a set of 100,000 elements, minutes for a million.
   */
  isUnchanged(): boolean {
    if (this.#generation === undefined) return false;
    if (this.#nft.generation() === this.#generation) return true;
    const tables = families.flatMap((family) => this.#nft.tables(family).filter(({ name }) => name === this.#table).map(() => family));
    return tables.includes('inet') && tables.every((family) => this.#known[family].owned);
  }

  /** Chains that the kernel has with the rules of `otherwise`, by key, and what it said of the others. A new writer tries those first. */
  get reduced(): ReadonlyMap<string, string> {
    return this.#reduced.reasons;
  }

  /** All is read at once; items are made one by one. */
  observe(): Iterable<Item> {
    this.#generation = undefined;
    const parts = families.map((family) => this.#observe(family));
    const reduced = this.#reduced;
    return (function* () {
      for (const part of parts) for (const item of part) yield reduced.asWanted(item);
    })();
  }

  apply(operations: readonly Operation[], wanted: () => Iterable<Item>): Failure[] {
    const failures: Failure[] = [];
    const refused = new Set<string>();
    this.#makeTables(operations);
    this.#reduced.forgetDeleted(operations);
    for (let attempt = 0; attempt < attempts; attempt++) {
      const left = refused.size === 0 ? operations : operations.filter(({ key }) => !refused.has(key));
      const failed = this.#try(this.#reduced.operations(left), () => this.#reduced.items(withoutKeys(wanted(), refused)));
      if (!failed) return failures;
      const reducedNow = new Set<string>();
      for (const { about, error } of failed) {
        // Not about one item: there is nothing to leave out.
        if (!about) return [...failures, ...left.map(({ key }) => ({ key, error }))];
        const { key } = about as Operation;
        if (reducedNow.has(key)) continue;
        if (this.#reduced.add(about as Operation, error)) {
          reducedNow.add(key);
          continue;
        }
        if (!refused.has(key)) failures.push({ key, error });
        refused.add(key);
      }
    }
    const error = new Error(`tables ${this.#table}: given up after ${attempts} refused transactions`);
    return [...failures, ...operations.filter(({ key }) => !refused.has(key)).map(({ key }) => ({ key, error }))];
  }

  #observe(family: TableFamily): Iterable<Item> {
    const known = this.#known[family];
    const present = this.#nft.tables(family).find(({ name }) => name === this.#table);
    // Before it is read: from then on nobody else writes to it.
    if (present && !known.owned) known.owned = this.#nft.own(this.#table, present.comment, family);
    // Nothing is wanted of most nodes' bridges.
    if (!present && family !== 'inet') {
      this.#known[family] = nothing();
      return [];
    }
    const { content, generation } = this.#read(family, known.owned);
    this.#generation ??= generation;
    known.sets = new Map();
    if (!content) {
      known.owned = false;
      return [];
    }
    for (const set of content.sets) known.sets.set(set.name, { kind: 'nft-set', ...inFamily(family), ...set });
    return itemsOf(content, family);
  }

  /** A table with types that this version does not know is another version's: it counts as one without a version, and so is replaced. */
  #read(family: TableFamily, owned: boolean): { content: TableContent | undefined; generation: number } {
    const generation = this.#nft.generation();
    try {
      return this.#nft.read(this.#table, { owned, family });
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      const table = this.#nft.tables(family).find(({ name }) => name === this.#table);
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
    const parts = byFamily(operations);
    const sets = new Map(Array.from(parts, ([family, part]) => [family, this.#setsAfter(part, family)]));
    for (;;) {
      try {
        const written = this.#nft.transaction(
          this.#table,
          (t) => {
            for (const [family, part] of parts) this.#build(t.in(family), family, part, sets.get(family)!, wanted);
          },
          this.#generation,
        );
        if (this.#generation !== undefined && written.objects + written.elements > 0) this.#generation++;
        for (const [family, after] of sets) this.#known[family].sets = after;
        return undefined;
      } catch (error) {
        if (!(error instanceof NftTransactionError)) throw error;
        if (!error.failures.some((failure) => failure.error.errno === 'ERESTART')) return error.failures;
        // Somebody else's table changed, unless ours are open to everybody.
        if (![...parts.keys()].every((family) => this.#known[family].owned))
          throw new StaleError(`tables ${this.#table}`, { cause: error });
        this.#generation = this.#nft.generation();
      }
    }
  }

  #makeTables(operations: readonly Operation[]): void {
    for (const operation of operations) {
      if (operation.kind !== 'nft-table' || operation.verb !== 'add') continue;
      const family = familyOf(operation.item);
      this.#known[family].owned = this.#nft.own(this.#table, (operation.item as NftTable).comment, family);
      this.#generation = this.#nft.generation();
    }
  }

  #build(
    t: NftTransaction,
    family: TableFamily,
    operations: readonly Operation[],
    sets: ReadonlyMap<string, NftSet>,
    wanted: () => Iterable<Item>,
  ): void {
    const head: NftTable = { kind: 'nft-table', ...inFamily(family), name: this.#table };
    const table = operations.find(({ kind }) => kind === 'nft-table');
    if (table?.verb === 'delete') {
      t.deleteTable(table);
      this.#known[family].owned = false;
      return;
    }
    if (operations.some(needsRebuild)) {
      const items = [...wanted()].filter((item) => familyOf(item) === family);
      const made = items.find((item) => item.kind === 'nft-table') ?? head;
      t.deleteTable().addTable(made, this.#known[family].owned ? tableOwner | tablePersist : 0, adding(made));
      const rest = items.filter((item) => item.kind !== 'nft-table');
      buildChanges(t, rest.map(adding), setsOf(rest));
      return;
    }
    buildChanges(t.expect(operations.length), operations, sets);
  }

  #setsAfter(operations: readonly Operation[], family: TableFamily): Map<string, NftSet> {
    const { sets } = this.#known[family];
    // Those that go are kept for the elements that are deleted with them.
    const come = operations.flatMap((operation) =>
      operation.kind === 'nft-set' && operation.verb !== 'delete' ? [operation.item as NftSet] : [],
    );
    return come.length === 0 ? sets : new Map([...sets, ...come.map((set) => [set.name, set] as const)]);
  }
}

function byFamily(operations: readonly Operation[]): Map<TableFamily, Operation[]> {
  const parts = new Map<TableFamily, Operation[]>();
  for (const operation of operations) {
    const family = familyOfOperation(operation);
    const part = parts.get(family);
    if (part) part.push(operation);
    else parts.set(family, [operation]);
  }
  return parts;
}

/** What was read of a table of podnet's, as items. */
export function* itemsOf({ table, chains, counters, sets, elements }: TableContent, family: TableFamily): Iterable<Item> {
  const of = inFamily(family);
  yield { ...tableItem(table), ...of };
  for (const chain of chains) yield { kind: 'nft-chain', ...of, ...chain };
  for (const name of counters) yield { kind: 'nft-counter', ...of, name };
  for (const set of sets) yield { kind: 'nft-set', ...of, ...set };
  for (const { name, flags } of sets) {
    // The packets' own entries are nobody's wish.
    if (flags.includes('dynamic')) continue;
    for (const element of elements.get(name) ?? []) yield { kind: 'nft-element', ...of, set: name, ...element };
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

const adding = (item: Item): Operation => ({ verb: 'add', kind: item.kind, key: keyOf(item), item });

/** Those of elements by set, in the order given. */
function bySet(operations: readonly Operation[]): Map<string, Operation[]> {
  const sets = new Map<string, Operation[]>();
  for (const operation of operations) {
    const set = setOf(operation);
    const list = sets.get(set);
    if (list) list.push(operation);
    else sets.set(set, [operation]);
  }
  return sets;
}

const setOf = (operation: Operation): string => {
  if (operation instanceof ElementOperation) return operation.set.set;
  return (elementOf(operation) as NftElement).set;
};

/** What it writes, or deletes. */
const elementOf = (operation: Operation): Item => (operation.verb === 'delete' ? operation.actual : operation.item);

/** Each element is made when it is written: nothing keeps it. */
function* written(operations: readonly Operation[]): Iterable<TaggedElement> {
  for (const operation of operations) {
    const { key, data } = elementOf(operation) as NftElement;
    yield { key, data, about: operation };
  }
}

/**
 * New chains, sets and counters come first, since rules and elements name them; then the rules of new chains, elements (deleted, then added: an element's data
 * cannot be changed in place), the rules of changed chains, and last what goes away, in the opposite order.
 */
function buildChanges(t: NftTransaction, operations: readonly Operation[], sets: ReadonlyMap<string, NftSet>): void {
  const doomedSets = new Map<string, Operation>();
  const doomedCounters: [string, Operation][] = [];
  const doomedChains: [NftChain, Operation][] = [];
  const changedChains: [NftChain, Operation, fresh: boolean][] = [];
  const gone: Operation[] = [];
  const come: Operation[] = [];
  const newSets: [NftSet, Operation][] = [];
  for (const operation of operations) {
    if (operation.kind === 'nft-element') {
      if (operation.verb !== 'add') gone.push(operation);
      if (operation.verb !== 'delete') come.push(operation);
      continue;
    }
    const before = operation.verb === 'add' ? undefined : operation.actual;
    const after = operation.verb === 'delete' ? undefined : operation.item;
    if (after?.kind === 'nft-chain') {
      if (!before) t.addChain(after, operation);
      changedChains.push([after, operation, !before]);
    } else if (after?.kind === 'nft-set') newSets.push([after, operation]);
    else if (after?.kind === 'nft-counter') t.addCounter(after.name, operation);
    else if (!after && before?.kind === 'nft-counter') doomedCounters.push([before.name, operation]);
    else if (!after && before?.kind === 'nft-chain') doomedChains.push([before, operation]);
    else if (!after && before?.kind === 'nft-set') doomedSets.set(before.name, operation);
  }
  const coming = bySet(come);
  const size = ({ name }: NftSet): number => coming.get(name)?.length ?? 0;
  // The largest first: for each message with elements the kernel compares names of sets, in the order in which they were made (nft_set_lookup).
  for (const [set, operation] of newSets.toSorted(([a], [b]) => size(b) - size(a))) t.addSet(set, operation);
  // Before the elements: for each chain that looks something up in a map the kernel walks over all that the map holds (nf_tables_bind_set).
  for (const [chain, operation, fresh] of changedChains)
    if (fresh) for (const rule of chain.rules) t.addRule(chain.name, rule, operation);
  for (const [set, some] of bySet(gone)) if (!doomedSets.has(set)) t.deleteElements(setNamed(sets, set, some), written(some));
  for (const [set, some] of coming) t.addElements(setNamed(sets, set, some), written(some));
  for (const [chain, operation, fresh] of changedChains) {
    if (fresh) continue;
    t.flushChain(chain.name, operation);
    for (const rule of chain.rules) t.addRule(chain.name, rule, operation);
  }
  for (const [chain, operation] of doomedChains) t.flushChain(chain.name, operation);
  for (const [set, operation] of doomedSets) t.deleteSet(set, operation);
  for (const [chain, operation] of doomedChains) t.deleteChain(chain.name, operation);
  for (const [name, operation] of doomedCounters) t.deleteCounter(name, operation);
}

/** @throws NftTransactionError about all of the set's elements when there is no such set */
function setNamed(sets: ReadonlyMap<string, NftSet>, name: string, operations: readonly Operation[]): NftSet {
  const set = sets.get(name);
  if (set) return set;
  const error = new Error(`the set ${name} is neither wanted nor in the kernel`);
  throw new NftTransactionError(operations.map((about) => ({ about, error })));
}
