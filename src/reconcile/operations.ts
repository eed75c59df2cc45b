import { satisfies } from './items.ts';
import type { Item } from './model.ts';

/** One change of the kernel. `actual` is what it holds now, as far as is known. */
export type Operation =
  | { verb: 'add'; key: string; item: Item }
  | { verb: 'replace'; key: string; item: Item; actual: Item }
  | { verb: 'delete'; key: string; actual: Item };

/** An operation that the kernel refused. */
export interface Failure {
  key: string;
  error: Error;
}

/** What is to be done about one key; undefined when the kernel holds what is wanted. */
export function operationFor(key: string, wanted: Item | undefined, actual: Item | undefined): Operation | undefined {
  if (wanted && actual) return satisfies(actual, wanted) ? undefined : { verb: 'replace', key, item: wanted, actual };
  if (wanted) return { verb: 'add', key, item: wanted };
  if (actual) return { verb: 'delete', key, actual };
  return undefined;
}

/** The same diff for some keys or for all. */
export function diff(
  keys: Iterable<string>,
  wanted: (key: string) => Item | undefined,
  actual: ReadonlyMap<string, Item>,
): Operation[] {
  const operations: Operation[] = [];
  for (const key of keys) {
    const operation = operationFor(key, wanted(key), actual.get(key));
    if (operation) operations.push(operation);
  }
  return operations;
}

export const kindOf = (operation: Operation): Item['kind'] =>
  (operation.verb === 'delete' ? operation.actual : operation.item).kind;

/** Writes some kinds of items into the kernel and reads them back. */
export interface Writer {
  readonly kinds: ReadonlySet<Item['kind']>;
  /** What the kernel holds of podnet's own (and, of the wanted items, what others may have made). */
  observe(wanted: () => Iterable<Item>): Iterable<Item>;
  /**
   * Whether the kernel for certain holds what was last observed, and written since: then a full check need not read it. Absent: nobody can tell.
   */
  isUnchanged?(): boolean;
  /**
   * Applies what it can.
   * @param wanted all wanted items of these kinds, for a writer that must write anew
   * @returns what failed; everything else happened
   * @throws StaleError when what was observed no longer holds, and nothing was written
   */
  apply(operations: readonly Operation[], wanted: () => Iterable<Item>): Failure[];
}

/** Somebody changed the kernel since it was read: observe, and plan anew. */
export class StaleError extends Error {
  constructor(what: string, options?: ErrorOptions) {
    super(`${what} changed since it was read`, options);
    this.name = 'StaleError';
  }
}
