import { matches, type Selector } from '../../../kube/selectors.ts';
import type { PodSelection } from '../../model.ts';
import type { Labels } from '../../world.ts';

/** What a selection of pods is judged by. */
export interface PodTraits {
  namespace: string;
  namespaceLabels: Labels;
  labels: Labels;
}

/** Whether a selection may mean pods of a namespace. */
export const selectsNamespace = ({ namespaces }: PodSelection, name: string, labels: Labels): boolean =>
  'name' in namespaces ? namespaces.name === name : matches(namespaces.labels, labels);

/** Whether a selection means pods like these. */
export const selectsTraits = (selection: PodSelection, { namespace, namespaceLabels, labels }: PodTraits): boolean =>
  selectsNamespace(selection, namespace, namespaceLabels) && matches(selection.pods, labels);

/**
 * What labels must have at the least, to choose from: `key=value` for each value that one must have one of, or a key that must be there. Nothing that must: `''`, any labels may do.
 */
export function requirementsOf(selector: Selector): readonly (readonly string[])[] {
  const some: (readonly string[])[] = [];
  for (const { key, operator, values } of selector) if (operator === 'In') some.push(values.map((value) => `${key}=${value}`));
  const present = some.length > 0 ? undefined : selector.find(({ operator }) => operator === 'Exists');
  return some.length > 0 ? some : [[present ? present.key : '']];
}

/** Under what selections that mean these labels may stand. */
const possible = (labels: Labels): string[] => ['', ...Object.entries(labels).flatMap(([key, value]) => [`${key}=${value}`, key])];

/** The same of the namespace; one by name stands under no label. */
export const namespaceRequirementsOf = ({ namespaces }: PodSelection): readonly (readonly string[])[] =>
  'name' in namespaces ? [[`=${namespaces.name}`]] : requirementsOf(namespaces.labels);

/** Something in the index, once however often it stands there. */
interface Thing<T> {
  one: T;
  /** The latest search that found it. */
  found: number;
  /** Where it stands. */
  places: { outer: string; inner: string }[];
}

type Things<T> = Map<Thing<T>, PodSelection[]>;

/**
 * Things with selections of pods, found by pods: each selection stands under one label that its namespace must have and one that its pods must have, of several the one under which
 * least stands, so that of 10,000 only those are looked at that may match. What one thing has under a label is looked at until one matches.
 */
export class SelectionIndex<T extends { selections: readonly PodSelection[] }> {
  readonly #byNamespace = new Map<string, Map<string, Things<T>>>();
  readonly #things = new Map<T, Thing<T>>();
  #searches = 0;

  add(one: T): void {
    const thing: Thing<T> = { one, found: 0, places: [] };
    this.#things.set(one, thing);
    for (const selection of one.selections) {
      const outerParts = leastOf(namespaceRequirementsOf(selection), (part) => this.#byNamespace.get(part)?.size ?? 0);
      for (const outer of outerParts) {
        let byLabel = this.#byNamespace.get(outer);
        if (!byLabel) this.#byNamespace.set(outer, (byLabel = new Map()));
        for (const inner of leastOf(requirementsOf(selection.pods), (part) => byLabel.get(part)?.size ?? 0)) {
          let things = byLabel.get(inner);
          if (!things) byLabel.set(inner, (things = new Map()));
          const some = things.get(thing);
          if (some) some.push(selection);
          else {
            things.set(thing, [selection]);
            thing.places.push({ outer, inner });
          }
        }
      }
    }
  }

  delete(one: T): void {
    const thing = this.#things.get(one);
    this.#things.delete(one);
    for (const { outer, inner } of thing?.places ?? []) {
      const byLabel = this.#byNamespace.get(outer)!;
      const things = byLabel.get(inner)!;
      if (things.delete(thing!) && things.size === 0) byLabel.delete(inner);
      if (byLabel.size === 0) this.#byNamespace.delete(outer);
    }
  }

  /** Those of which a selection means pods like these, each once. */
  find(traits: PodTraits): T[] {
    const found: T[] = [];
    const search = ++this.#searches;
    const maps: Map<string, Things<T>>[] = [];
    const take = (part: string): void => {
      const some = this.#byNamespace.get(part);
      if (some) maps.push(some);
    };
    take(`=${traits.namespace}`);
    for (const part of possible(traits.namespaceLabels)) take(part);
    if (maps.length === 0) return found;
    const inner = possible(traits.labels);
    for (const byLabel of maps)
      for (const part of inner)
        for (const [thing, selections] of byLabel.get(part) ?? []) {
          if (thing.found === search || !selections.some((selection) => selectsTraits(selection, traits))) continue;
          thing.found = search;
          found.push(thing.one);
        }
    return found;
  }
}

/** The one that costs least, all of its parts together. */
function leastOf(all: readonly (readonly string[])[], costOf: (part: string) => number): readonly string[] {
  if (all.length === 1) return all[0]!;
  let [best, least] = [all[0]!, Number.POSITIVE_INFINITY];
  for (const parts of all) {
    let cost = parts.length / 1000;
    for (const part of parts) cost += costOf(part);
    if (cost < least) [best, least] = [parts, cost];
  }
  return best;
}
