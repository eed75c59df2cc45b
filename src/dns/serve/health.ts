import { once } from 'node:events';
import { lstatSync, rmSync } from 'node:fs';
import http from 'node:http';

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
 * HTTP on a unix socket: `/ready` (200 or 503), `/health` (200 while the process lives), `/status` (JSON).
 * For root only; a socket that a dead process left is replaced.
 */
export async function serveHealth(path: string, status: () => DnsStatus): Promise<AsyncDisposable> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket()) rmSync(path, { force: true });
  const server = http.createServer((request, response) => {
    const answer = (code: number, body: string, type = 'text/plain'): void =>
      void response.writeHead(code, { 'content-type': type, connection: 'close' }).end(`${body}\n`);
    if (request.url === '/health') answer(200, 'ok');
    else if (request.url === '/ready') {
      const ready = status().ready;
      answer(ready ? 200 : 503, ready ? 'ok' : 'not in sync with the API server yet');
    } else if (request.url === '/status') answer(200, JSON.stringify(status()), 'application/json');
    else answer(404, 'ask for /ready, /health or /status');
  });
  const umask = process.umask(0o177);
  try {
    server.listen(path);
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
