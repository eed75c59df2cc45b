import { ApiError } from './api.ts';
import { jsonEqual } from './objects.ts';

type Table = Record<string, unknown>;
const isTable = (value: unknown): value is Table => typeof value === 'object' && value !== null && !Array.isArray(value);

/** RFC 7386. Gives a new value; shares what did not change. */
export function jsonMergePatch(target: unknown, patch: unknown): unknown {
  if (!isTable(patch)) return patch;
  const result: Table = isTable(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else if (value !== undefined) result[name] = jsonMergePatch(result[name], value);
  }
  return result;
}

/** RFC 6902: add, remove, replace, test (move and copy nobody sends). Changes and returns the target. @throws ApiError 422 */
export function jsonPatch(target: unknown, operations: unknown): unknown {
  const root = { value: target };
  for (const { op, path, value } of operations as { op: string; path: string; value?: unknown }[]) {
    const steps = [
      'value',
      ...path
        .split('/')
        .slice(1)
        .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~')),
    ];
    const last = steps.pop()!;
    let at: unknown = root;
    for (const step of steps) at = typeof at === 'object' && at !== null ? (at as Table)[step] : undefined;
    const refuse = (why: string): never => {
      throw new ApiError(422, 'Invalid', `the server rejected our request due to an error in our request: ${op} ${path}: ${why}`);
    };
    if (typeof at !== 'object' || at === null) return refuse('no such path');
    const holder = at as Table;
    if (op === 'test') {
      if (!jsonEqual(holder[last], value)) refuse('the test failed');
    } else if (op === 'add') {
      if (Array.isArray(at)) at.splice(last === '-' ? at.length : Number(last), 0, value);
      else holder[last] = value;
    } else if (!(last in holder)) refuse('no such path');
    else if (op === 'replace') holder[last] = value;
    else if (op === 'remove') {
      if (Array.isArray(at)) at.splice(Number(last), 1);
      else delete holder[last];
    } else refuse('unknown operation');
  }
  return root.value;
}
