import type { KubeObject } from '../kube/api.ts';
import type { Informer } from '../kube/informer.ts';
import { controllerOf, key } from '../kube/objects.ts';
import { matches, type Selector } from '../kube/selectors.ts';
import type { WorkQueue } from './queue.ts';

/**
 * Has an owner worked on when a child of it comes, goes or changes: the one that controls the child, or of an orphan all in its namespace that select it.
 * @returns the end of it
 */
export function enqueueOwners<O extends KubeObject, C extends KubeObject>(
  owners: Informer<O>,
  children: Informer<C>,
  queue: WorkQueue,
  selectorOf: (owner: O) => Selector | undefined,
): () => void {
  owners.addIndex('namespace', ({ metadata }) => [metadata.namespace ?? '']);
  owners.addIndex('uid', ({ metadata }) => [metadata.uid ?? '']);
  const ownersOf = (child: C): O[] => {
    const ref = controllerOf(child);
    if (ref) return owners.byIndex('uid', ref.uid);
    return owners.byIndex('namespace', child.metadata.namespace ?? '').filter((owner) => {
      const selector = selectorOf(owner);
      return selector?.length && matches(selector, child.metadata.labels);
    });
  };
  return children.onChange((changes) => {
    for (const { object, previous } of changes)
      for (const child of previous && previous !== object ? [object, previous] : [object])
        for (const owner of ownersOf(child)) queue.add(key(owner));
  });
}
