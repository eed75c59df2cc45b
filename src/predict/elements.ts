import type { Item, NodeNetwork } from '../reconcile/index.ts';
import { type Operation, Reconciler, type Writer } from '../reconcile/index.ts';

/** One change of what a node's kernel holds, as the Reconciler would write it. Texts as `nft` has them. */
export interface ElementChange {
  verb: 'add' | 'replace' | 'delete';
  /** Of nftables: an element of a set or map, the set itself, or a chain (with all its rules). */
  kind: 'element' | 'set' | 'chain' | 'table' | 'counter';
  /** Of the set, map or chain. */
  name: string;
  key?: string;
  data?: string;
  /** What the element leads to now. */
  before?: string;
}

/** Items by owner, as planners give them. */
export type Contributions = Iterable<readonly [owner: string, items: Iterable<Item>]>;

/** What the Reconciler would write when owners that want `before` come to want `after`, on a kernel that holds what is wanted before. */
export function elementChanges(before: Contributions, after: Contributions): ElementChange[] {
  const reconciler = new Reconciler([new Remembered()]);
  for (const [owner, items] of before) reconciler.contribute(owner, items);
  reconciler.sync();
  for (const [owner, items] of after) reconciler.contribute(owner, items);
  return reconciler.plan().map(changeOf).sort(compare);
}

/** How many of the items the kernel does not hold as they are wanted: what the node's agent has not written yet, or was refused. */
export function missingFrom(held: NodeNetwork, wanted: Contributions): number {
  const reconciler = new Reconciler([new Remembered(held)]);
  for (const [owner, items] of wanted) reconciler.contribute(owner, items);
  return reconciler.plan({ read: true }).filter(({ verb }) => verb !== 'delete').length;
}

const kinds = ['nft-table', 'nft-chain', 'nft-set', 'nft-element', 'nft-counter'] as const;

/** A kernel that takes everything. */
class Remembered implements Writer {
  readonly kinds: ReadonlySet<Item['kind']> = new Set(kinds);
  readonly #held: NodeNetwork;

  constructor(held: NodeNetwork = new Map()) {
    this.#held = held;
  }

  observe(): Item[] {
    return [...this.#held.values()].filter(({ kind }) => this.kinds.has(kind));
  }

  apply(): [] {
    return [];
  }
}

function changeOf(operation: Operation): ElementChange {
  const { verb } = operation;
  const item = operation.verb === 'delete' ? operation.actual : operation.item;
  const kind = item.kind.slice('nft-'.length) as ElementChange['kind'];
  if (item.kind !== 'nft-element') return { verb, kind, name: (item as Extract<Item, { name: string }>).name };
  const before = operation.verb === 'replace' && operation.actual.kind === 'nft-element' ? operation.actual.data : undefined;
  const { set, key, data } = item;
  return { verb, kind, name: set, key, ...(data === undefined ? {} : { data }), ...(before === undefined ? {} : { before }) };
}

const text = ({ kind, name, key = '' }: ElementChange): string => `${kind === 'element' ? 1 : 0} ${name} ${key}`;
const compare = (a: ElementChange, b: ElementChange): number => (text(a) < text(b) ? -1 : text(a) > text(b) ? 1 : 0);
