import type { TableFamily } from '../kernel/nftables/types.ts';
import { satisfies } from './items.ts';
import type { Item } from './model.ts';
import type { Place, Places } from './places.ts';

/**
 * One change of the kernel. `actual` is what it holds now, as far as is known. Those of elements may make key and items when they are asked for
 * (`ElementOperation`): what is added or replaced is then read as long as the same is wanted.
 */
export type Operation =
  | { verb: 'add'; kind: Item['kind']; key: string; item: Item }
  | { verb: 'replace'; kind: Item['kind']; key: string; item: Item; actual: Item }
  | { verb: 'delete'; kind: Item['kind']; key: string; actual: Item };

/** An operation that the kernel refused. */
export interface Failure {
  key: string;
  error: Error;
}

/** What is to be done about one key; undefined when the kernel holds what is wanted. */
function operationFor(key: string, wanted: Item | undefined, actual: Item | undefined): Operation | undefined {
  if (wanted && actual) return satisfies(actual, wanted) ? undefined : { verb: 'replace', kind: wanted.kind, key, item: wanted, actual };
  if (wanted) return { verb: 'add', kind: wanted.kind, key, item: wanted };
  if (actual) return { verb: 'delete', kind: actual.kind, key, actual };
  return undefined;
}

/** Adds an element: of a million of these, none has a string of its own. */
export class ElementOperation {
  readonly verb = 'add';
  readonly place: Place;
  readonly #places: Places;

  constructor(places: Places, place: Place) {
    this.#places = places;
    this.place = place;
  }

  get kind(): 'nft-element' {
    return 'nft-element';
  }

  get key(): string {
    return this.#places.keyOf(this.place);
  }

  get item(): Item {
    return this.#places.wanted(this.place)!;
  }

  /** The table's family and the set's name. */
  get set(): { family: TableFamily; set: string } {
    return this.#places.setOf(this.place);
  }
}

/** The same diff for some places or for all. */
export function diff(places: Places, some: Iterable<Place>): Operation[] {
  const operations: Operation[] = [];
  for (const place of some) {
    if (places.isElement(place)) {
      if (places.isRight(place)) continue;
      if (!places.isHeld(place)) {
        operations.push(new ElementOperation(places, place));
        continue;
      }
    }
    const operation = operationFor(places.keyOf(place), places.wanted(place), places.held(place));
    if (operation) operations.push(operation);
  }
  return operations;
}

/** Writes some kinds of items into the kernel and reads them back. */
export interface Writer {
  readonly kinds: ReadonlySet<Item['kind']>;
  /**
   * What the kernel holds of podnet's own (and, of the wanted items, what others may have made). All is read when it returns, or it throws; the items may be made one by
   * one.
   */
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
