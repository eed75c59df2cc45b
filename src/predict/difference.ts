import { jsonEqual } from '../kube/objects.ts';

/** What a watcher would hear. */
export interface Difference<T> {
  set: T[];
  deleted: T[];
}

/** @param nameOf what makes two of them the same object @param isSame whether it says the same */
export function differenceOf<T>(
  before: readonly T[],
  after: readonly T[],
  nameOf: (object: T) => string,
  isSame: (a: T, b: T) => boolean = jsonEqual,
): Difference<T> {
  const was = new Map(before.map((object) => [nameOf(object), object]));
  const is = before.length > 0 ? new Set(after.map(nameOf)) : new Set<string>();
  return {
    set: after.filter((object) => {
      const old = was.get(nameOf(object));
      return old === undefined || !isSame(old, object);
    }),
    deleted: before.filter((object) => !is.has(nameOf(object))),
  };
}

interface Named {
  metadata: { name?: string; namespace?: string };
}

/** Of objects of an API. */
export const difference = <T extends Named>(before: readonly T[], after: readonly T[]): Difference<T> =>
  differenceOf(before, after, ({ metadata }) => `${metadata.namespace ?? ''}/${metadata.name ?? ''}`);
