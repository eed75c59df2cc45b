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

/** `key=value` for each value that a label must have one of, the shortest list there is, else a key that must be there. Nothing: any labels may do. */
function required(selector: Selector): readonly string[] {
  let best: readonly string[] | undefined;
  for (const { key, operator, values } of selector)
    if (operator === 'In' && (!best || values.length < best.length)) best = values.map((value) => `${key}=${value}`);
  const present = best ? undefined : selector.find(({ operator }) => operator === 'Exists');
  return best ?? [present ? present.key : ''];
}

/** Under what selections that mean these labels may stand. */
const possible = (labels: Labels): string[] => ['', ...Object.entries(labels).flatMap(([key, value]) => [`${key}=${value}`, key])];

const namespaceParts = ({ namespaces }: PodSelection): readonly string[] =>
  'name' in namespaces ? [`=${namespaces.name}`] : required(namespaces.labels);

/**
 * Things with selections of pods, found by pods: each selection stands under one label that its namespace must have and one that its pods must have, so that of 10,000
 * only those are looked at that may match. What one thing has under a label is looked at until one matches.
 */
export class SelectionIndex<T extends { selections: readonly PodSelection[] }> {
  readonly #byNamespace = new Map<string, Map<string, Map<T, PodSelection[]>>>();

  add(one: T): void {
    for (const selection of one.selections)
      for (const outer of namespaceParts(selection)) {
        let byLabel = this.#byNamespace.get(outer);
        if (!byLabel) this.#byNamespace.set(outer, (byLabel = new Map()));
        for (const inner of required(selection.pods)) {
          let things = byLabel.get(inner);
          if (!things) byLabel.set(inner, (things = new Map()));
          const some = things.get(one);
          if (some) some.push(selection);
          else things.set(one, [selection]);
        }
      }
  }

  delete(one: T): void {
    for (const selection of one.selections)
      for (const outer of namespaceParts(selection)) {
        const byLabel = this.#byNamespace.get(outer);
        for (const inner of required(selection.pods)) {
          const things = byLabel?.get(inner);
          if (things?.delete(one) && things.size === 0) byLabel!.delete(inner);
        }
        if (byLabel?.size === 0) this.#byNamespace.delete(outer);
      }
  }

  /** Those of which a selection means pods like these, each once. */
  find(traits: PodTraits): Set<T> {
    const found = new Set<T>();
    const maps: Map<string, Map<T, PodSelection[]>>[] = [];
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
        for (const [one, selections] of byLabel.get(part) ?? [])
          if (!found.has(one) && selections.some((selection) => selectsTraits(selection, traits))) found.add(one);
    return found;
  }
}
