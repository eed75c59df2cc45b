import type { IncomingMessage } from 'node:http';
import { apiVersionOf } from '../../kube/resources.ts';
import type { Binding, Eviction, Pod, TokenRequest } from '../../kube/types.ts';
import { type Action, refusal } from '../auth/authorize.ts';
import type { User } from '../auth/user.ts';
import type { Context } from '../context.ts';
import { subresourceVerbs } from '../discovery/subresources.ts';
import { badRequest, forbidden, methodNotAllowed, noSuchPath } from '../errors.ts';
import { as, isJson, type Json, type StoredObject } from '../object.ts';
import { jsonPatch } from '../patch/json-patch.ts';
import { mergePatch } from '../patch/merge-patch.ts';
import { decodeBody } from '../registry/decode.ts';
import type { DeletionRequest } from '../registry/deletion.ts';
import type { OwnSubresource } from '../registry/registry.ts';
import type { WriteRequest } from '../registry/request.ts';
import { type ApiResource, findResource } from '../resources.ts';
import { selection } from '../store/selection.ts';
import { bindPod } from '../subresources/binding.ts';
import { evict } from '../subresources/eviction.ts';
import { review } from '../subresources/reviews.ts';
import { scaleOf, writeScale } from '../subresources/scale.ts';
import { isStream, locate } from '../subresources/streams.ts';
import { requestToken } from '../subresources/token.ts';
import { type Body, decodeContent, readBody } from './body.ts';
import { listMetadata } from './list.ts';
import { negotiate } from './negotiate.ts';
import { forwardLogs } from './node-streams.ts';
import { flag, patchType, writeRequest } from './parameters.ts';
import { get, list, type Read, sendObject, watch } from './reading.ts';
import { type Answer, sendJson } from './respond.ts';
import type { Route } from './route.ts';

type ResourceRoute = Extract<Route, { kind: 'resource' }>;

/** What an HTTP method means on a path, as authorization and discovery name it. */
export function verbOf(method: string, named: boolean, query: URLSearchParams): string | undefined {
  switch (method) {
    case 'GET':
    case 'HEAD':
      if (flag(query, 'watch')) return 'watch';
      return named ? 'get' : 'list';
    case 'POST':
      return 'create';
    case 'PUT':
      return 'update';
    case 'PATCH':
      return 'patch';
    case 'DELETE':
      return named ? 'delete' : 'deletecollection';
    default:
      return undefined;
  }
}

/** @throws ApiError 403 */
export function authorize(context: Context, user: User, resource: ApiResource, route: ResourceRoute, verb: string): void {
  const action: Action = {
    verb,
    group: route.group,
    resource: route.plural,
    ...(route.subresource && { subresource: route.subresource }),
    ...(route.namespace && { namespace: route.namespace }),
    ...(route.name && { name: route.name }),
  };
  if (!context.authorizer.allows(user, action)) throw forbidden(resource, route.name ?? '', refusal(user, action));
}

/** @throws ApiError 404 when it is not served */
export function resourceOf(route: ResourceRoute): ApiResource {
  const resource = findResource(route.group, route.version, route.plural);
  if (!resource || (route.subresource !== undefined && !resource.subresources.includes(route.subresource))) throw noSuchPath();
  if (!resource.namespaced && route.namespace !== undefined) throw noSuchPath();
  if (resource.namespaced && route.namespace === undefined && route.name !== undefined) throw noSuchPath();
  return resource;
}

