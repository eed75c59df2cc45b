import { families, type IpAddr } from '../net/ip.ts';
import { comparePlaces, type Place, placeOf, type Spans } from './spans.ts';

/** What is told of a walk over the address space, from the first address to the last: sets by their places in the list. */
export interface Sweep {
  begin: (set: number) => void;
  end: (set: number) => void;
  /** Each address that was asked for, while exactly the sets that it is in have begun and not ended. */
  at: (address: IpAddr) => void;
}

/** Walks over sets of addresses, so that what each of many addresses is in takes one pass over all of them, and no comparison of all with all. */
function sweep(sets: readonly Spans[], addresses: readonly IpAddr[], { begin, end, at }: Sweep): void {
  for (const family of families) {
    const edges: { place: Place; set: number; isStart: boolean }[] = [];
    for (const [set, spans] of sets.entries())
      for (const { from, to } of spans[family]) edges.push({ place: from, set, isStart: true }, { place: to, set, isStart: false });
    edges.sort((a, b) => comparePlaces(a.place, b.place));
    const asked = addresses.filter((one) => one.family === family).map((address) => ({ address, place: placeOf(address) }));
    asked.sort((a, b) => comparePlaces(a.place, b.place));
    let next = 0;
    const pass = (upTo: Place | undefined): void => {
      for (; next < edges.length && (upTo === undefined || edges[next]!.place <= upTo); next++) {
        const { set, isStart } = edges[next]!;
        if (isStart) begin(set);
        else end(set);
      }
    };
    for (const { address, place } of asked) {
      pass(place);
      at(address);
    }
    // What begins behind the last address ends too: the next family begins with none.
    pass(undefined);
  }
}

/** For each address, by its text, in which of the sets it is, in their order; addresses that no edge parts share one list. */
export function setsAt(sets: readonly Spans[], addresses: readonly IpAddr[]): Map<string, readonly number[]> {
  const inside = new Set<number>();
  const found = new Map<string, readonly number[]>();
  let list: readonly number[] | undefined;
  const change = (set: number, is: boolean): void => {
    if (is) inside.add(set);
    else inside.delete(set);
    list = undefined;
  };
  sweep(sets, addresses, {
    begin: (set) => change(set, true),
    end: (set) => change(set, false),
    at: (address) => found.set(String(address), (list ??= [...inside].sort((a, b) => a - b))),
  });
  return found;
}

/**
 * For each address, by its text, a number that is the same where it is in the same sets, which may be so many that nobody lists them: the exclusive or of one
 * random number of 128 bits for each.
 * @param randomOf the number of a set: what is made of one text is always the same
 */
export function fingerprintsAt(sets: readonly Spans[], addresses: readonly IpAddr[], randomOf: (set: number) => bigint): Map<string, bigint> {
  const randoms = sets.map((_, set) => randomOf(set));
  const found = new Map<string, bigint>();
  let all = 0n;
  const change = (set: number): void => {
    all ^= randoms[set]!;
  };
  sweep(sets, addresses, { begin: change, end: change, at: (address) => found.set(String(address), all) });
  return found;
}
