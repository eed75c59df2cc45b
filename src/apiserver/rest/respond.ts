import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { ApiError } from '../../kube/api.ts';
import { toStatus } from '../errors.ts';

/** Where answers to one request go. */
export interface Answer {
  response: ServerResponse;
  warnings: string[];
}

const warningHeader = (text: string): string => `299 - "${text.replace(/[\\"]/g, '\\$&').replace(/[\r\n]+/g, ' ')}"`;

export function headers({ warnings }: Answer, contentType = 'application/json'): Record<string, string | string[]> {
  return {
    'content-type': contentType,
    'cache-control': 'no-cache, private',
    'audit-id': randomUUID(),
    ...(warnings.length > 0 && { warning: [...new Set(warnings)].map(warningHeader) }),
  };
}

export function sendJson(answer: Answer, code: number, value: unknown): void {
  sendBytes(answer, code, Buffer.from(JSON.stringify(value)));
}

export function sendBytes(answer: Answer, code: number, body: Buffer, contentType?: string): void {
  answer.response.writeHead(code, { ...headers(answer, contentType), 'content-length': body.length });
  answer.response.end(body);
}

export function sendText({ response }: Answer, code: number, text: string): void {
  response.writeHead(code, { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' }).end(text);
}

/** Any failure as a Status. What is no ApiError is a fault of ours. */
export function sendError(answer: Answer, error: unknown, log: (text: string) => void): void {
  const known = asApiError(error, log);
  const { response } = answer;
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const retryAfter = (known.details as { retryAfterSeconds?: number } | undefined)?.retryAfterSeconds;
  if (retryAfter) response.setHeader('retry-after', String(retryAfter));
  if (known.code === 413) response.setHeader('connection', 'close');
  sendJson(answer, known.code, toStatus(known));
}

export function asApiError(error: unknown, log: (text: string) => void): ApiError {
  if (error instanceof ApiError) return error;
  log(`internal error: ${(error as Error)?.stack ?? String(error)}`);
  return new ApiError(500, 'InternalError', `Internal error occurred: ${(error as Error)?.message ?? String(error)}`, {
    causes: [{ message: (error as Error)?.message ?? String(error) }],
  });
}
