import { once } from 'node:events';
import http from 'node:http';

/** Connections at once: those who scrape are few. */
const mostConnections = 16;

/**
 * `/metrics` over TCP for Prometheus; nothing else is told there.
 * @param fd listens; owned from now on
 */
export async function serveMetrics(fd: number, text: () => string): Promise<AsyncDisposable> {
  const server = http.createServer((request, response) => {
    const known = request.method === 'GET' && (request.url === '/metrics' || request.url === '/');
    if (!known) response.writeHead(404).end('ask for /metrics\n');
    else response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }).end(`${text()}\n`);
  });
  server.maxConnections = mostConnections;
  server.requestTimeout = 10_000;
  server.listen({ fd });
  await once(server, 'listening');
  return {
    async [Symbol.asyncDispose](): Promise<void> {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
