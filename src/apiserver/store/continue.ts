import { badRequest } from '../errors.ts';
import type { Position } from './shelf.ts';

/** Where a list goes on: at which version, after which object. */
export interface Continue {
  version: number;
  after: Position;
}

/** Opaque to clients. */
export const continueToken = ({ version, after }: Continue): string =>
  Buffer.from(JSON.stringify({ v: 'podnet/v1', rv: version, start: [after.namespace, after.name] })).toString('base64url');

/** @throws ApiError 400 */
export function readContinueToken(token: string): Continue {
  try {
    const { v, rv, start } = JSON.parse(Buffer.from(token, 'base64url').toString('utf8')) as {
      v?: unknown;
      rv?: unknown;
      start?: unknown[];
    };
    const [namespace, name] = start ?? [];
    if (v === 'podnet/v1' && Number.isSafeInteger(rv) && typeof namespace === 'string' && typeof name === 'string')
      return { version: rv as number, after: { namespace, name } };
  } catch {
    // Below: whatever is wrong with it, the answer is the same.
  }
  throw badRequest('continue key is not valid: it is none of this server');
}
