import { randomUUID } from 'node:crypto';
import type { PatchType } from '../../kube/api.ts';
import { jsonEqual, kubeTime } from '../../kube/objects.ts';
import { apiVersionOf } from '../../kube/resources.ts';
import type { ObjectMeta } from '../../kube/types.ts';
import { afterUpdate, apply, type Manager } from '../apply/managed-fields.ts';
import { alreadyExists, badRequest, conflict, forbidden, notFound, unsupportedMediaType } from '../errors.ts';
import { clone, isJson, type Json, type StoredObject } from '../object.ts';
import { type ApiResource, storageOf } from '../resources.ts';
import type { Model, Schema } from '../schema/index.ts';
import { patchContentTypesOf } from '../schema/openapi-v3.ts';
import type { Entry } from '../store/entry.ts';
import type { Selection } from '../store/selection.ts';
import type { Page, PageOptions } from '../store/store.ts';
import { strategyOf } from '../strategies/index.ts';
import { FieldErrors } from '../validation/field-errors.ts';
import { validateMetadata, validateMetadataUpdate } from '../validation/metadata.ts';
import { validateBySchema } from '../validation/schema-rules.ts';
import { asksOtherThan, carryIdentity, type OwnSubresource, partOf, patchJson } from './changes.ts';
import { fromStored, toStored, viewOf } from './convert.ts';
import { decodeApplied, decodeBody, decodePatched } from './decode.ts';
import { beginDeletion, checkPreconditions, type DeletionRequest, mayGo } from './deletion.ts';
import { randomSuffix } from './names.ts';
import { checkNamespace, placeIn } from './placing.ts';
import type { WriteRequest } from './request.ts';
import type { Surroundings } from './strategy.ts';
import { UnitOfWork } from './unit-of-work.ts';

export type { OwnSubresource } from './changes.ts';

/** Namespaces that a cluster cannot be without. */
const immortal = new Set(['default', 'kube-system', 'kube-public']);

interface Write {
  resource: ApiResource;
  subresource?: OwnSubresource;
  request: WriteRequest;
  /** Server-side apply knows the managers already. */
  managers?: (now: string) => ObjectMeta['managedFields'];
}

/**
 * The life of objects: how they come to be, change and go, the same for all kinds; what is peculiar to a kind is its strategy's. Every
 * method is one transaction: it runs to its end or throws an ApiError and has changed nothing.
 */
export class Registry {
  readonly around: Surroundings;
  readonly #schema: Schema;

  constructor(schema: Schema, around: Surroundings) {
    this.#schema = schema;
    this.around = around;
  }

