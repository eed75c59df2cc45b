import type { IncomingMessage } from 'node:http';
import type { PatchType } from '../../kube/api.ts';
import type { User } from '../auth/user.ts';
import type { FieldValidation } from '../codec/strict.ts';
import { badRequest, unsupportedMediaType } from '../errors.ts';
import type { WriteRequest } from '../registry/request.ts';
import { FieldErrors } from '../validation/field-errors.ts';

/** As Kubernetes reads booleans from queries: anything but absent, `0` and `false` is true. */
export function flag(query: URLSearchParams, name: string): boolean {
  const text = query.get(name);
  return text !== null && text !== '0' && text.toLowerCase() !== 'false';
}

export function count(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  if (!/^\d{1,15}$/.test(text))
    throw badRequest(`${name}: Invalid value: "${text}": strconv.ParseInt: parsing "${text}": invalid syntax`);
  return Number(text);
}

type OptionsKind = 'CreateOptions' | 'UpdateOptions' | 'PatchOptions' | 'DeleteOptions';

const validations: readonly string[] = ['Ignore', 'Warn', 'Strict'];

/** The part of a write that stands in the query. @throws ApiError 422 */
export function writeRequest(
  kind: OptionsKind,
  query: URLSearchParams,
  request: IncomingMessage,
  user: User,
  warnings: string[],
): WriteRequest & { force: boolean } {
  const errors = new FieldErrors();
  const dryRun = query.getAll('dryRun').filter((text) => text !== '');
  if (dryRun.some((text) => text !== 'All')) errors.notSupported('dryRun', dryRun, ['All']);
  const fieldValidation = query.get('fieldValidation') || 'Warn';
  if (!validations.includes(fieldValidation)) errors.notSupported('fieldValidation', fieldValidation, ['', ...validations]);
  const given = query.get('fieldManager') ?? '';
  if (given.length > 128) errors.tooLong('fieldManager', 128);
  if (!/^[ -~]*$/.test(given)) errors.invalid('fieldManager', given, 'should only contain printable characters');
  const isApply = kind === 'PatchOptions' && patchType(request) === 'apply';
  if (isApply && !given) errors.required('fieldManager', 'is required for apply patch');
  const force = flag(query, 'force');
  if (force && !isApply) errors.forbidden('force', 'may not be specified for non-apply patch');
  if (errors.any) throw errors.toError({ group: 'meta.k8s.io', kind }, '');
  return {
    user,
    fieldManager: given || managerOf(request.headers['user-agent']),
    dryRun: dryRun.length > 0,
    fieldValidation: fieldValidation as FieldValidation,
    duplicates: [],
    warnings,
    force,
  };
}

/** Without a name of their own, writers are called by what stands before the slash of their User-Agent. */
const managerOf = (userAgent = ''): string => (userAgent.split('/')[0] ?? '').replace(/[^ -~]/g, '').slice(0, 128) || 'unknown';

const patchTypes: Readonly<Record<string, PatchType>> = {
  'application/json-patch+json': 'json',
  'application/merge-patch+json': 'merge',
  'application/strategic-merge-patch+json': 'strategic',
  'application/apply-patch+yaml': 'apply',
};

/** @throws ApiError 415 */
export function patchType(request: IncomingMessage): PatchType {
  const type = patchTypes[(request.headers['content-type'] ?? '').split(';')[0]!.trim().toLowerCase()];
  if (!type) throw unsupportedMediaType(Object.keys(patchTypes));
  return type;
}
