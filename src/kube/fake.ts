import { randomUUID } from 'node:crypto';
import {
  type Api,
  ApiError,
  type DeleteOptions,
  type KubeObject,
  type List,
  type ListOptions,
  type PatchType,
  type Resource,
  type WatchEvent,
  type WatchOptions,
  type WriteOptions,
} from './api.ts';
import { Shelves, type Stored, selection } from './fake-shelves.ts';
import { watchShelf } from './fake-watch.ts';
import { jsonMergePatch, jsonPatch } from './json-patch.ts';
import { isDeleting, jsonEqual, key as keyOf, kubeTime } from './objects.ts';
import { apiVersionOf, qualifiedName } from './resources.ts';
import type { Binding, ObjectMeta, PodStatus } from './types.ts';

const randomSuffix = (): string =>
  Array.from({ length: 5 }, () => 'bcdfghjklmnpqrstvwxz2456789'[Math.floor(Math.random() * 27)]).join('');

/**
 * A small model of the Kubernetes API in memory, for tests: resource versions, conflicts, generations, finalizers, graceful deletion of
 * pods, the status, binding and finalize subresources, and exact watches with history. It validates nothing, fills in no defaults, lets
 * objects stand in namespaces that do not exist, and knows neither strategic merge nor apply. Passes the same suite as the real ones.
 */
export class FakeApi implements Api {
  readonly #shelves = new Shelves();
  /** The present time in milliseconds; tests may set another clock. */
  now: () => number = Date.now;
  /** When false, watches with sendInitialEvents are refused as servers without WatchList do. */
  watchList = true;

  /** Forgets all history: watches from before now are answered with 410. */
  compact(): void {
    this.#shelves.compact();
  }

