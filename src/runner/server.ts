import { createServer, type Server } from 'node:http';
import { listenForRoot } from '../unix/listen.ts';
import type { RunnerPod } from './config.ts';
import type { StreamBackend } from './streams/backend.ts';
import type { StreamHandlers } from './streams/server.ts';

/** Kubelet's streaming paths and `GET /pods` on a unix socket for root only. */
export async function serve(socketPath: string, backend: StreamBackend, pods: () => RunnerPod[]): Promise<Server> {
  // Loaded with the first request for one: WebSockets and SPDY are much code, and most nodes never hear of them.
  let loaded: Promise<StreamHandlers> | undefined;
  const streams = (): Promise<StreamHandlers> =>
    (loaded ??= import('./streams/server.ts').then(({ streamHandlers }) => streamHandlers(backend)));
  const server = createServer(async (request, response) => {
    if (request.method === 'GET' && request.url === '/pods')
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(pods()));
    else if (!(await streams()).request(request, response))
      response.writeHead(404, { 'content-type': 'text/plain' }).end('404 page not found');
  });
  server.on('upgrade', async (request, socket, head) => {
    // The client may go while it waits; what it sends meanwhile stays in the socket.
    socket.on('error', () => {});
    if (!(await streams()).upgrade(request, socket, head))
      socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
  });
  await listenForRoot(server, socketPath);
  return server;
}
