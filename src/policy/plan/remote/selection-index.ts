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
 * Selections of pods, found by pods: each stands under one label that its namespace must have and one that its pods must have, so that of 10,000
 * only those are looked at that may match.
 */
export class SelectionIndex<T extends { selection: PodSelection }> {
  readonly #byNamespace = new Map<string, Map<string, Set<T>>>();

  add(one: T): void {
    for (const outer of namespaceParts(one.selection)) {
      let byLabel = this.#byNamespace.get(outer);
      if (!byLabel) this.#byNamespace.set(outer, (byLabel = new Map()));
      for (const inner of required(one.selection.pods)) {
        const some = byLabel.get(inner);
        if (some) some.add(one);
        else byLabel.set(inner, new Set([one]));
      }
    }
  }

  delete(one: T): void {
    for (const outer of namespaceParts(one.selection)) {
      const byLabel = this.#byNamespace.get(outer);
      for (const inner of required(one.selection.pods)) {
        const some = byLabel?.get(inner);
        if (some?.delete(one) && some.size === 0) byLabel!.delete(inner);
      }
      if (byLabel?.size === 0) this.#byNamespace.delete(outer);
    }
  }

  /**
   * Those that mean pods like these, each once.
   * @param isKnown those that are of no interest any more: it is asked before each is looked at
   */
  *find(traits: PodTraits, isKnown: (one: T) => boolean = () => false): Iterable<T> {
    const maps: Map<string, Set<T>>[] = [];
    const take = (part: string): void => {
      const found = this.#byNamespace.get(part);
      if (found) maps.push(found);
    };
    take(`=${traits.namespace}`);
    for (const part of possible(traits.namespaceLabels)) take(part);
    if (maps.length === 0) return;
    const inner = possible(traits.labels);
    for (const byLabel of maps)
      for (const part of inner)
        for (const one of byLabel.get(part) ?? []) if (!isKnown(one) && selectsTraits(one.selection, traits)) yield one;
  }
}
