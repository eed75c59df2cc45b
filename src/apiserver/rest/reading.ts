import type { ServerResponse } from 'node:http';
import { ApiError } from '../../kube/api.ts';
import type { Context } from '../context.ts';
import { badRequest, tooLargeVersion } from '../errors.ts';
import type { Json, StoredObject } from '../object.ts';
import { openWatch, parseVersion, type WatchRequest } from '../registry/watch.ts';
import type { ApiResource } from '../resources.ts';
import { type Selection, selection } from '../store/selection.ts';
import type { PageOptions } from '../store/store.ts';
import { type IncludeObject, partial, toTable } from '../tables/index.ts';
import { FieldErrors } from '../validation/field-errors.ts';
import { listMetadata, sendList } from './list.ts';
import type { Form } from './negotiate.ts';
import { count, flag } from './parameters.ts';
import { type Answer, asApiError, headers, sendBytes, sendJson } from './respond.ts';
import { type Render, WatchStream } from './watch-stream.ts';

/** One read: what is asked for, and in which form. */
export interface Read {
  answer: Answer;
  resource: ApiResource;
  namespace?: string;
  name?: string;
  query: URLSearchParams;
  form: Form;
}

/** @throws ApiError 400 */
function includeOf(query: URLSearchParams): IncludeObject {
  const include = query.get('includeObject') || 'Metadata';
  if (include !== 'None' && include !== 'Metadata' && include !== 'Object')
    throw badRequest(`includeObject: Unsupported value: "${include}": supported values: "Metadata", "None", "Object"`);
  return include;
}

/** One object in the form the client wants. */
export function sendObject(context: Context, { answer, resource, query, form }: Read, code: number, object: StoredObject) {
  if (form.as === 'Object') return sendJson(answer, code, object);
  if (form.as === 'Table') {
    const { resourceVersion } = object.metadata;
    const options = {
      version: form.version,
      include: includeOf(query),
      nowMs: context.now(),
      headers: true,
      metadata: { resourceVersion },
    };
    return sendJson(answer, code, toTable(resource, [object], options));
  }
  sendJson(answer, code, partial(object, `meta.k8s.io/${form.version}`));
}

export function get(context: Context, read: Read) {
  const asked = parseVersion(read.query.get('resourceVersion') ?? undefined);
  if (asked !== undefined && asked > context.store.version) throw tooLargeVersion(String(asked), context.store.version);
  const entry = context.registry.get(read.resource, read.namespace, read.name!);
  if (read.form.as === 'Object') sendBytes(read.answer, 200, entry.bytes);
  else sendObject(context, read, 200, entry.object);
}

const selectionOf = ({ resource, namespace, name, query }: Read): Selection => {
  const chosen = selection(resource, namespace, query.get('labelSelector') ?? '', query.get('fieldSelector') ?? '');
  if (name === undefined) return chosen;
  return { ...chosen, name, everything: false, matches: (object) => object.metadata.name === name && chosen.matches(object) };
};

/** Which version a list shall show. @throws ApiError 400, 422, 504 */
function pageOptions({ query }: Read, newest: number): PageOptions {
  const version = parseVersion(query.get('resourceVersion') ?? undefined);
  const match = query.get('resourceVersionMatch') ?? '';
  const token = query.get('continue') || undefined;
  const errors = new FieldErrors();
  if (match !== '') {
    if (version === undefined)
      errors.forbidden('resourceVersionMatch', 'resourceVersionMatch is forbidden unless resourceVersion is provided');
    if (token) errors.forbidden('resourceVersionMatch', 'resourceVersionMatch is forbidden when continue is provided');
    if (match !== 'Exact' && match !== 'NotOlderThan')
      errors.notSupported('resourceVersionMatch', match, ['Exact', 'NotOlderThan', '']);
    if (match === 'Exact' && version === 0)
      errors.forbidden('resourceVersionMatch', 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"');
  }
  if (errors.any) throw errors.toError({ group: 'meta.k8s.io', kind: 'ListOptions' }, '');
  if (token && version) throw badRequest('specifying resource version is not allowed when using continue');
  if (version !== undefined && version > newest) throw tooLargeVersion(String(version), newest);
  const limit = count(query, 'limit');
  // With a limit, an old version of its own means exactly that one.
  const exact = version && (match === 'Exact' || (match === '' && limit)) ? version : undefined;
  return { limit, continue: token, ...(exact !== undefined && { version: exact }) };
}

export async function list(context: Context, read: Read): Promise<void> {
  const { answer, resource, form } = read;
  const page = context.registry.list(resource, selectionOf(read), pageOptions(read, context.store.version));
  if (form.as === 'Object') return sendList(answer, resource, page);
  const objects = page.entries.map(({ object }) => object);
  if (form.as === 'Table') {
    const options = {
      version: form.version,
      include: includeOf(read.query),
      nowMs: context.now(),
      headers: true,
      metadata: listMetadata(page),
    };
    return sendJson(answer, 200, toTable(resource, objects, options));
  }
  const apiVersion = `meta.k8s.io/${form.version}`;
  sendJson(answer, 200, {
    kind: 'PartialObjectMetadataList',
    apiVersion,
    metadata: listMetadata(page),
    items: objects.map((object) => partial(object, apiVersion)),
  });
}

function watchRequest(read: Read): WatchRequest {
  const { query, resource } = read;
  const sendInitialEvents = query.has('sendInitialEvents') ? flag(query, 'sendInitialEvents') : undefined;
  const match = query.get('resourceVersionMatch') ?? '';
  const errors = new FieldErrors();
  if (sendInitialEvents !== undefined && match !== 'NotOlderThan')
    errors.forbidden('resourceVersionMatch', 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan');
  if (sendInitialEvents === undefined && match !== '')
    errors.forbidden('resourceVersionMatch', 'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided');
  if (errors.any) throw errors.toError({ group: 'meta.k8s.io', kind: 'ListOptions' }, '');
  return {
    resource,
    selection: selectionOf(read),
    resourceVersion: query.get('resourceVersion') ?? undefined,
    sendInitialEvents,
    allowWatchBookmarks: flag(query, 'allowWatchBookmarks'),
    timeoutSeconds: count(query, 'timeoutSeconds'),
  };
}

export function watch(context: Context, read: Read): void {
  const { answer, resource } = read;
  const request = watchRequest(read);
  const { response } = answer;
  const stream = new WatchStream(response, resource, rendering(context, read));
  response.writeHead(200, headers(answer));
  response.flushHeaders();
  open(context, request, stream, response);
}

/** Failures from here on are events: clients are in the stream already. */
function open(context: Context, request: WatchRequest, stream: WatchStream, response: ServerResponse): void {
  try {
    const running = openWatch(context.store, request, stream);
    response.on('close', () => running.close());
  } catch (error) {
    stream.end(error instanceof ApiError ? error : asApiError(error, context.log));
  }
}

function rendering(context: Context, { resource, form, query }: Read): Render | undefined {
  if (form.as === 'Object') return undefined;
  if (form.as !== 'Table') return ({ object }): Json => partial(object, `meta.k8s.io/${form.version}`);
  const include = includeOf(query);
  let first = true;
  return ({ object }) => {
    const { resourceVersion } = object.metadata;
    const table = toTable(resource, [object], {
      version: form.version,
      include,
      nowMs: context.now(),
      headers: first,
      metadata: { resourceVersion },
    });
    first = false;
    return table;
  };
}
