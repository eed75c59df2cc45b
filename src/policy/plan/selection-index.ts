import { matches, type Selector } from '../../kube/selectors.ts';
import type { PodSelection } from '../model.ts';
import type { Labels } from '../world.ts';

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

/** `key=value` for each value that a label must have one of; the shortest list there is. Nothing: any labels may do. */
function required(selector: Selector): readonly string[] {
  let best: readonly string[] | undefined;
  for (const { key, operator, values } of selector)
    if (operator === 'In' && (!best || values.length < best.length)) best = values.map((value) => `${key}=${value}`);
  return best ?? [''];
}

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

  /** Those that mean pods like these, each once. */
  find(traits: PodTraits): T[] {
    const maps: Map<string, Set<T>>[] = [];
    const take = (part: string): void => {
      const found = this.#byNamespace.get(part);
      if (found) maps.push(found);
    };
    take(`=${traits.namespace}`);
    take('');
    for (const [key, value] of Object.entries(traits.namespaceLabels)) take(`${key}=${value}`);
    if (maps.length === 0) return [];
    const inner = ['', ...Object.entries(traits.labels).map(([key, value]) => `${key}=${value}`)];
    const all: T[] = [];
    for (const byLabel of maps)
      for (const part of inner)
        for (const one of byLabel.get(part) ?? []) if (selectsTraits(one.selection, traits)) all.push(one);
    return all;
  }
}
