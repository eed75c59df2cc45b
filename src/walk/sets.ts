import type { RulesetElement, RulesetSet } from '../kernel/nftables/index.ts';
import { and, type Bits, equals, isKnown, lessThan, not, slice, type Tri, within } from './bits.ts';

export interface Found {
  matches: Tri;
  /** Of maps: what the element holds, or all those that it may be when the key is not wholly known. */
  data: string[];
}

/** Some elements of sets are asked for again and again: by key, for those that have no intervals. */
const indexes = new WeakMap<RulesetSet, Map<string, RulesetElement>>();

function indexOf(set: RulesetSet, elements: readonly RulesetElement[]): Map<string, RulesetElement> {
  let index = indexes.get(set);
  if (!index) {
    index = new Map(elements.filter(({ catchAll }) => !catchAll).map((element) => [element.key.toString('hex'), element]));
    indexes.set(set, index);
  }
  return index;
}

interface Interval {
  element: RulesetElement;
  /** The key behind the last one; undefined at the end of all keys. */
  end: Buffer | undefined;
}

const intervalLists = new WeakMap<RulesetSet, Interval[]>();

/** Of sets whose intervals are told as starts and ends. At the same key the end of one comes before the start of the next. */
function intervalsOf(set: RulesetSet, elements: readonly RulesetElement[]): Interval[] {
  let list = intervalLists.get(set);
  if (!list) {
    const sorted = elements
      .filter(({ catchAll }) => !catchAll)
      .toSorted((a, b) => Buffer.compare(a.key, b.key) || Number(b.end) - Number(a.end));
    list = sorted.flatMap((element, i) => (element.end ? [] : [{ element, end: sorted[i + 1]?.key }]));
    intervalLists.set(set, list);
  }
  return list;
}

function inInterval(key: Bits, { element, end }: Interval): Tri {
  if (element.keyEnd) return within(key, element.key, element.keyEnd);
  return and(not(lessThan(key, element.key)), end ? lessThan(key, end) : true);
}

/** Each part of a concatenation has a range of its own. */
function inRanges(key: Bits, element: RulesetElement, parts: readonly number[]): Tri {
  if (!element.keyEnd) return equals(key, element.key);
  let result: Tri = true;
  let at = 0;
  for (const length of parts) {
    const range = within(slice(key, at, length), element.key.subarray(at, at + length), element.keyEnd.subarray(at, at + length));
    result = and(result, range);
    at += (length + 3) & ~3;
  }
  return result;
}

/** Looks a key up in a set or map as the kernel does. */
export function lookUp(set: RulesetSet, key: Bits): Found {
  const { elements } = set;
  if (!elements) return { matches: 'unknown', data: [] };
  if (!set.interval && isKnown(key)) {
    const found = indexOf(set, elements).get(Buffer.from(key.value).toString('hex'));
    return found ? { matches: true, data: dataOf(found) } : catchAll(elements);
  }
  const possible: RulesetElement[] = [];
  const test = (element: RulesetElement, matches: Tri): boolean => {
    if (matches === 'unknown') possible.push(element);
    return matches === true;
  };
  if (set.interval && !set.parts) {
    for (const interval of intervalsOf(set, elements))
      if (test(interval.element, inInterval(key, interval))) return { matches: true, data: dataOf(interval.element) };
  } else {
    for (const element of elements) {
      if (element.catchAll) continue;
      const matches = set.parts ? inRanges(key, element, set.parts) : equals(key, element.key);
      if (test(element, matches)) return { matches: true, data: dataOf(element) };
    }
  }
  const rest = catchAll(elements);
  if (possible.length === 0) return rest;
  const data = new Set([...possible.flatMap(dataOf), ...rest.data]);
  return { matches: rest.matches === true && !set.isMap ? true : 'unknown', data: [...data] };
}

const dataOf = ({ data }: RulesetElement): string[] => (data === undefined ? [] : [data]);

function catchAll(elements: readonly RulesetElement[]): Found {
  const element = elements.find((candidate) => candidate.catchAll);
  return element ? { matches: true, data: dataOf(element) } : { matches: false, data: [] };
}
