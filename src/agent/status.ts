import { once } from 'node:events';
import { lstatSync, mkdirSync, rmSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import type { OwnerStatus } from '../reconcile/reconciler.ts';

/** What `GET /status` answers. */
export interface AgentStatus {
  node: string;
  families: readonly string[];
  /** Empty until the node has some. */
  podCidrs: string[];
  addresses: string[];
  /** What pods are given at ADD. */
  podMtu?: number;
  attach: string;
  /** Pods can be attached. */
  ready: boolean;
  /** Why not. */
  why?: string;
  /** Each kind of object that is watched: in sync, and why not. */
  sources: { kind: string; synced: boolean; objects: number; error?: string }[];
  reconciler: {
    pending: number;
    done: number;
    error: number;
    errors: { owner: string; why: string; sinceMs: number }[];
    /** Since the start. */
    syncs: number;
    fullChecks: number;
    operations: number;
    /** What others changed of podnet's own, as last seen. */
    lastDrift?: string;
  };
  attachments: number;
  leases: { prefix: string; used: number; free: number }[];
  /** Whether this node's own DNS answers; absent when it is not watched. */
  dnsAnswered?: boolean;
  staleUdpDeleted: number;
  problems: string[];
  memoryMb: number;
}

/** Owners by state, with the errors in words. */
export function summarize(
  statuses: ReadonlyMap<string, OwnerStatus>,
): Pick<AgentStatus['reconciler'], 'pending' | 'done' | 'error' | 'errors'> {
  const counts = { pending: 0, done: 0, error: 0, errors: [] as AgentStatus['reconciler']['errors'] };
  for (const [owner, status] of statuses) {
    counts[status.state]++;
    if (status.state === 'error') counts.errors.push({ owner, why: status.why, sinceMs: status.since });
  }
  return counts;
}

/**
 * HTTP on a unix socket for root: `/status` (JSON), `/readyz` (200 or 503 with the reason), `/livez`. A socket that a dead agent left is replaced.
 */
export async function serveStatus(file: string, status: () => AgentStatus): Promise<AsyncDisposable> {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  if (lstatSync(file, { throwIfNoEntry: false })?.isSocket()) rmSync(file, { force: true });
  const server = http.createServer((request, response) => {
    const answer = (code: number, body: string, type = 'text/plain'): void =>
      void response.writeHead(code, { 'content-type': type, connection: 'close' }).end(`${body}\n`);
    if (request.url === '/livez') answer(200, 'ok');
    else if (request.url === '/readyz') {
      const { ready, why } = status();
      answer(ready ? 200 : 503, ready ? 'ok' : (why ?? 'not ready'));
    } else if (request.url === '/status') answer(200, JSON.stringify(status(), undefined, 2), 'application/json');
    else answer(404, 'ask for /status, /readyz or /livez');
  });
  const umask = process.umask(0o177);
  try {
    server.listen(file);
    await once(server, 'listening');
  } finally {
    process.umask(umask);
  }
  return {
    async [Symbol.asyncDispose](): Promise<void> {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
