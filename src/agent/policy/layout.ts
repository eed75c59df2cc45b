import { deniedCounter } from '../../policy/plan/index.ts';
import { type Item, keyOf, type NodeNetwork } from '../../reconcile/model.ts';
import { ElementOperation, type Operation } from '../../reconcile/operations.ts';
import type { Contribution } from './parts.ts';

/** Owner of chains and sets, which are there while there are policies. */
export const policyLayoutOwner = 'policy layout';
/** Owner of the two chains that a new epoch replaces. */
export const policyEpochOwner = 'policy epoch';

/** Owner of what says which kinds of policies there are. */
export const policyKindsOwner = 'policy kinds';
/** Counters that count nothing: a start learns by them what the kernel's policies follow from, and nothing else of the kernel's tells it. */
const kindCounter = 'policy-of-';
export const isKindCounter = (name: string): boolean => name.startsWith(kindCounter);

/** @param plurals of the kinds of which there are policies */
export const kindItems = (plurals: readonly string[]): Item[] =>
  plurals.map((plural) => ({ kind: 'nft-counter', name: `${kindCounter}${plural}` }));

/** @param names of the counters that the kernel holds @returns plurals of the kinds that it had; undefined: it holds nothing of policies */
export function heldKinds(names: Iterable<string>): ReadonlySet<string> | undefined {
  const all = [...names];
  if (!all.includes(deniedCounter)) return undefined;
  return new Set(all.filter(isKindCounter).map((name) => name.slice(kindCounter.length)));
}

/**
 * Chains and sets of policies. Those chains that packets come to follow when the elements are there: sets of ranges become visible a moment after the rest of
 * their transaction, and a connection that was always allowed must not be judged without them.
 */
export class PolicyLayout {
  readonly #items: readonly Item[];
  #state: 'absent' | 'silent' | 'whole' = 'absent';

  /** @param items all chains and sets */
  constructor(items: readonly Item[]) {
    this.#items = items;
  }

  /**
   * @param held what the kernel holds: chains that are there stay there
   * @returns what is to be contributed, if anything changes
   */
  set(wanted: boolean, held: NodeNetwork): Contribution | undefined {
    if (wanted === (this.#state !== 'absent')) return undefined;
    if (!wanted) {
      this.#state = 'absent';
      return [policyLayoutOwner, []];
    }
    const isJudging = this.#items.some((item) => isEntrance(item) && held.has(keyOf(item)));
    this.#state = isJudging ? 'whole' : 'silent';
    return [policyLayoutOwner, isJudging ? this.#items : this.#items.filter((item) => !isEntrance(item))];
  }

  /** The kernel holds what was contributed. @returns what is to follow */
  complete(): Contribution | undefined {
    if (this.#state !== 'silent') return undefined;
    this.#state = 'whole';
    return [policyLayoutOwner, this.#items];
  }
}

const isEntrance = (item: Item): boolean => item.kind === 'nft-chain' && item.hook !== undefined;

/** Whether connections may have to be judged anew: anything of policies was written, or the table as a whole. */
export function concernsPolicies(operation: Operation | ElementOperation): boolean {
  if (operation instanceof ElementOperation) return operation.set.set.startsWith('policy-');
  const item = operation.verb === 'delete' ? operation.actual : operation.item;
  if (item.kind === 'nft-table') return true;
  if (item.kind === 'nft-element') return item.set.startsWith('policy-');
  return (item.kind === 'nft-chain' || item.kind === 'nft-set') && item.name.startsWith('policy-');
}