  /** What is stored, for comparison. */
  dump<T extends KubeObject>(resource: Resource<T>): T[] {
    return structuredClone([...this.#shelves.shelf(resource).objects.values()]) as unknown as T[];
  }

  async get<T extends KubeObject>(resource: Resource<T>, name: string, namespace?: string): Promise<T> {
    return structuredClone(this.#shelves.existing(resource, name, namespace)) as unknown as T;
  }

  async list<T extends KubeObject>(resource: Resource<T>, options: ListOptions = {}): Promise<List<T>> {
    const selects = selection(options);
    const all = [...this.#shelves.shelf(resource).objects.entries()].sort(([a], [b]) => (a < b ? -1 : 1));
    // A continue token names the key to go on after; the pages of one list may see different moments (as real inconsistent ones do not).
    const [version, after] = options.continue ? (JSON.parse(options.continue) as [number, string]) : [this.#shelves.version, ''];
    if (version < this.#shelves.shelf(resource).compactedAt)
      throw new ApiError(410, 'Expired', 'The provided continue parameter is too old');
    const rest = all.filter(([key, object]) => key > after && selects(object));
    const page = rest.slice(0, options.limit || rest.length);
    const more = page.length < rest.length;
    return {
      items: structuredClone(page.map(([, object]) => object)) as unknown as T[],
      metadata: {
        resourceVersion: String(version),
        ...(more ? { continue: JSON.stringify([version, page.at(-1)![0]]), remainingItemCount: rest.length - page.length } : {}),
      },
    };
  }

  async create<T extends KubeObject>(resource: Resource<T>, object: T, options: WriteOptions = {}): Promise<T> {
    if (options.subresource === 'binding') {
      const { metadata, target } = object as unknown as Binding;
      const pod = this.#shelves.existing(resource, metadata.name, metadata.namespace);
      if (pod.spec?.nodeName)
        throw new ApiError(
          409,
          'Conflict',
          `pod ${pod.metadata.name} is already assigned to node "${String(pod.spec.nodeName)}"`,
        );
      const conditions = ((pod.status ?? {}) as PodStatus).conditions?.filter(({ type }) => type !== 'PodScheduled') ?? [];
      const scheduled = { type: 'PodScheduled', status: 'True', lastTransitionTime: kubeTime(this.now()) };
      this.#shelves.put(resource, {
        ...pod,
        spec: { ...pod.spec, nodeName: target.name },
        status: { ...pod.status, conditions: [...conditions, scheduled] },
      });
      return structuredClone(object);
    }
    const fresh = structuredClone(object) as unknown as Stored;
    const { metadata } = fresh;
    metadata.name ||= metadata.generateName ? `${metadata.generateName}${randomSuffix()}` : '';
    if (!metadata.name) throw new ApiError(422, 'Invalid', `${resource.kind} "" is invalid: metadata.name: Required value`);
    if (resource.namespaced !== Boolean(metadata.namespace))
      throw new ApiError(400, 'BadRequest', `${resource.kind}: namespace ${resource.namespaced ? 'required' : 'not allowed'}`);
    if (metadata.resourceVersion)
      throw new ApiError(400, 'BadRequest', 'resourceVersion should not be set on objects to be created');
    if (this.#shelves.shelf(resource).objects.has(keyOf(fresh)))
      throw new ApiError(409, 'AlreadyExists', `${qualifiedName(resource)} "${metadata.name}" already exists`);
    const namespace = metadata.namespace && this.#shelves.named('namespaces')?.objects.get(metadata.namespace);
    if (namespace && isDeleting(namespace)) {
      const message = `unable to create new content in namespace ${metadata.namespace} because it is being terminated`;
      throw new ApiError(403, 'Forbidden', message);
    }
    Object.assign(metadata, { uid: randomUUID(), creationTimestamp: kubeTime(this.now()), generation: 1 });
    delete metadata.deletionTimestamp;
    fresh.apiVersion = apiVersionOf(resource);
    fresh.kind = resource.kind;
    if (resource.kind === 'Pod') fresh.status = { phase: 'Pending' };
    else if (resource.group === 'apps') delete fresh.status;
    if (resource.kind === 'Namespace') {
      fresh.spec = { finalizers: ['kubernetes'] };
      fresh.status = { phase: 'Active' };
    }
    if (options.dryRun) return fresh as unknown as T;
    return structuredClone(this.#shelves.put(resource, fresh)) as unknown as T;
  }

  async update<T extends KubeObject>(resource: Resource<T>, object: T, options: WriteOptions = {}): Promise<T> {
    const old = this.#shelves.existing(resource, object.metadata.name, object.metadata.namespace);
    const { resourceVersion, uid } = object.metadata;
    if (
      (resourceVersion !== undefined && resourceVersion !== old.metadata.resourceVersion) ||
      (uid !== undefined && uid !== old.metadata.uid)
    ) {
      const message = `Operation cannot be fulfilled on ${qualifiedName(resource)} "${old.metadata.name}": the object has been modified; please apply your changes to the latest version and try again`;
      throw new ApiError(409, 'Conflict', message);
    }
    const given = structuredClone(object) as unknown as Stored;
    let next: Stored;
    if (options.subresource === 'status') next = { ...old, status: given.status };
    else if (options.subresource === 'finalize') next = { ...old, spec: given.spec };
    else if (options.subresource) throw new ApiError(404, 'NotFound', `the model has no subresource ${options.subresource}`);
    else {
      const kept: (keyof ObjectMeta)[] = [
        'uid',
        'creationTimestamp',
        'deletionTimestamp',
        'deletionGracePeriodSeconds',
        'generation',
      ];
      const carried = kept.filter((name) => old.metadata[name] !== undefined).map((name) => [name, old.metadata[name]]);
      const metadata = { ...given.metadata, ...Object.fromEntries(carried) } as ObjectMeta;
      next = { ...given, apiVersion: old.apiVersion, kind: old.kind, metadata };
      if ('status' in old || resource.kind === 'Pod' || resource.group === 'apps') next.status = old.status;
      const changed = (['spec', 'template', 'data'] as const).some(
        (part) =>
          !jsonEqual((next as unknown as Record<string, unknown>)[part], (old as unknown as Record<string, unknown>)[part]),
      );
      if (changed) metadata.generation = (old.metadata.generation ?? 0) + 1;
    }
    if (
      jsonEqual(
        { ...next, metadata: { ...next.metadata, resourceVersion: '' } },
        { ...old, metadata: { ...old.metadata, resourceVersion: '' } },
      )
    )
      return structuredClone(old) as unknown as T;
    const finalizers = [...(next.metadata.finalizers ?? []), ...((next.spec?.finalizers as string[] | undefined) ?? [])];
    const grace = next.metadata.deletionGracePeriodSeconds ?? 0;
    if (next.metadata.deletionTimestamp && finalizers.length === 0 && grace === 0) {
      return structuredClone(this.#shelves.remove(resource, next)) as unknown as T;
    }
    return structuredClone(this.#shelves.put(resource, next)) as unknown as T;
  }

  async patch<T extends KubeObject>(
    resource: Resource<T>,
    name: string,
    namespace: string | undefined,
    patch: unknown,
    type: PatchType,
    options: WriteOptions = {},
  ): Promise<T> {
    const old = structuredClone(this.#shelves.existing(resource, name, namespace));
    if (type !== 'merge' && type !== 'json') throw new ApiError(415, 'UnsupportedMediaType', `the model knows no ${type} patch`);
    const asked = (patch as { metadata?: ObjectMeta }).metadata?.resourceVersion;
    const next = (type === 'merge' ? jsonMergePatch(old, patch) : jsonPatch(old, patch)) as Stored;
    next.metadata.resourceVersion = asked;
    return this.update(resource, next as unknown as T, options);
  }

  async delete(resource: Resource, name: string, namespace?: string, options: DeleteOptions = {}): Promise<void> {
    const old = this.#shelves.existing(resource, name, namespace);
    const { uid, resourceVersion } = options.preconditions ?? {};
    if ((uid && uid !== old.metadata.uid) || (resourceVersion && resourceVersion !== old.metadata.resourceVersion))
      throw new ApiError(
        409,
        'Conflict',
        `the precondition of the deletion of ${qualifiedName(resource)} "${name}" does not hold`,
      );
    const metadata = { ...old.metadata };
    const added = { Foreground: 'foregroundDeletion', Orphan: 'orphan', Background: undefined }[
      options.propagationPolicy ?? 'Background'
    ];
    if (added && !metadata.finalizers?.includes(added)) metadata.finalizers = [...(metadata.finalizers ?? []), added];
    let grace = 0;
    if (resource.kind === 'Pod' && old.spec?.nodeName && old.status?.phase !== 'Succeeded' && old.status?.phase !== 'Failed')
      grace = options.gracePeriodSeconds ?? (old.spec.terminationGracePeriodSeconds as number | undefined) ?? 30;
    const isNamespace = resource.kind === 'Namespace' && ((old.spec?.finalizers as string[] | undefined)?.length ?? 0) > 0;
    if (grace === 0 && !metadata.finalizers?.length && !isNamespace) {
      this.#shelves.remove(resource, old);
      return;
    }
    if (metadata.deletionTimestamp && (metadata.deletionGracePeriodSeconds ?? 0) <= grace) {
      if (metadata.finalizers?.length === old.metadata.finalizers?.length) return;
    } else {
      metadata.deletionTimestamp = kubeTime(this.now() + grace * 1000);
      metadata.deletionGracePeriodSeconds = grace;
    }
    const status = isNamespace ? { ...old.status, phase: 'Terminating' } : old.status;
    this.#shelves.put(resource, { ...old, metadata, ...(status ? { status } : {}) });
  }

  watch<T extends KubeObject>(
    resource: Resource<T>,
    onEvent: (event: WatchEvent<T>) => void,
    options: WatchOptions,
  ): { close(): void } {
    return watchShelf(this.#shelves, resource, onEvent, options, this.watchList);
  }
}
