import { createServer, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { clientText, endsOf, ownerOf } from './owner.ts';
import { page } from './page.ts';

const idleMs = 60_000;

/**
 * One HTTP/1 server for the connections of all stand-ins: `emit('connection', socket)`. It never listens itself, so node runs no timer for it.
 * @param firstRequest called for each request: the client has sent a whole header
 */
export function standInHttp(firstRequest: (socket: Socket) => void): Server {
  const server = createServer({ requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: idleMs }, (request, response) => {
    const owner = ownerOf(request.socket);
    if (!owner) return void request.socket.destroy();
    firstRequest(request.socket);
    const { method = 'GET', url = '/', headers } = request;
    const ends = endsOf(request.socket, `HTTP/${request.httpVersion}`);
    const { contentType, body } = page(owner, url, headers.accept ?? '', ends);
    // What was sent is read and forgotten.
    request.resume();
    response.writeHead(200, {
      'content-type': contentType,
      'content-length': Buffer.byteLength(body),
      server: 'podnet-stand-in',
    });
    response.end(body);
    owner.log.request(
      () => `${clientText(ends)} ${method} ${url.slice(0, 200)} ${ends.protocol} 200 "${headers['user-agent'] ?? '-'}"`,
    );
  });
  server.timeout = idleMs;
  return server;
}
