import type { ApiError, Resource } from '../../kube/api.ts';
import { apiVersionOf } from '../../kube/resources.ts';
import { type Decoded, DecodeError, decodeModel } from '../codec/decode.ts';
import { goMap } from '../codec/go-format.ts';
import { findings, strictError } from '../codec/strict.ts';
import { badRequest } from '../errors.ts';
import { isJson, type Json, type StoredObject } from '../object.ts';
import type { Model } from '../schema/index.ts';
import { FieldErrors } from '../validation/field-errors.ts';
import type { WriteRequest } from './request.ts';

/** The body of a create or an update as an object of the kind. @throws ApiError 400 in the real server's words */
export function decodeBody(resource: Resource, model: Model, body: unknown, request: WriteRequest): StoredObject {
  const expected = apiVersionOf(resource);
  if (!isJson(body))
    throw badRequest(`the object provided is unrecognized (must be of type ${resource.kind}): it is no JSON object`);
  const { apiVersion = expected, kind = resource.kind } = body;
  if (apiVersion !== expected)
    throw badRequest(`the API version in the data (${String(apiVersion)}) does not match the expected API version (${expected})`);
  if (kind !== resource.kind)
    throw badRequest(`the kind in the data (${String(kind)}) does not match the expected kind (${resource.kind})`);
  const cannot = (why: string): ApiError =>
    badRequest(`${resource.kind} in version ${JSON.stringify(resource.version)} cannot be handled as a ${resource.kind}: ${why}`);
  const { object, unknown } = decodeOr(model, body, cannot);
  judge(findings(unknown, request.duplicates), request, (found) => cannot(strictError(found)));
  return finish(resource, object);
}

/** What a patch made of an object. @throws ApiError 422 in the real server's words */
export function decodePatched(
  resource: Resource,
  model: Model,
  patched: unknown,
  patch: unknown,
  strategic: boolean,
  request: WriteRequest,
): StoredObject {
  const shown = strategic ? goMap(patch) : JSON.stringify(patched);
  const cannot = (why: string): ApiError => {
    const errors = new FieldErrors();
    errors.invalid('patch', shown, why);
    return errors.toError({ group: '', kind: '' }, '');
  };
  const { object, unknown } = decodeOr(model, patched, cannot);
  judge(findings(unknown, request.duplicates), request, (found) => cannot(strictError(found)));
  return finish(resource, object);
}

/** The configuration of a server-side apply. @throws ApiError 400 */
export function decodeApplied(resource: Resource, model: Model, body: Json, namespace: string | undefined, name: string): Json {
  const { group, version, kind } = resource;
  const about = `${namespace ? `${namespace}/` : '/'}${name}; ${group ? `${group}/` : ''}${version}, Kind=${kind}`;
  const cannot = (why: string): ApiError => badRequest(`failed to create typed patch object (${about}): ${why}`);
  const { object, unknown } = decodeOr(model, body, cannot);
  if (unknown.length > 0) {
    const texts = unknown.map((path) => `.${path}: field not declared in schema`);
    throw cannot(texts.length === 1 ? texts[0]! : `errors:\n${texts.map((text) => `  ${text}`).join('\n')}`);
  }
  return object;
}

function decodeOr(model: Model, value: unknown, refuse: (why: string) => ApiError): Decoded {
  try {
    return decodeModel(model, value);
  } catch (error) {
    if (error instanceof DecodeError) throw refuse(error.message);
    throw error;
  }
}

function judge(found: string[], request: WriteRequest, refuse: (found: string[]) => ApiError): void {
  if (found.length === 0 || request.fieldValidation === 'Ignore') return;
  if (request.fieldValidation === 'Strict') throw refuse(found);
  request.warnings.push(...found);
}

function finish(resource: Resource, object: Json): StoredObject {
  return {
    ...object,
    apiVersion: apiVersionOf(resource),
    kind: resource.kind,
    metadata: (object.metadata ?? {}) as StoredObject['metadata'],
  };
}
