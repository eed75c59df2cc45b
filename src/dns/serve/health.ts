import { type Answerer, serveHttp } from '../../unix/http.ts';

export interface DnsStatus {
  ready: boolean;
  /** Each kind of object that is watched: in sync, and why not. */
  sources: { kind: string; synced: boolean; objects: number; error?: string }[];
  names: number;
  upstreams: { server: string; looping: boolean }[];
  upstreamFault?: string;
  listen: string[];
  metrics: object;
}

/**
 * `/ready` (200 or 503), `/health` (200 while the process lives) and `/status` (JSON) on a unix socket for root. Of two processes that share the port,
 * the later one answers.
 */
export const serveHealth = (
  path: string,
  status: () => DnsStatus,
  more: Readonly<Record<string, Answerer>> = {},
): Promise<AsyncDisposable> =>
  serveHttp(
    path,
    {
      ...more,
      '/ready': () => (status().ready ? { body: 'ok' } : { code: 503, body: 'not in sync with the API server yet' }),
      '/health': () => ({ body: 'ok' }),
      '/status': () => ({ body: status() }),
    },
    { takeOver: true },
  );
