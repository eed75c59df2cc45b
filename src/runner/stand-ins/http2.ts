import { createServer, type Http2Server, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { clientText, endsOf, type Owner, ownerOf } from './owner.ts';
import { page } from './page.ts';

const healthService = '/grpc.health.v1.Health/';
/** grpc.health.v1.HealthCheckResponse { status: SERVING } in a length-prefixed message of gRPC. */
const serving = Buffer.from([0, 0, 0, 0, 2, 0x08, 0x01]);
const unimplemented = '12';
const idleMs = 60_000;

/** One HTTP/2 server for the connections of all stand-ins: `emit('connection', socket)`. */
export function standInHttp2(firstRequest: (socket: Socket) => void): Http2Server {
  const server = createServer({ settings: { maxConcurrentStreams: 100 } });
  server.on('session', (session) => {
    session.setTimeout(idleMs, () => session.close());
    session.on('error', () => session.destroy());
  });
  server.on('sessionError', () => {});
  server.on('stream', (stream, headers) => {
    stream.on('error', () => stream.destroy());
    const socket = stream.session?.socket as Socket | undefined;
    const owner = socket && ownerOf(socket);
    if (!socket || !owner) return stream.close();
    firstRequest(socket);
    answer(stream, headers, socket, owner);
  });
  return server;
}

function answer(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, socket: Socket, owner: Owner): void {
  const path = headers[':path'] ?? '/';
  const grpc = headers['content-type']?.startsWith('application/grpc') ?? false;
  const ends = endsOf(socket, grpc ? 'gRPC' : 'HTTP/2.0');
  stream.resume();
  let outcome = '200';
  if (!grpc) {
    const { contentType, body } = page(owner, path, headers.accept ?? '', ends);
    stream.respond({
      ':status': 200,
      'content-type': contentType,
      'content-length': Buffer.byteLength(body),
      server: 'podnet-stand-in',
    });
    stream.end(headers[':method'] === 'HEAD' ? '' : body);
  } else if (path === `${healthService}Check`) {
    outcome = 'SERVING';
    checkHealth(stream);
  } else if (path === `${healthService}Watch`) {
    outcome = 'SERVING, watching';
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
    // Stays open: the status never changes.
    stream.write(serving);
  } else {
    outcome = 'UNIMPLEMENTED';
    const { namespace, name } = owner.spec.pod;
    const message = `podnet stand-in for ${owner.spec.image} in pod ${namespace}/${name} has no method ${path}`;
    // Trailers only, as the gRPC protocol over HTTP/2 has it for an immediate error.
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': unimplemented, 'grpc-message': encodeURI(message) },
      { endStream: true },
    );
  }
  owner.log.request(() => `${clientText(ends)} ${headers[':method']} ${path.slice(0, 200)} ${ends.protocol} ${outcome}`);
}

function checkHealth(stream: ServerHttp2Stream): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.end(serving);
}
