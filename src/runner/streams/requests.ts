import { type ContainerRef, type LogOptions, type PodRef, StreamError } from './backend.ts';
import type { StreamSet } from './session.ts';

/** What a URL of the streaming server asks for. */
export type StreamRequest =
  | { kind: 'logs'; ref: ContainerRef; query: URLSearchParams }
  | { kind: 'exec' | 'attach'; ref: ContainerRef; query: URLSearchParams }
  | { kind: 'portForward'; ref: PodRef; query: URLSearchParams };

/** Kubelet's paths. Undefined: not one of ours. @throws StreamError when one of ours is malformed */
export function parseRequest(url: string): StreamRequest | undefined {
  const { pathname, searchParams: query } = new URL(url, 'http://node');
  const [, kind = '', ...rest] = pathname.split('/');
  if (kind !== 'containerLogs' && kind !== 'exec' && kind !== 'attach' && kind !== 'portForward') return undefined;
  let names: string[];
  try {
    names = rest.map(decodeURIComponent);
  } catch (cause) {
    throw new StreamError(400, `the path ${pathname} is not properly escaped`, { cause });
  }
  const [namespace = '', pod = '', container = ''] = names;
  const wanted = kind === 'portForward' ? 2 : 3;
  if (names.length !== wanted || names.includes(''))
    throw new StreamError(400, `expected /${kind}/<namespace>/<pod>${wanted === 3 ? '/<container>' : ''}, got ${pathname}`);
  if (kind === 'portForward') return { kind, ref: { namespace, pod }, query };
  return { kind: kind === 'containerLogs' ? 'logs' : kind, ref: { namespace, pod, container }, query };
}

/** As Kubernetes reads booleans from queries: anything but absent, `0` and `false` is true. */
function flag(query: URLSearchParams, ...names: string[]): boolean {
  const value = names.map((name) => query.get(name)).find((text) => text !== null);
  return value !== undefined && value !== null && value !== '0' && value.toLowerCase() !== 'false';
}

/** @throws StreamError 400 when no stream is asked for. */
export function parseStreams(query: URLSearchParams): StreamSet {
  const tty = flag(query, 'tty');
  // The core API says stdin, stdout, stderr; kubelet's own paths say input, output, error.
  const [stdin, stdout] = [flag(query, 'stdin', 'input'), flag(query, 'stdout', 'output')];
  const stderr = flag(query, 'stderr', 'error') && !tty;
  if (!stdin && !stdout && !stderr) throw new StreamError(400, 'you must specify at least 1 of stdin, stdout, stderr');
  return { stdin, stdout, stderr, tty };
}

function count(query: URLSearchParams, name: string, minimum: number): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  const value = Number(text);
  if (!/^[+-]?\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new StreamError(400, `${name}: "${text}" is no whole number`);
  if (value < minimum)
    throw new StreamError(400, `${name}: Invalid value: ${value}: must be greater than or equal to ${minimum}`);
  return value;
}

/** `PodLogOptions` from a query. @throws StreamError 400 */
export function parseLogOptions(query: URLSearchParams): LogOptions {
  const sinceSeconds = count(query, 'sinceSeconds', 1);
  const timeText = query.get('sinceTime') || undefined;
  const sinceTime = timeText === undefined ? undefined : new Date(timeText);
  if (sinceTime && Number.isNaN(sinceTime.getTime())) throw new StreamError(400, `sinceTime: "${timeText}" is no RFC 3339 time`);
  if (sinceTime && sinceSeconds !== undefined)
    throw new StreamError(400, 'at most one of `sinceTime` or `sinceSeconds` may be specified');
  const tailText = query.get('tailLines');
  return {
    follow: flag(query, 'follow'),
    previous: flag(query, 'previous'),
    timestamps: flag(query, 'timestamps'),
    sinceSeconds,
    sinceTime,
    // kubectl says -1 for all.
    tailLines: tailText === '-1' ? undefined : count(query, 'tailLines', 0),
    limitBytes: count(query, 'limitBytes', 1),
  };
}
