import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import type { HTTPGetAction } from '../../kube/types.ts';
import { dialError, failure, type ProbeResult, success } from './result.ts';

const userAgent = 'kube-probe/1.32';
const bodyLimit = 10 * 1024;
const redirectLimit = 10;

/** @throws TypeError when the parts make no URL */
export function probeUrl(action: HTTPGetAction, host: string, port: number): URL {
  const scheme = (action.scheme ?? 'HTTP').toLowerCase();
  const path = action.path ?? '/';
  return new URL(`${scheme}://${isIP(host) === 6 ? `[${host}]` : host}:${port}${path.startsWith('/') ? path : `/${path}`}`);
}

/** As kubelet sets them: its own User-Agent and Accept unless the probe has them; an empty Accept takes it away. Host is the request's host. */
export function probeHeaders(action: HTTPGetAction): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {};
  for (const { name, value } of action.httpHeaders ?? []) {
    const key = name.toLowerCase();
    const before = headers[key];
    if (before === undefined || key === 'host') headers[key] = value;
    else headers[key] = Array.isArray(before) ? [...before, value] : [before, value];
  }
  headers['user-agent'] ??= userAgent;
  if (headers.accept === '') delete headers.accept;
  else headers.accept ??= '*/*';
  return { ...headers, connection: 'close' };
}

/** GET, without verifying certificates, following redirects on the same host: pkg/probe/http of kubelet. Any status of 200 to 399 is success. */
export async function probeHttp(action: HTTPGetAction, host: string, port: number, timeoutMs: number): Promise<ProbeResult> {
  const signal = AbortSignal.timeout(timeoutMs);
  const headers = probeHeaders(action);
  let url = probeUrl(action, host, port);
  try {
    for (let redirects = 0; ; redirects++) {
      const response = await get(url, headers, signal);
      const status = response.statusCode ?? 0;
      const next = redirectOf(response, url);
      if (next && next.hostname === url.hostname) {
        response.destroy();
        if (redirects + 1 >= redirectLimit) return failure(`Get "${next.pathname}": stopped after ${redirectLimit} redirects`);
        url = next;
        continue;
      }
      const body = await bodyOf(response);
      if (status < 200 || status >= 400) return failure(`HTTP probe failed with statuscode: ${status}`);
      if (status >= 300) return { result: 'success', message: `Probe terminated redirects, Response body: ${body}` };
      return success;
    }
  } catch (error) {
    return failure(`Get "${url}": ${whatFailed(error, url, signal.aborted)}`);
  }
}

function get(url: URL, headers: Record<string, string | string[]>, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const common = {
      method: 'GET',
      host,
      port: url.port,
      path: `${url.pathname}${url.search}`,
      headers,
      signal,
      agent: false as const,
    };
    const request: ClientRequest =
      url.protocol === 'https:' ? httpsRequest({ ...common, rejectUnauthorized: false }) : httpRequest(common);
    request.once('response', resolve);
    request.on('error', reject);
    request.end();
  });
}

function redirectOf(response: IncomingMessage, from: URL): URL | undefined {
  const { statusCode = 0, headers } = response;
  if (![301, 302, 303, 307, 308].includes(statusCode) || !headers.location) return undefined;
  try {
    return new URL(headers.location, from);
  } catch {
    return undefined;
  }
}

/** At most `bodyLimit` bytes; the rest is not waited for. */
async function bodyOf(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    parts.push(part);
    length += part.length;
    if (length >= bodyLimit) break;
  }
  return Buffer.concat(parts).subarray(0, bodyLimit).toString();
}

function whatFailed(error: unknown, url: URL, timedOut: boolean): string {
  if (timedOut) return 'context deadline exceeded (Client.Timeout exceeded while awaiting headers)';
  const { code, message } = error as NodeJS.ErrnoException;
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80));
  const inDial = (error as NodeJS.ErrnoException).syscall === 'connect';
  if (inDial) return dialError(error as NodeJS.ErrnoException, url.hostname.replace(/^\[|\]$/g, ''), port);
  if (code === 'ECONNRESET' || code === 'EPIPE') return 'EOF';
  return message;
}
