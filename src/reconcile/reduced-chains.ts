import type { NftFailure } from '../kernel/nftables/index.ts';
import { satisfies } from './items.ts';
import { type Item, keyOf, type NftChain } from './model.ts';
import type { Operation } from './operations.ts';

/** A chain that the kernel has otherwise than was wanted. */
interface Reduced {
  /** As it was wanted. */
  item: NftChain;
  /** As it is there. */
  taken: NftChain;
  /** What the kernel said. */
  why: string;
}

/** The kernel does not know an expression (nft_expr_type_get), or not what it is to do. */
const isUnknown = (error: NftFailure['error']): boolean => error.errno === 'ENOENT' || error.errno === 'EOPNOTSUPP';

/** The chains that this kernel can have by their `otherwise` only: what is written of them, and what of it counts as what was wanted. */
export class ReducedChains {
  /** By key. */
  readonly #chains = new Map<string, Reduced>();

  /** What the kernel said of each, by key. */
  get reasons(): ReadonlyMap<string, string> {
    return new Map(Array.from(this.#chains, ([key, { why }]) => [key, why]));
  }

  /** The kernel refused this. @returns whether the next try does without what was refused */
  add(operation: Operation, error: NftFailure['error']): boolean {
    if (operation.kind !== 'nft-chain' || operation.verb === 'delete') return false;
    const wanted = operation.item as NftChain;
    const { otherwise, ...item } = wanted;
    // Also without it, so that it was not what was refused.
    if (!otherwise) this.#chains.delete(operation.key);
    if (!otherwise || !isUnknown(error)) return false;
    this.#chains.set(operation.key, { item: wanted, taken: { ...item, rules: otherwise }, why: error.message });
    return true;
  }

  forgetDeleted(operations: readonly Operation[]): void {
    for (const { kind, verb, key } of operations) if (kind === 'nft-chain' && verb === 'delete') this.#chains.delete(key);
  }

  /** What was read of the kernel: what is as good as this kernel has it is what was wanted. */
  asWanted(item: Item): Item {
    const known = item.kind === 'nft-chain' ? this.#chains.get(keyOf(item)) : undefined;
    return known && satisfies(item, known.taken) ? known.item : item;
  }

  /** What is to be written on this kernel. */
  operations(all: readonly Operation[]): readonly Operation[] {
    if (this.#chains.size === 0) return all;
    return all.flatMap((operation): Operation[] => {
      if (operation.kind !== 'nft-chain' || operation.verb === 'delete') return [operation];
      const item = this.#reduce(operation.item);
      if (item === operation.item) return [operation];
      return operation.verb === 'replace' && satisfies(operation.actual, item) ? [] : [{ ...operation, item }];
    });
  }

  *items(all: Iterable<Item>): Iterable<Item> {
    for (const item of all) yield this.#reduce(item);
  }

  #reduce(item: Item): Item {
    if (item.kind !== 'nft-chain' || !item.otherwise) return item;
    const known = this.#chains.get(keyOf(item));
    if (!known) return item;
    const { otherwise, ...rest } = item;
    known.item = item;
    return (known.taken = { ...rest, rules: otherwise });
  }
}
