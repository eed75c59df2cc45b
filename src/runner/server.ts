import { createServer, type Server } from 'node:http';
import { listenForRoot } from '../unix/listen.ts';
import type { RunnerPod } from './config.ts';
import type { StreamBackend } from './streams/backend.ts';
import { streamHandlers } from './streams/server.ts';

/** Kubelet's streaming paths and `GET /pods` on a unix socket for root only. */
export async function serve(socketPath: string, backend: StreamBackend, pods: () => RunnerPod[]): Promise<Server> {
  const streams = streamHandlers(backend);
  const server = createServer((request, response) => {
    if (request.method === 'GET' && request.url === '/pods')
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(pods()));
    else if (!streams.request(request, response)) response.writeHead(404, { 'content-type': 'text/plain' }).end('404 page not found');
  });
  server.on('upgrade', (request, socket, head) => {
    if (!streams.upgrade(request, socket, head)) socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
  });
  await listenForRoot(server, socketPath);
  return server;
}
