import {
  type Api,
  type ApiError,
  type DeleteOptions,
  initialEventsEnd,
  type KubeObject,
  type List,
  type ListOptions,
  type PatchType,
  type Resource,
  type WatchEvent,
  type WatchOptions,
  type WriteOptions,
} from '../kube/api.ts';
import { apiVersionOf } from '../kube/resources.ts';
import type { Binding, Eviction, TokenRequest } from '../kube/types.ts';
import type { User } from './auth/user.ts';
import type { Context } from './context.ts';
import { badRequest, noSuchPath } from './errors.ts';
import { as, clone, type Json, type StoredObject, stored } from './object.ts';
import { mergePatch } from './patch/merge-patch.ts';
import type { OwnSubresource } from './registry/registry.ts';
import type { WriteRequest } from './registry/request.ts';
import { openWatch } from './registry/watch.ts';
import { type ApiResource, findResource } from './resources.ts';
import { type Selection, selection } from './store/selection.ts';
import { bindPod } from './subresources/binding.ts';
import { evict } from './subresources/eviction.ts';
import { review } from './subresources/reviews.ts';
import { scaleOf, writeScale } from './subresources/scale.ts';
import { requestToken } from './subresources/token.ts';

/**
 * The API in process, for the controllers that live beside it: no TLS and no JSON text, but the same rules. Objects are copied on their
 * way in and out. Whoever holds it may do everything; the identity is only for managedFields and reviews.
 */
export class LocalApi implements Api {
  readonly #context: Context;
  readonly #user: User;

  constructor(context: Context, user: User) {
    this.#context = context;
    this.#user = user;
  }

  async get<T extends KubeObject>(resource: Resource<T>, name: string, namespace?: string): Promise<T> {
    return out<T>(this.#context.registry.get(served(resource), namespace, name).object);
  }

  async list<T extends KubeObject>(resource: Resource<T>, options: ListOptions = {}): Promise<List<T>> {
    const { registry } = this.#context;
    const page = registry.list(served(resource), select(resource, options), { limit: options.limit, continue: options.continue });
    return {
      items: page.entries.map(({ object }) => out<T>(object)),
      metadata: {
        resourceVersion: String(page.version),
        ...(page.continue !== undefined && { continue: page.continue }),
        ...(page.remaining !== undefined && { remainingItemCount: page.remaining }),
      },
    };
  }

  async create<T extends KubeObject>(resource: Resource<T>, object: T, options: WriteOptions = {}): Promise<T> {
    const { registry, authorizer, tokens } = this.#context;
    const at = served(resource);
    const { name, namespace } = object.metadata;
    const request = this.#request(options);
    switch (options.subresource) {
      case undefined:
        break;
      case 'binding':
        bindPod(registry, at, namespace, name, as<Binding>(object), request);
        return object;
      case 'eviction':
        evict(registry, at, namespace!, name, as<Eviction>(object), request.dryRun);
        return object;
      case 'token':
        return out<T>(stored(requestToken(registry, at, namespace!, name, as<TokenRequest>(object), tokens) as KubeObject));
      default:
        throw badRequest(`${options.subresource} is not created`);
    }
    const typed = withType(resource, object);
    if (at.verbs.length === 1) return out<T>(review(clone(typed), this.#user, authorizer));
    return out<T>(registry.create(at, namespace, typed, request));
  }

  async update<T extends KubeObject>(resource: Resource<T>, object: T, options: WriteOptions = {}): Promise<T> {
    const { registry } = this.#context;
    const { name, namespace } = object.metadata;
    const request = this.#request(options);
    if (options.subresource === 'scale') return out<T>(writeScale(registry, served(resource), namespace, name, object, request));
    return out<T>(
      registry.update(
        served(resource),
        namespace,
        name,
        withType(resource, object),
        request,
        options.subresource as OwnSubresource,
      ),
    );
  }

  async patch<T extends KubeObject>(
    resource: Resource<T>,
    name: string,
    namespace: string | undefined,
    patch: unknown,
    type: PatchType,
    options: WriteOptions & { force?: boolean } = {},
  ): Promise<T> {
    const { registry } = this.#context;
    const at = served(resource);
    const request = { ...this.#request(options), force: options.force };
    if (options.subresource === 'scale') {
      const { resourceVersion: _version, ...metadata } = scaleOf(registry.get(at, namespace, name).object).metadata;
      const scale = { ...scaleOf(registry.get(at, namespace, name).object), metadata };
      return out<T>(writeScale(registry, at, namespace, name, mergePatch(scale, patch), request));
    }
    const { object } = registry.patch(at, namespace, name, clone(patch), type, request, options.subresource as OwnSubresource);
    return out<T>(object);
  }

  async delete(resource: Resource, name: string, namespace?: string, options: DeleteOptions = {}): Promise<void> {
    this.#context.registry.delete(served(resource), namespace, name, options);
  }

  watch<T extends KubeObject>(
    resource: Resource<T>,
    onEvent: (event: WatchEvent<T>) => void,
    options: WatchOptions,
  ): { close(): void } {
    let over = false;
    let queue: (() => void)[] = [];
    // Events come in a turn of their own, as from a network: who writes is not called back within the write.
    const push = (deliver: () => void): void => {
      if (queue.push(deliver) > 1) return;
      setImmediate(() => {
        const all = queue;
        queue = [];
        for (const one of all) if (!over) one();
      });
    };
    const end = (error?: ApiError): void =>
      push(() => {
        over = true;
        options.onEnd(error);
      });
    let running: { close(): void } | undefined;
    try {
      const at = served(resource);
      running = openWatch(
        this.#context.store,
        { ...options, resource: at, selection: select(resource, options) },
        {
          event: (type, { object }) => push(() => onEvent({ type, object: out<T>(object) })),
          bookmark: (version, initialEnd) =>
            push(() => onEvent({ type: 'BOOKMARK', object: bookmark<T>(resource, version, initialEnd) })),
          end,
        },
      );
    } catch (error) {
      end(error as ApiError);
    }
    return {
      close: () => {
        over = true;
        running?.close();
      },
    };
  }

  #request(options: WriteOptions): WriteRequest {
    return {
      user: this.#user,
      fieldManager: options.fieldManager ?? this.#user.name,
      dryRun: options.dryRun ?? false,
      // Fields that do not exist are faults of the program: better told than lost.
      fieldValidation: 'Strict',
      duplicates: [],
      warnings: [],
    };
  }
}

const out = <T>(object: StoredObject): T => clone(object) as unknown as T;

const withType = (resource: Resource, object: KubeObject): StoredObject =>
  ({ ...(object as unknown as Json), apiVersion: apiVersionOf(resource), kind: resource.kind }) as unknown as StoredObject;

function served(resource: Resource): ApiResource {
  const found = findResource(resource.group, resource.version, resource.plural);
  if (!found) throw noSuchPath();
  return found;
}

const select = (resource: Resource, { namespace, labelSelector, fieldSelector }: ListOptions): Selection =>
  selection(served(resource), namespace, labelSelector, fieldSelector);

const bookmark = <T>(resource: Resource, version: number, initialEnd: boolean): T =>
  as<object>({
    apiVersion: apiVersionOf(resource),
    kind: resource.kind,
    metadata: { resourceVersion: String(version), ...(initialEnd && { annotations: { [initialEventsEnd]: 'true' } }) },
  }) as T;
