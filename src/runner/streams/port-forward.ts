import type { Duplex } from 'node:stream';
import type { PodRef, StreamBackend } from './backend.ts';
import { SpdyConnection, type SpdyStream } from './spdy/connection.ts';

export const portForwardProtocol = 'portforward.k8s.io';
/** The same, its SPDY frames in WebSocket messages (KEP-4006). */
export const tunnelProtocol = `SPDY/3.1+${portForwardProtocol}`;

/** The second stream of a pair has this long to come. */
const pairMs = 30_000;

interface Pair {
  error?: SpdyStream;
  data?: SpdyStream;
  timer: NodeJS.Timeout;
}

/** Serves forwarded connections until the client goes: each is a pair of streams (error, data) with one `requestid` and a `port`. */
export function servePortForward(transport: Duplex, head: Buffer, ref: PodRef, backend: StreamBackend): Promise<void> {
  const pairs = new Map<string, Pair>();
  const opened = (stream: SpdyStream): void => {
    const type = stream.headers.get('streamtype');
    // Clients of 2015 sent no id; theirs are pairs by order: error, then data.
    const id = stream.headers.get('requestid') ?? String(type === 'error' ? stream.id : stream.id - 2);
    let pair = pairs.get(id);
    if (!pair) {
      pair = { timer: setTimeout(() => drop(id), pairMs) };
      pairs.set(id, pair);
    }
    if ((type !== 'error' && type !== 'data') || pair[type]) {
      stream.destroy();
      return;
    }
    pair[type] = stream;
    if (!pair.error || !pair.data) return;
    clearTimeout(pair.timer);
    pairs.delete(id);
    void forward(ref, backend, pair.error, pair.data);
  };
  const drop = (id: string): void => {
    const pair = pairs.get(id);
    if (!pair) return;
    clearTimeout(pair.timer);
    pairs.delete(id);
    pair.error?.destroy();
    pair.data?.destroy();
  };
  const connection = new SpdyConnection(transport, head, opened);
  return connection.closed.then(() => {
    for (const id of [...pairs.keys()]) drop(id);
  });
}

async function forward(ref: PodRef, backend: StreamBackend, error: SpdyStream, data: SpdyStream): Promise<void> {
  const text = data.headers.get('port') ?? error.headers.get('port') ?? '';
  const port = Number(text);
  error.resume();
  const fail = (reason: string): void => {
    error.end(`error forwarding port ${text} to pod ${ref.pod}: ${reason}`);
    data.resume();
    data.end();
  };
  if (!/^\d+$/.test(text) || port < 1 || port > 65535) return fail(`"${text}" is no port`);
  let socket: Duplex;
  try {
    socket = await backend.portForward(ref, port);
  } catch (cause) {
    return fail((cause as Error).message);
  }
  socket.on('error', (cause) => error.end(`error forwarding port ${text} to pod ${ref.pod}: ${cause.message}`));
  // Each direction ends by itself; the first that breaks takes the other along.
  data.pipe(socket).pipe(data);
  socket.once('close', () => {
    data.end();
    data.resume();
    error.end();
  });
  data.once('close', () => socket.destroy());
}
