import { isNotFound, type KubeObject, type Resource } from '../kube/api.ts';
import { isDeleting, jsonEqual, kubeTime, withCondition } from '../kube/objects.ts';
import { Namespaces, Pods, qualifiedName } from '../kube/resources.ts';
import type { Namespace, NamespaceCondition } from '../kube/types.ts';
import { type Context, controller, type Running } from './context.ts';

/** What is left in a namespace after everything was told to go. */
interface Left {
  resource: Resource;
  count: number;
  /** Finalizer → how many objects wait for it. */
  finalizers: Map<string, number>;
}

/**
 * Empties namespaces that are being deleted, and then takes their finalizer away. What stays is told in the namespace's conditions, as
 * kube-controller-manager does: `kubectl get ns -o yaml` says why it hangs.
 */
export function namespaceController(context: Context, resources: readonly Resource[]): Running {
  const { api, informers, now } = context;
  const namespaced = resources.filter((resource) => resource.namespaced);
  const namespaces = informers.of(Namespaces);
  const pods = informers.of(Pods);
  const passes = new Map<string, number>();
  const running = controller(context, { name: 'namespace-controller', informers: [namespaces, pods], work: sync });
  const { queue } = running;

  async function sync(name: string): Promise<number | undefined> {
    const namespace = namespaces.get(name);
    if (!namespace || !isDeleting(namespace)) {
      passes.delete(name);
      return undefined;
    }
    const failures: string[] = [];
    const left: Left[] = [];
    await Promise.all(
      namespaced.map(async (resource) => {
        try {
          const remaining = await empty(resource, name);
          if (remaining.count > 0) left.push(remaining);
        } catch (error) {
          failures.push(`${qualifiedName(resource)}: ${(error as Error).message}`);
        }
      }),
    );
    await tell(namespace, failures, left);
    if (failures.length === 0 && left.length === 0) {
      await finalize(namespace);
      passes.delete(name);
      return undefined;
    }
    // Pods that end wake this up at once; for the rest it looks again, ever more rarely.
    const pass = passes.get(name) ?? 0;
    passes.set(name, pass + 1);
    return Math.min(10 * 2 ** pass, 2000);
  }

  /** Tells every object to go, and answers what stands afterwards. */
  async function empty(resource: Resource, namespace: string): Promise<Left> {
    const { items } = await api.list<KubeObject>(resource, { namespace });
    const going = items.filter((object) => !isDeleting(object));
    await Promise.all(
      going.map(async ({ metadata }) => {
        try {
          await api.delete(resource, metadata.name, namespace, {
            propagationPolicy: 'Background',
            preconditions: { uid: metadata.uid! },
          });
        } catch (error) {
          if (!isNotFound(error)) throw error;
        }
      }),
    );
    const rest = going.length > 0 ? (await api.list<KubeObject>(resource, { namespace })).items : items;
    const finalizers = new Map<string, number>();
    for (const { metadata } of rest)
      for (const one of metadata.finalizers ?? []) finalizers.set(one, (finalizers.get(one) ?? 0) + 1);
    return { resource, count: rest.length, finalizers };
  }

  async function tell(namespace: Namespace, failures: readonly string[], left: readonly Left[]): Promise<void> {
    const content = left
      .map(({ resource, count }) => `${resource.plural}.${resource.group} has ${count} resource instances`)
      .sort();
    const counts = new Map<string, number>();
    for (const { finalizers } of left) for (const [name, count] of finalizers) counts.set(name, (counts.get(name) ?? 0) + count);
    const finalizers = [...counts].map(([name, count]) => `${name} in ${count} resource instances`).sort();
    const condition = (
      type: string,
      bad: string,
      good: [reason: string, message: string],
      found: readonly string[],
      text: string,
    ) => ({
      type,
      status: found.length > 0 ? 'True' : 'False',
      reason: found.length > 0 ? bad : good[0],
      message: found.length > 0 ? `${text}${found.join(', ')}` : good[1],
    });
    const deleted: [string, string] = ['ContentDeleted', 'All content successfully deleted, may be waiting on finalization'];
    const told: NamespaceCondition[] = [
      condition(
        'NamespaceDeletionDiscoveryFailure',
        '',
        ['ResourcesDiscovered', 'All resources successfully discovered'],
        [],
        '',
      ),
      condition(
        'NamespaceDeletionGroupVersionParsingFailure',
        '',
        ['ParsedGroupVersions', 'All legacy kube types successfully parsed'],
        [],
        '',
      ),
      condition(
        'NamespaceDeletionContentFailure',
        'ContentDeletionFailed',
        deleted,
        failures,
        'Failed to delete all resource types, ',
      ),
      condition(
        'NamespaceContentRemaining',
        'SomeResourcesRemain',
        ['ContentRemoved', 'All content successfully removed'],
        content,
        'Some resources are remaining: ',
      ),
      condition(
        'NamespaceFinalizersRemaining',
        'SomeFinalizersRemain',
        ['ContentHasNoFinalizers', 'All content-preserving finalizers finished'],
        finalizers,
        'Some content in the namespace has finalizers remaining: ',
      ),
    ];
    // A small namespace is gone before anybody could read its conditions: only what hangs is worth a write.
    if (failures.length === 0 && left.length === 0) return;
    let conditions = namespace.status?.conditions ?? [];
    for (const one of told) conditions = withCondition(conditions, one, kubeTime(now()));
    if (jsonEqual(conditions, namespace.status?.conditions)) return;
    const written = await api.update(
      Namespaces,
      { ...namespace, status: { ...namespace.status, conditions } },
      { subresource: 'status' },
    );
    await namespaces.hasSeen(written.metadata.resourceVersion);
  }

  async function finalize(namespace: Namespace): Promise<void> {
    const { name, uid } = namespace.metadata;
    try {
      const fresh = await api.get(Namespaces, name);
      if (fresh.metadata.uid !== uid) return;
      const finalizers = (fresh.spec?.finalizers ?? []).filter((finalizer) => finalizer !== 'kubernetes');
      if (finalizers.length !== (fresh.spec?.finalizers ?? []).length)
        await api.update(Namespaces, { ...fresh, spec: { ...fresh.spec, finalizers } }, { subresource: 'finalize' });
      if (finalizers.length === 0 && !fresh.metadata.finalizers?.length)
        await api.delete(Namespaces, name, undefined, { preconditions: { uid: uid! } });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  const offs = [
    namespaces.onChange((changes) => {
      for (const { type, key, object } of changes) if (type !== 'deleted' && isDeleting(object)) queue.add(key);
    }),
    pods.onChange((changes) => {
      for (const { type, object } of changes) {
        if (type !== 'deleted') continue;
        const namespace = namespaces.get(object.metadata.namespace ?? '');
        if (namespace && isDeleting(namespace)) queue.add(namespace.metadata.name);
      }
    }),
  ];
  return {
    ready: running.ready,
    stop() {
      for (const off of offs) off();
      running.stop();
    },
  };
}
