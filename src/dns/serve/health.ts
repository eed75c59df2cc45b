import type { CustomStatus } from '../custom/custom.ts';
import type { ForwardCounters } from '../forward/counters.ts';
import type { Description } from '../forward/describe.ts';
import type { LimitCounters } from '../limits/limits.ts';
import { type Answerer, serveHttp } from '../../unix/http.ts';

export interface DnsStatus {
  ready: boolean;
  /** Each kind of object that is watched: in sync, and why not. */
  sources: { kind: string; synced: boolean; objects: number; error?: string }[];
  names: number;
  upstreams: Description[];
  limits: LimitCounters & { clients: string };
  /** What the cache of forwarded answers holds, and what happened. */
  cache?: { entries: number; denials: number; bytes: number; mostBytes: number; underWay: number; waiting: number };
  forward?: ForwardCounters;
  upstreamFault?: string;
  listen: string[];
  metrics: object;
  /** Entries set by hand. */
  custom?: CustomStatus;
}

/**
 * `/ready` (200 or 503), `/health` (200 while the process lives) and `/status` (JSON) on a unix socket for root.
 * @param socket its path, or a descriptor that listens already (`serveHttp`)
 */
export const serveHealth = (
  socket: string | { fd: number },
  status: () => DnsStatus,
  more: Readonly<Record<string, Answerer>> = {},
): Promise<AsyncDisposable> =>
  serveHttp(
    socket,
    {
      ...more,
      '/ready': () => (status().ready ? { body: 'ok' } : { code: 503, body: 'not in sync with the API server yet' }),
      '/health': () => ({ body: 'ok' }),
      '/status': () => ({ body: status() }),
    },
    { takeOver: true },
  );
