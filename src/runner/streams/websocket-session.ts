import { Readable, Writable } from 'node:stream';
import type { RawData, WebSocket } from 'ws';
import { type Session, type StreamSet, sizeParser } from './session.ts';
import { statusText } from './status.ts';

/** Sub-protocols of exec and attach, the best first; '' is what clients get that name none. */
export const commandProtocols = [
  'v5.channel.k8s.io',
  'v4.channel.k8s.io',
  'v4.base64.channel.k8s.io',
  'channel.k8s.io',
  'base64.channel.k8s.io',
] as const;

const channels = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;

const bufferOf = (data: RawData): Buffer =>
  Array.isArray(data) ? Buffer.concat(data) : data instanceof ArrayBuffer ? Buffer.from(data) : data;

/** The first byte of a message names the channel; in the base64 protocols it is a digit and the rest is base64 text. */
export function webSocketSession(socket: WebSocket, protocol: string, want: StreamSet): Session {
  const base64 = protocol.includes('base64');
  const send = (channel: number, data: Buffer, callback: (error?: Error | null) => void): void => {
    if (socket.readyState !== socket.OPEN) callback(new Error('the client has gone'));
    else if (base64) socket.send(`${channel}${data.toString('base64')}`, callback);
    else socket.send(Buffer.concat([Buffer.from([channel]), data]), { binary: true }, callback);
  };
  const output = (channel: number): Writable =>
    new Writable({ write: (chunk: Buffer, _encoding, callback) => send(channel, chunk, callback) }).on('error', () => {});

  let stdin: Readable | undefined;
  if (want.stdin) stdin = new Readable({ read: () => socket.resume(), highWaterMark: 256 * 1024 }).on('error', () => {});
  let finishing = false;
  let resized: ((chunk: Buffer) => void) | undefined;

  socket.on('message', (raw) => {
    let message = bufferOf(raw);
    if (message.length === 0) return;
    let channel = message[0]!;
    message = message.subarray(1);
    if (base64) {
      channel -= 0x30;
      message = Buffer.from(message.toString('latin1'), 'base64');
    }
    if (channel === channels.stdin && stdin && message.length > 0 && !stdin.readableEnded) {
      // Once the process has ended nobody reads its input, and a paused socket would never see the client's answer to our close.
      if (!finishing && !stdin.push(message)) socket.pause();
    } else if (channel === channels.resize) resized?.(message);
    // Version 5: the client has no more for a channel. It matters for stdin only.
    else if (channel === channels.close && message[0] === channels.stdin) stdin?.push(null);
  });
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => resolve());
    // ws closes the connection after each error by itself.
    socket.on('error', () => {});
  });
  void closed.then(() => stdin?.destroy());

  const session: Session = {
    stdin,
    stdout: want.stdout ? output(channels.stdout) : undefined,
    stderr: want.stderr ? output(channels.stderr) : undefined,
    closed,
    onResize: (listener) => {
      resized = sizeParser(listener);
    },
    async finish(status) {
      const text = statusText(status, /^v[45]\./.test(protocol));
      if (text !== '') await new Promise<void>((resolve) => send(channels.error, Buffer.from(text), () => resolve()));
      finishing = true;
      socket.resume();
      socket.close(1000);
      await closed;
    },
  };
  // Browsers' clients wait for a first message to know that the command runs.
  const first = want.stdout ? channels.stdout : want.stderr ? channels.stderr : channels.error;
  send(first, Buffer.alloc(0), () => {});
  return session;
}