/** One request for a resource, from its URL to its answer. */
export async function handleResource(
  context: Context,
  answer: Answer,
  request: IncomingMessage,
  route: ResourceRoute,
  query: URLSearchParams,
  user: User,
): Promise<void> {
  const resource = resourceOf(route);
  const { namespace, name, subresource } = route;
  const verb = verbOf(request.method ?? 'GET', name !== undefined, query);
  const verbs = subresource ? subresourceVerbs(subresource) : resource.verbs;
  if (!verb || !verbs.includes(verb === 'watch' && subresource ? 'get' : verb)) throw methodNotAllowed();
  authorize(context, user, resource, route, verb);
  const read: Read = {
    answer,
    resource,
    namespace,
    name,
    query,
    form: negotiate(isStream(subresource) ? undefined : request.headers.accept),
  };
  if (verb === 'watch') return watch(context, read);
  if (verb === 'list') return list(context, read);
  const write = new Writing(context, read, request, user);
  if (isStream(subresource)) return stream(context, read, subresource);
  if (verb === 'get')
    return subresource === 'scale'
      ? sendJson(answer, 200, scaleOf(context.registry.get(resource, namespace, name!).object))
      : get(context, read);
  if (subresource === 'scale') return write.scale();
  if (verb === 'create') return write.create(subresource);
  const own = subresource as OwnSubresource | undefined;
  if (verb === 'update') return write.update(own);
  if (verb === 'patch') return write.patch(own);
  return verb === 'delete' ? write.delete() : write.deleteCollection();
}

async function stream(
  context: Context,
  { answer, resource, namespace, name, query }: Read,
  kind: 'log' | 'exec' | 'attach' | 'portforward',
): Promise<void> {
  const pod = as<Pod>(context.registry.get(resource, namespace, name!).object);
  const { node, path } = locate(pod, kind, query);
  if (kind !== 'log') throw badRequest('Upgrade request required');
  if (node) return forwardLogs(answer, context.dialNode, node, path);
  answer.response.writeHead(200, { 'content-type': 'text/plain' }).end();
}

/** Requests that change something. */
class Writing {
  readonly #context: Context;
  readonly #read: Read;
  readonly #request: IncomingMessage;
  readonly #user: User;

  constructor(context: Context, read: Read, request: IncomingMessage, user: User) {
    this.#context = context;
    this.#read = read;
    this.#request = request;
    this.#user = user;
  }

  async create(subresource: string | undefined): Promise<void> {
    const { registry, authorizer } = this.#context;
    const { resource, namespace, name } = this.#read;
    const { options, body } = await this.#receive('CreateOptions');
    if (subresource) return this.#createBelow(subresource, body, options);
    if (name !== undefined) throw methodNotAllowed();
    if (resource.verbs.length === 1) {
      const asked = decodeBody(resource, registry.model(resource), body.value, options);
      return sendJson(this.#read.answer, 201, review(asked, this.#user, authorizer));
    }
    if (resource.namespaced && namespace === undefined) {
      const given = isJson(body.value) && isJson(body.value.metadata) ? body.value.metadata.namespace : undefined;
      if (typeof given !== 'string') throw badRequest('an empty namespace may not be set during creation');
    }
    sendObject(this.#context, this.#read, 201, registry.create(resource, namespace, body.value, options));
  }

  #createBelow(subresource: string, { value }: Body, options: WriteRequest) {
    const { registry, tokens } = this.#context;
    const { resource, namespace, name, answer } = this.#read;
    const object = (isJson(value) ? value : {}) as Json;
    const success = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 };
    if (subresource === 'binding') bindPod(registry, resource, namespace, name!, as<Binding>(object), options);
    else if (subresource === 'eviction') evict(registry, resource, namespace!, name!, as<Eviction>(object), options.dryRun);
    else if (subresource === 'token')
      return sendJson(answer, 201, requestToken(registry, resource, namespace!, name!, as<TokenRequest>(object), tokens));
    else throw methodNotAllowed();
    sendJson(answer, 201, success);
  }

