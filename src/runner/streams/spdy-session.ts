import type { Duplex } from 'node:stream';
import { type Session, type StreamSet, sizeParser } from './session.ts';
import { SpdyConnection, type SpdyStream } from './spdy/connection.ts';
import { statusText } from './status.ts';

/** Values of X-Stream-Protocol-Version, the best first. */
export const spdyCommandProtocols = ['v4.channel.k8s.io', 'v3.channel.k8s.io', 'v2.channel.k8s.io', 'channel.k8s.io'] as const;

/** How long the client has to open all its streams; kubelet gives it as much. */
const openMs = 30_000;

/**
 * Waits until the client has opened the streams it asked for: one for errors, the standard ones, from v3 on one for resizing with a tty.
 * @throws Error when it does not
 */
export function spdySession(transport: Duplex, head: Buffer, protocol: string, want: StreamSet): Promise<Session> {
  const versioned = /^v[34]\./.test(protocol);
  const names = [
    'error',
    want.stdin && 'stdin',
    want.stdout && 'stdout',
    want.stderr && 'stderr',
    want.tty && versioned && 'resize',
  ];
  const expected = new Set(names.filter((name) => typeof name === 'string'));
  const streams = new Map<string, SpdyStream>();

  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => fail(), openMs);
    const fail = (): void => {
      clearTimeout(timer);
      connection.close();
      const missing = [...expected].filter((name) => !streams.has(name));
      reject(new Error(`the client did not open its streams ${missing.join(', ')}`));
    };
    const opened = (stream: SpdyStream): void => {
      const name = stream.headers.get('streamtype') ?? '';
      if (!expected.has(name) || streams.has(name)) {
        stream.destroy();
        return;
      }
      streams.set(name, stream);
      if (streams.size < expected.size) return;
      clearTimeout(timer);
      resolve(joined(connection, streams, protocol));
    };
    const connection = new SpdyConnection(transport, head, opened);
    void connection.closed.then(fail);
  });
}

function joined(connection: SpdyConnection, streams: Map<string, SpdyStream>, protocol: string): Session {
  // What is only written must be read all the same, or its end is never seen.
  for (const name of ['error', 'stdout', 'stderr']) streams.get(name)?.resume();
  const end = (stream: SpdyStream | undefined, text?: string): Promise<void> =>
    new Promise((resolve) => {
      if (!stream || stream.destroyed || stream.writableFinished) return resolve();
      stream.once('close', resolve).once('finish', resolve);
      stream.end(text);
    });
  return {
    stdin: streams.get('stdin'),
    stdout: streams.get('stdout'),
    stderr: streams.get('stderr'),
    closed: connection.closed,
    onResize: (listener) => streams.get('resize')?.on('data', sizeParser(listener)),
    async finish(status) {
      await Promise.all([end(streams.get('stdout')), end(streams.get('stderr'))]);
      await end(streams.get('error'), statusText(status, protocol.startsWith('v4.')));
      connection.close();
    },
  };
}