  get(resource: ApiResource, namespace: string | undefined, name: string): Entry {
    return viewOf(resource, this.#existing(resource, namespace, name));
  }

  list(resource: ApiResource, selection: Selection, options: PageOptions): Page {
    const converted: Selection = resource.storedAs
      ? { ...selection, matches: (object) => selection.matches(fromStored(resource, object)) }
      : selection;
    const page = this.around.store.list(storageOf(resource), converted, options);
    return resource.storedAs ? { ...page, entries: page.entries.map((entry) => viewOf(resource, entry)) } : page;
  }

  create(resource: ApiResource, namespace: string | undefined, body: unknown, request: WriteRequest): StoredObject {
    const object = decodeBody(resource, this.model(resource), body, request);
    return this.#insert({ resource, request }, namespace, object);
  }

  update(
    resource: ApiResource,
    namespace: string | undefined,
    name: string,
    body: unknown,
    request: WriteRequest,
    subresource?: OwnSubresource,
  ): StoredObject {
    const object = decodeBody(resource, this.model(resource), body, request);
    if (!object.metadata.name) throw badRequest('name must be provided');
    return this.#replace({ resource, request, subresource }, namespace, name, object);
  }

  patch(
    resource: ApiResource,
    namespace: string | undefined,
    name: string,
    patch: unknown,
    type: PatchType,
    request: WriteRequest & { force?: boolean },
    subresource?: OwnSubresource,
  ): { object: StoredObject; created: boolean } {
    if (type === 'apply') return this.#apply(resource, namespace, name, patch, request, subresource);
    const { object: old } = this.get(resource, namespace, name);
    const model = this.model(resource);
    if (type === 'strategic' && model.custom) throw unsupportedMediaType(patchContentTypesOf(model));
    const patched = patchJson(model, old, patch, type);
    const object = decodePatched(resource, model, patched, patch, type === 'strategic', request);
    return { object: this.#replace({ resource, request, subresource }, namespace, name, object), created: false };
  }

  /** @returns the object as it stands now, and whether it is gone */
  delete(
    resource: ApiResource,
    namespace: string | undefined,
    name: string,
    options: DeletionRequest,
    dryRun = false,
  ): { object: StoredObject; gone: boolean } {
    const { store, now } = this.around;
    const storage = storageOf(resource);
    const entry = this.#existing(resource, namespace, name);
    checkPreconditions(resource, entry, options);
    if (resource.kind === 'Namespace' && immortal.has(name)) throw forbidden(resource, name, 'this namespace may not be deleted');
    const outcome = beginDeletion(entry, options, now());
    if (outcome === 'gone') {
      if (dryRun) return { object: fromStored(resource, entry.object), gone: true };
      const last = store.remove(storage, namespace, name)!;
      strategyOf(storage).removed?.(entry.object, this.around);
      return { object: fromStored(resource, last.object), gone: true };
    }
    if (dryRun || outcome === entry.object) return { object: fromStored(resource, outcome), gone: false };
    return { object: fromStored(resource, store.put(storage, outcome).object), gone: false };
  }

  /** Changes an object in place; `change` gets a copy. For subresources that are no view of the object (binding, scale). */
  modify(
    resource: ApiResource,
    namespace: string | undefined,
    name: string,
    request: WriteRequest,
    change: (object: StoredObject) => void,
    options: { subresource?: string; raw?: boolean } = {},
  ): StoredObject {
    const old = this.#existing(resource, namespace, name).object;
    const object = clone(old);
    change(object);
    if (options.raw) return this.#write({ resource, request }, old, object, options.subresource);
    return this.#replace({ resource, request }, namespace, name, object, options.subresource);
  }

  model(resource: ApiResource): Model {
    return this.#schema.kind(resource.group, resource.version, resource.kind)!;
  }

  #existing(resource: ApiResource, namespace: string | undefined, name: string): Entry {
    const entry = this.around.store.get(storageOf(resource), namespace, name);
    if (!entry) throw notFound(resource, name);
    return entry;
  }

  #apply(
    resource: ApiResource,
    namespace: string | undefined,
    name: string,
    body: unknown,
    request: WriteRequest & { force?: boolean },
    subresource?: OwnSubresource,
  ): { object: StoredObject; created: boolean } {
    if (!isJson(body)) throw badRequest('error decoding YAML: the body is no object');
    const model = this.model(resource);
    const expected = apiVersionOf(resource);
    if (body.apiVersion !== expected || body.kind !== resource.kind)
      throw badRequest(
        `the API version and kind in the data (${String(body.apiVersion)}, ${String(body.kind)}) do not match those expected (${expected}, ${resource.kind})`,
      );
    const metadata = (isJson(body.metadata) ? body.metadata : {}) as Json;
    if (Array.isArray(metadata.managedFields) && metadata.managedFields.length > 0)
      throw badRequest('metadata.managedFields must be nil');
    if (metadata.name !== undefined && metadata.name !== name)
      throw badRequest(`the name of the object (${String(metadata.name)}) does not match the name on the URL (${name})`);
    const config = decodeApplied(resource, model, { ...body, metadata: { ...metadata, name } }, namespace, name);
    if (!subresource && resource.subresources.includes('status')) delete config.status;
    const live = this.around.store.get(storageOf(resource), namespace, name);
    if (!live && subresource) throw notFound(resource, name);
    const manager: Manager = {
      name: request.fieldManager,
      operation: 'Apply',
      apiVersion: expected,
      ...(subresource ? { subresource } : {}),
    };
    const result = apply(model, live && fromStored(resource, live.object), config, manager, request.force ?? false);
    const object = decodePatched(resource, model, result.object, body, false, request);
    const write: Write = { resource, request, subresource, managers: result.owners };
    if (live) return { object: this.#replace(write, namespace, name, object), created: false };
    return { object: this.#insert(write, namespace, object), created: true };
  }

  #insert(write: Write, namespace: string | undefined, given: StoredObject): StoredObject {
    const { resource, request } = write;
    const storage = storageOf(resource);
    const strategy = strategyOf(storage);
    const { store, now } = this.around;
    placeIn(resource, namespace, given.metadata);
    if (given.metadata.resourceVersion) throw badRequest('resourceVersion should not be set on objects to be created');
    const object = toStored(resource, given);
    const { metadata } = object;
    metadata.name ??= '';
    if (!metadata.name && metadata.generateName)
      for (let tries = 0; tries < 8; tries++) {
        metadata.name = metadata.generateName.slice(0, 58) + randomSuffix();
        if (!store.get(storage, namespace, metadata.name)) break;
      }
    checkNamespace(store, resource, namespace, metadata.name);
    metadata.uid = randomUUID();
    metadata.creationTimestamp = kubeTime(now());
    for (const name of ['deletionTimestamp', 'deletionGracePeriodSeconds', 'selfLink', 'generation'] as const)
      delete metadata[name];
    if (strategy.generation) metadata.generation = 1;
    const { initialStatus } = strategy;
    if (typeof initialStatus === 'function') object.status = initialStatus(object);
    else if (initialStatus === undefined || initialStatus === 'keep') {
      if (initialStatus !== 'keep' && storage.subresources.includes('status')) delete object.status;
    } else object.status = clone(initialStatus);
    strategy.defaults?.(object);
    strategy.prepareCreate?.(object, this.around);
    const errors = new FieldErrors();
    validateMetadata(resource, object, errors);
    strategy.validate?.(object, errors, this.around);
    this.#checkSchema(storage, object, errors);
    if (errors.any) throw errors.toError(resource, metadata.name);
    request.warnings.push(...(strategy.warnings?.(object, undefined) ?? []));
    metadata.managedFields = this.#managers(write, undefined, object, undefined);
    if (metadata.managedFields?.length === 0) delete metadata.managedFields;
    return UnitOfWork.run(request.dryRun, (work) => {
      strategy.allocate?.(object, undefined, errors, work, this.around);
      if (errors.any) throw errors.toError(resource, metadata.name);
      if (store.get(storage, namespace, metadata.name)) throw alreadyExists(resource, metadata.name);
      if (request.dryRun) return fromStored(resource, object);
      return fromStored(resource, store.put(storage, object).object);
    });
  }

  #replace(write: Write, namespace: string | undefined, name: string, given: StoredObject, asSubresource?: string): StoredObject {
    const { resource, request, subresource } = write;
    const storage = storageOf(resource);
    const strategy = strategyOf(storage);
    if (given.metadata.name !== name)
      throw badRequest(`the name of the object (${given.metadata.name}) does not match the name on the URL (${name})`);
    placeIn(resource, namespace, given.metadata);
    const { object: old } = this.#existing(resource, namespace, name);
    const { uid, resourceVersion } = given.metadata;
    if (uid && uid !== old.metadata.uid)
      throw conflict(resource, name, `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata.uid}`);
    if (resourceVersion && resourceVersion !== old.metadata.resourceVersion)
      throw conflict(
        resource,
        name,
        'the object has been modified; please apply your changes to the latest version and try again',
      );
    let object = toStored(resource, given, old);
    carryIdentity(object.metadata, old.metadata);
    if (subresource) object = partOf(subresource, object, old);
    else if (storage.subresources.includes('status') || strategy.initialStatus !== undefined) {
      if (old.status === undefined) delete object.status;
      else object.status = clone(old.status);
    }
    const errors = new FieldErrors();
    strategy.defaults?.(object);
    if (!subresource) strategy.prepareUpdate?.(object, old, this.around);
    validateMetadata(resource, object, errors);
    validateMetadataUpdate(object, old, errors);
    if (subresource === 'status') {
      strategy.validateStatus?.(object, old, errors, this.around);
      if (this.model(storage).custom) this.#checkSchema(storage, object, errors);
    }
    if (!subresource || subresource === 'ephemeralcontainers') {
      strategy.validate?.(object, errors, this.around);
      if (!subresource) strategy.validateUpdate?.(object, old, errors, this.around);
      this.#checkSchema(storage, object, errors);
      if (strategy.generation && asksOtherThan(object, old)) object.metadata.generation = (old.metadata.generation ?? 0) + 1;
    }
    if (errors.any) throw errors.toError(resource, name);
    request.warnings.push(...(subresource ? [] : (strategy.warnings?.(object, old) ?? [])));
    return UnitOfWork.run(request.dryRun, (work) => {
      if (!subresource) strategy.allocate?.(object, old, errors, work, this.around);
      if (errors.any) throw errors.toError(resource, name);
      return this.#write(write, old, object, asSubresource ?? subresource);
    });
  }