  async update(subresource: OwnSubresource | undefined): Promise<void> {
    const { resource, namespace, name } = this.#read;
    const { options, body } = await this.#receive('UpdateOptions');
    const object = this.#context.registry.update(resource, namespace, name!, body.value, options, subresource);
    sendObject(this.#context, this.#read, 200, object);
  }

  async patch(subresource: OwnSubresource | undefined): Promise<void> {
    const { resource, namespace, name } = this.#read;
    const type = patchType(this.#request);
    const { options, body } = await this.#receive('PatchOptions');
    const { object, created } = this.#context.registry.patch(resource, namespace, name!, body.value, type, options, subresource);
    sendObject(this.#context, this.#read, created ? 201 : 200, object);
  }

  async scale(): Promise<void> {
    const { registry } = this.#context;
    const { resource, namespace, name, answer } = this.#read;
    const patching = this.#request.method === 'PATCH';
    const type = patching ? patchType(this.#request) : undefined;
    const { options, body } = await this.#receive(patching ? 'PatchOptions' : 'UpdateOptions');
    let scale = body.value;
    if (type) {
      const now = scaleOf(registry.get(resource, namespace, name!).object);
      if (!isJson(scale) && type !== 'json') throw badRequest('error decoding patch: it is no object');
      const { resourceVersion: _version, ...metadata } = now.metadata;
      // Only a version that the client names itself is a precondition.
      const base = { ...now, metadata };
      scale = type === 'json' ? jsonPatch(base, scale) : mergePatch(base, scale);
    }
    sendJson(answer, 200, writeScale(registry, resource, namespace, name!, scale, options));
  }

  async delete(): Promise<void> {
    const { resource, namespace, name, answer } = this.#read;
    const { deletion, dryRun } = await this.#receiveDeletion();
    const { object, gone } = this.#context.registry.delete(resource, namespace, name!, deletion, dryRun);
    if (!gone) return sendObject(this.#context, this.#read, 200, object);
    const details = { name, ...(resource.group && { group: resource.group }), kind: resource.plural, uid: object.metadata.uid };
    sendJson(answer, 200, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details });
  }

  async deleteCollection(): Promise<void> {
    const { resource, namespace, query, answer } = this.#read;
    const { registry } = this.#context;
    const { deletion, dryRun } = await this.#receiveDeletion();
    const chosen = selection(resource, namespace, query.get('labelSelector') ?? '', query.get('fieldSelector') ?? '');
    const page = registry.list(resource, chosen, {});
    const items: StoredObject[] = page.entries.map(
      ({ object: { metadata } }) => registry.delete(resource, metadata.namespace, metadata.name, deletion, dryRun).object,
    );
    sendJson(answer, 200, {
      kind: `${resource.kind}List`,
      apiVersion: apiVersionOf(resource),
      metadata: listMetadata(page),
      items,
    });
  }

  async #receive(kind: 'CreateOptions' | 'UpdateOptions' | 'PatchOptions') {
    const { query, answer } = this.#read;
    const options = writeRequest(kind, query, this.#request, this.#user, answer.warnings);
    const body = decodeContent(this.#request, await readBody(this.#request), options.fieldValidation !== 'Ignore');
    options.duplicates = body.duplicates;
    return { options, body };
  }

  /** DeleteOptions come in the body, or in the query. */
  async #receiveDeletion(): Promise<{ deletion: DeletionRequest; dryRun: boolean }> {
    const { query, answer } = this.#read;
    const options = writeRequest('DeleteOptions', query, this.#request, this.#user, answer.warnings);
    const bytes = await readBody(this.#request);
    const { value } = bytes.length > 0 ? decodeContent(this.#request, bytes, false) : { value: {} };
    const deletion = (isJson(value) ? { ...value } : {}) as DeletionRequest;
    if (query.has('gracePeriodSeconds')) deletion.gracePeriodSeconds ??= Number(query.get('gracePeriodSeconds'));
    const policy = query.get('propagationPolicy');
    if (policy) deletion.propagationPolicy ??= policy as NonNullable<DeletionRequest['propagationPolicy']>;
    const policies = ['Orphan', 'Background', 'Foreground'];
    if (deletion.propagationPolicy && !policies.includes(deletion.propagationPolicy))
      throw badRequest(
        `propagationPolicy: Unsupported value: "${deletion.propagationPolicy}": supported values: ${policies.map((one) => `"${one}"`).join(', ')}`,
      );
    return { deletion, dryRun: options.dryRun || (deletion.dryRun?.length ?? 0) > 0 };
  }
}
