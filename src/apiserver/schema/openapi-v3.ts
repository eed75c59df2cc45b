import { createHash } from 'node:crypto';
import { closure, definition, gvkObject, type JsonSchema } from './definitions.ts';
import type { Model, Schema } from './index.ts';
import { groupVersion, groupVersionPath, type ServedResource, subresourceKinds } from './served.ts';

const prefix = '#/components/schemas/';

/** What PATCH takes. kubectl apply looks here whether the server can do a strategic merge. */
const patchContentTypes = [
  'application/apply-patch+yaml',
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
];

/** Custom resources have no strategic merge. */
export const patchContentTypesOf = ({ custom }: Model): readonly string[] =>
  custom ? patchContentTypes.filter((type) => !type.includes('strategic')) : patchContentTypes;

const query = (name: string, type: string, description: string): JsonSchema => ({
  name,
  in: 'query',
  description,
  schema: { type, uniqueItems: true },
});
const dryRun = query(
  'dryRun',
  'string',
  'When present, indicates that modifications should not be persisted. Valid values are: All.',
);
const fieldManager = query('fieldManager', 'string', 'A name associated with the actor or entity that is making these changes.');
const fieldValidation = query(
  'fieldValidation',
  'string',
  'What to do with unknown or duplicate fields of the request: Ignore, Warn or Strict.',
);
const force = query(
  'force',
  'boolean',
  'Force is going to "force" apply requests: conflicting fields of other managers are taken over.',
);
const path = (name: string): JsonSchema => ({ name, in: 'path', required: true, schema: { type: 'string', uniqueItems: true } });

const writeParameters: Record<string, JsonSchema[]> = {
  post: [dryRun, fieldManager, fieldValidation],
  put: [dryRun, fieldManager, fieldValidation],
  patch: [dryRun, fieldManager, fieldValidation, force],
  delete: [dryRun],
};

/** HTTP method → [verb that must be served, x-kubernetes-action] for collections and for single objects. */
const collectionMethods = {
  get: ['list', 'list'],
  post: ['create', 'post'],
  delete: ['deletecollection', 'deletecollection'],
} as const;
const objectMethods = {
  get: ['get', 'get'],
  put: ['update', 'put'],
  patch: ['patch', 'patch'],
  delete: ['delete', 'delete'],
} as const;

type Methods = Record<string, readonly [verb: string, action: string]>;

function operations(methods: Methods, resource: ServedResource, model: Model, list?: Model): JsonSchema {
  const gvk = gvkObject(model.gvk ?? [resource.group, resource.version, resource.kind]);
  const item: JsonSchema = {};
  for (const [method, [verb, action]] of Object.entries(methods)) {
    if (resource.verbs && !resource.verbs.includes(verb)) continue;
    const answer = action === 'list' && list ? list : model;
    const operation: JsonSchema = {
      tags: [groupVersion(resource).replaceAll(/[./]/g, '_')],
      operationId: `${action}_${resource.plural}`,
      parameters: writeParameters[method] ?? [],
      responses: { '200': { description: 'OK', content: { 'application/json': { schema: { $ref: prefix + answer.name } } } } },
      'x-kubernetes-action': action,
      'x-kubernetes-group-version-kind': gvk,
    };
    if (method === 'patch')
      operation.requestBody = {
        required: true,
        content: Object.fromEntries(patchContentTypesOf(model).map((type) => [type, { schema: { type: 'object' } }])),
      };
    else if (method === 'post' || method === 'put')
      operation.requestBody = { required: true, content: { '*/*': { schema: { $ref: prefix + model.name } } } };
    item[method] = operation;
  }
  return item;
}

function resourcePaths(schema: Schema, resource: ServedResource): [string, JsonSchema, Model][] {
  const model = schema.kind(resource.group, resource.version, resource.kind);
  if (!model) return [];
  const list = schema.kind(resource.group, resource.version, `${resource.kind}List`);
  const base = `/${groupVersionPath(resource)}`;
  const collection = `${base}${resource.namespaced ? '/namespaces/{namespace}' : ''}/${resource.plural}`;
  const parameters = resource.namespaced ? [path('namespace')] : [];
  const at = (url: string, methods: Methods, of: Model, parameterList: JsonSchema[]): [string, JsonSchema, Model] => [
    url,
    { ...operations(methods, resource, of, list), parameters: parameterList },
    of,
  ];
  const out = [
    at(collection, collectionMethods, model, parameters),
    at(`${collection}/{name}`, objectMethods, model, [path('name'), ...parameters]),
  ];
  if (resource.namespaced) out.push(at(`${base}/${resource.plural}`, { get: ['list', 'list'] }, model, []));
  for (const subresource of resource.subresources ?? []) {
    const kind = subresourceKinds[subresource];
    const of = kind ? schema.kind(kind.group, kind.version, kind.kind) : model;
    if (!of) continue;
    const created = kind && subresource !== 'scale';
    const methods: Methods = created
      ? { post: ['create', 'post'] }
      : { get: objectMethods.get, put: objectMethods.put, patch: objectMethods.patch };
    out.push(at(`${collection}/{name}/${subresource}`, methods, of, [path('name'), ...parameters]));
  }
  return out;
}

/** The OpenAPI v3 document of one group-version. `resources` are those of this group-version. */
export function openApiV3(schema: Schema, resources: readonly ServedResource[]): JsonSchema {
  const entries = resources.flatMap((resource) => resourcePaths(schema, resource));
  const roots = new Set(entries.map(([, , model]) => model));
  for (const { group, version, kind } of resources) {
    const list = schema.kind(group, version, `${kind}List`);
    if (list) roots.add(list);
  }
  for (const kind of ['DeleteOptions', 'Status']) roots.add(schema.kind('', 'v1', kind)!);
  const schemas = Object.fromEntries(
    closure(roots).map((model) => [model.name, definition(schema, model, { prefix, version: 3 })]),
  );
  return {
    openapi: '3.0.0',
    info: { title: 'Kubernetes', version: `v${schema.table.version}.0` },
    paths: Object.fromEntries(entries.map(([url, item]) => [url, item])),
    components: { schemas },
  };
}

/** Changes when the document of these resources does; part of its URL, which clients cache for ever. Costs no document. */
export const openApiV3Hash = (schema: Schema, resources: readonly ServedResource[]): string =>
  createHash('sha256')
    .update(JSON.stringify([documentRevision, schema.table.version, resources]))
    .digest('hex')
    .toUpperCase();

/** Raise when this file or definitions.ts writes other documents from the same resources: clients keep old ones by hash. */
const documentRevision = 1;