  /** Stores a changed object, unless it did not change; one that nothing holds any more goes. */
  #write(write: Write, old: StoredObject, object: StoredObject, subresource: string | undefined): StoredObject {
    const { resource, request } = write;
    const { store } = this.around;
    const storage = storageOf(resource);
    const { namespace, name } = old.metadata;
    object.metadata.managedFields = this.#managers(write, old, object, subresource);
    if (object.metadata.managedFields?.length === 0) delete object.metadata.managedFields;
    object.metadata.resourceVersion = old.metadata.resourceVersion;
    if (mayGo(object)) {
      if (request.dryRun) return fromStored(resource, object);
      // Nobody would ever see the last change but by the deletion itself.
      const last = store.remove(storage, namespace, name)!;
      strategyOf(storage).removed?.(old, this.around);
      return fromStored(resource, last.object);
    }
    if (jsonEqual(object, old)) return fromStored(resource, old);
    if (request.dryRun) return fromStored(resource, object);
    return fromStored(resource, store.put(storage, object).object);
  }

  #managers(
    write: Write,
    old: StoredObject | undefined,
    object: StoredObject,
    subresource: string | undefined,
  ): ObjectMeta['managedFields'] {
    const now = kubeTime(this.around.now());
    if (write.managers) return write.managers(now);
    const { resource, request } = write;
    const storage = storageOf(resource);
    const manager: Manager = {
      name: request.fieldManager,
      operation: 'Update',
      apiVersion: apiVersionOf(storage),
      ...(subresource ? { subresource } : {}),
    };
    return afterUpdate(this.model(storage), old, object, manager, now);
  }

  #checkSchema(storage: ApiResource, object: StoredObject, errors: FieldErrors): void {
    validateBySchema(this.model(storage), object, errors);
  }
}
