import { isNotFound, type KubeObject, type Resource } from '../kube/api.ts';
import { Events, qualifiedName, resourceOfKind } from '../kube/resources.ts';
import type { OwnerReference } from '../kube/types.ts';
import { type Context, controller, type Running } from './context.ts';
import { type Meta, type MetaInformer, metadataOf, metaKey } from './metadata.ts';

const foreground = 'foregroundDeletion';
const orphan = 'orphan';

/**
 * Deletes what lost its owners, as ownerReferences ask.
 * - background: the owner is gone, its dependents follow;
 * - foreground: the owner stands with the finalizer `foregroundDeletion` until its dependents with blockOwnerDeletion are gone;
 * - orphan: the owner stands with the finalizer `orphan` until no dependent refers to it any more.
 * An owner that no cache knows is asked for at the API before anything is deleted because of it.
 */
export function garbageCollector(context: Context, resources: readonly Resource[]): Running {
  const { api, informers } = context;
  const collected = resources.filter((resource) => resource !== Events);
  const caches = new Map(
    collected.map((resource) => [qualifiedName(resource), { resource, cache: metadataOf(informers, resource) }]),
  );
  const running = controller(context, {
    name: 'garbage-collector-controller',
    informers: [...caches.values()].map(({ cache }) => cache),
    work: sync,
  });
  const { queue } = running;

  async function sync(text: string): Promise<void> {
    const [name, key] = text.split(' ', 2) as [string, string];
    const { resource, cache } = caches.get(name)!;
    const object = cache.get(key);
    if (!object) return;
    if (object.deleting) {
      if (object.finalizers.includes(orphan)) await orphanDependents(resource, cache, object);
      else if (object.finalizers.includes(foreground)) await finishForeground(resource, cache, object);
      else return;
    }
    if (object.owners.length > 0 && !object.deleting) await checkOwners(resource, cache, object);
  }

  async function checkOwners(resource: Resource, cache: MetaInformer, object: Meta): Promise<void> {
    const solid: OwnerReference[] = [];
    const waiting: OwnerReference[] = [];
    for (const ref of object.owners) {
      const owner = await lookUp(ref, object);
      if (!owner) continue;
      (owner.deleting && owner.finalizers.includes(foreground) ? waiting : solid).push(ref);
    }
    if (solid.length === object.owners.length) return;
    if (solid.length > 0) {
      await patchMeta(resource, cache, object, { ownerReferences: solid });
      return;
    }
    const hasDependents = dependentsOf(object.uid).length > 0;
    const policy = object.finalizers.includes(orphan)
      ? 'Orphan'
      : object.finalizers.includes(foreground) || (waiting.length > 0 && hasDependents)
        ? 'Foreground'
        : 'Background';
    try {
      const preconditions = { uid: object.uid, resourceVersion: object.resourceVersion };
      await api.delete(resource, object.name, object.namespace, { propagationPolicy: policy, preconditions });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    await cache.hasSeenDeletion(metaKey(object), object.uid);
  }

  /** The owner as it stands; undefined when there is none of this uid. An owner in another namespace is none. */
  async function lookUp(ref: OwnerReference, of: Meta): Promise<Meta | undefined> {
    const resource = resourceOfKind(ref.apiVersion, ref.kind);
    const known = resource && caches.get(qualifiedName(resource));
    // A kind that is not collected cannot be known to be gone.
    if (!known) return { ...of, uid: ref.uid, deleting: false };
    const namespace = known.resource.namespaced ? of.namespace : undefined;
    const [cached] = known.cache.byIndex('uid', ref.uid);
    if (cached) return cached.namespace === namespace ? cached : undefined;
    if (known.resource.namespaced && !namespace) return undefined;
    try {
      const { metadata } = await api.get<KubeObject>(known.resource, ref.name, namespace);
      if (metadata.uid !== ref.uid) return undefined;
      const { finalizers = [], resourceVersion = '', ownerReferences: owners = [] } = metadata;
      return {
        ...of,
        name: ref.name,
        uid: ref.uid,
        deleting: metadata.deletionTimestamp !== undefined,
        finalizers,
        resourceVersion,
        owners,
      };
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  const dependentsOf = (uid: string): { resource: Resource; cache: MetaInformer; object: Meta }[] =>
    [...caches.values()].flatMap(({ resource, cache }) =>
      cache.byIndex('owner', uid).map((object) => ({ resource, cache, object })),
    );

  async function finishForeground(resource: Resource, cache: MetaInformer, object: Meta): Promise<void> {
    const dependents = dependentsOf(object.uid);
    const blocks = (dependent: Meta): boolean =>
      dependent.owners.some((ref) => ref.uid === object.uid && ref.blockOwnerDeletion === true);
    for (const dependent of dependents) queue.add(`${qualifiedName(dependent.resource)} ${metaKey(dependent.object)}`);
    if (!dependents.some((dependent) => blocks(dependent.object))) await removeFinalizer(resource, cache, object, foreground);
  }

  async function orphanDependents(resource: Resource, cache: MetaInformer, object: Meta): Promise<void> {
    await Promise.all(
      dependentsOf(object.uid).map((dependent) =>
        patchMeta(dependent.resource, dependent.cache, dependent.object, {
          ownerReferences: dependent.object.owners.filter(({ uid }) => uid !== object.uid),
        }),
      ),
    );
    await removeFinalizer(resource, cache, object, orphan);
  }

  const removeFinalizer = (resource: Resource, cache: MetaInformer, object: Meta, finalizer: string): Promise<void> =>
    patchMeta(resource, cache, object, { finalizers: object.finalizers.filter((one) => one !== finalizer) });

  async function patchMeta(resource: Resource, cache: MetaInformer, object: Meta, change: object): Promise<void> {
    const { uid, resourceVersion, name, namespace } = object;
    try {
      const written = await api.patch(resource, name, namespace, { metadata: { uid, resourceVersion, ...change } }, 'merge');
      // An object whose last finalizer went is gone, and tells so by no version.
      if (cache.get(metaKey(object))?.uid === uid && !written.metadata.deletionTimestamp)
        await cache.hasSeen(written.metadata.resourceVersion);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  const offs = [...caches.entries()].map(([name, { cache }]) =>
    cache.onChange((changes) => {
      for (const { type, key, object } of changes) {
        if (type !== 'deleted') {
          if (object.owners.length > 0 || object.deleting) queue.add(`${name} ${key}`);
        } else {
          for (const ref of object.owners) queueByUid(ref, object.namespace); // it may have been the last that its owner waited for
        }
        if (type === 'deleted' || object.deleting)
          for (const one of dependentsOf(object.uid)) queue.add(`${qualifiedName(one.resource)} ${metaKey(one.object)}`);
      }
    }),
  );

  function queueByUid(ref: OwnerReference, namespace: string | undefined): void {
    const resource = resourceOfKind(ref.apiVersion, ref.kind);
    if (!resource) return;
    const cache = caches.get(qualifiedName(resource))?.cache;
    const key = resource.namespaced ? `${namespace}/${ref.name}` : ref.name;
    if (cache?.get(key)?.deleting) queue.add(`${qualifiedName(resource)} ${key}`);
  }

  return {
    ready: running.ready,
    stop() {
      for (const off of offs) off();
      running.stop();
    },
  };
}
