import { ApiError } from '../../kube/api.ts';
import { jsonEqual } from '../../kube/objects.ts';
import { badRequest } from '../errors.ts';
import { clone, isJson, type Json, setOwn } from '../object.ts';

interface Operation {
  op: string;
  path: string;
  from?: string;
  value?: unknown;
}

/** More operations than a real server takes in one patch. */
const maxOperations = 10_000;

const refused = (why: string): ApiError =>
  new ApiError(422, 'Invalid', `the server rejected our request due to an error in our request: ${why}`);

/** RFC 6902. The target is left alone. @throws ApiError 400 when it is no patch, 422 when it does not apply, 413 when it is too long */
export function jsonPatch(target: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch)) throw badRequest('json: cannot unmarshal object into Go value of type jsonpatch.Patch');
  if (patch.length > maxOperations)
    throw new ApiError(
      413,
      'RequestEntityTooLarge',
      `The allowed maximum operations in a JSON patch is ${maxOperations}, got ${patch.length}`,
    );
  const root: Json = { '': clone(target) };
  for (const operation of patch as unknown[]) {
    if (!isJson(operation) || typeof operation.op !== 'string' || typeof operation.path !== 'string')
      throw badRequest('a JSON patch is a list of {"op": …, "path": …}');
    apply(root, operation as unknown as Operation);
  }
  return root[''];
}

function apply(root: Json, { op, path, from, value }: Operation) {
  switch (op) {
    case 'add':
      return add(root, path, clone(value), op);
    case 'remove':
      remove(root, path, op);
      return;
    case 'replace':
      remove(root, path, op);
      return add(root, path, clone(value), op);
    case 'move': {
      if (from !== undefined && path.startsWith(`${from}/`)) throw refused(`move operation: cannot move ${from} into itself`);
      return add(root, path, remove(root, from ?? '', op), op);
    }
    case 'copy': {
      const { holder, last } = locate(root, from ?? '', op);
      return add(root, path, clone(member(holder, last, from ?? '', op)), op);
    }
    case 'test': {
      const { holder, last } = locate(root, path, op);
      const found = Array.isArray(holder)
        ? holder[index(last, holder, path, op)]
        : Object.hasOwn(holder, last)
          ? holder[last]
          : undefined;
      if (!jsonEqual(found ?? null, value ?? null)) throw refused(`testing path ${path} failed`);
      return;
    }
    default:
      throw refused(`Unexpected kind: ${op}`);
  }
}

type Holder = Json | unknown[];

function locate(root: Json, path: string, op: string): { holder: Holder; last: string } {
  if (path !== '' && !path.startsWith('/')) throw refused(`${op} operation: "${path}" does not begin with "/"`);
  const steps =
    path === ''
      ? ['']
      : [
          '',
          ...path
            .slice(1)
            .split('/')
            .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~')),
        ];
  const last = steps.pop()!;
  let holder: unknown = root;
  for (const step of steps) holder = member(holder as Holder, step, path, op);
  if (typeof holder !== 'object' || holder === null) throw missing(path, op);
  return { holder: holder as Holder, last };
}

const missing = (path: string, op: string): ApiError =>
  refused(`${op} operation does not apply: doc is missing path: "${path}": missing value`);

function index(step: string, list: unknown[], path: string, op: string, end = list.length - 1): number {
  if (step === '-') return list.length;
  if (!/^(0|[1-9]\d*)$/.test(step) || Number(step) > end)
    throw refused(`${op} operation does not apply: doc is missing path: "${path}": invalid index`);
  return Number(step);
}

function member(holder: Holder, step: string, path: string, op: string): unknown {
  if (typeof holder !== 'object' || holder === null) throw missing(path, op);
  if (Array.isArray(holder)) return holder[index(step, holder, path, op)];
  if (!Object.hasOwn(holder, step)) throw missing(path, op);
  return holder[step];
}

function add(root: Json, path: string, value: unknown, op: string): void {
  const { holder, last } = locate(root, path, op);
  if (Array.isArray(holder)) holder.splice(index(last, holder, path, op, holder.length), 0, value ?? null);
  else setOwn(holder, last, value ?? null);
}

function remove(root: Json, path: string, op: string): unknown {
  const { holder, last } = locate(root, path, op);
  const found = member(holder, last, path, op);
  if (Array.isArray(holder)) holder.splice(index(last, holder, path, op), 1);
  else delete holder[last];
  return found;
}
