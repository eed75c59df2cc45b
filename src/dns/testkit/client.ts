import dgram from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';
import { type Read, read } from './message.ts';

const giveUpMs = 30_000;

/** Sends one datagram from 127.0.0.1 and gives what comes back. @throws when nothing does for thirty seconds */
export async function askRaw(port: number, message: Buffer): Promise<Buffer> {
  const socket = dgram.createSocket('udp4');
  try {
    socket.send(message, port, '127.0.0.1');
    const [answer] = (await once(socket, 'message', { signal: AbortSignal.timeout(giveUpMs) })) as [Buffer];
    return answer;
  } finally {
    socket.close();
  }
}

/** As `askRaw`, read. */
export const askUdp = async (port: number, message: Buffer): Promise<Read> => read(await askRaw(port, message));

/** With the two bytes of length before it (RFC 1035 4.2.2). */
export const framed = (message: Buffer): Buffer => Buffer.concat([Buffer.of(message.length >> 8, message.length & 255), message]);

/** A TCP connection to the server under test. */
export class TcpClient implements Disposable {
  readonly socket: net.Socket;
  /** The server closed the connection, in whatever way. */
  readonly closed: Promise<void>;
  #received: Buffer = Buffer.alloc(0);
  #arrived: (() => void) | undefined;

  constructor(port: number) {
    this.socket = net.connect(port, '127.0.0.1');
    this.socket.on('error', () => {});
    this.closed = new Promise((resolve) => this.socket.on('close', () => resolve()));
    this.socket.on('data', (chunk) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#arrived?.();
    });
  }

  /** The next answer. @throws when the connection ends before it */
  async next(): Promise<Read> {
    for (;;) {
      const length = this.#received.length < 2 ? Number.POSITIVE_INFINITY : 2 + this.#received.readUInt16BE(0);
      if (this.#received.length >= length) {
        const message = Buffer.from(this.#received.subarray(2, length));
        this.#received = this.#received.subarray(length);
        return read(message);
      }
      if (this.socket.destroyed) throw new Error('the connection ended without an answer');
      await new Promise<void>((resolve) => {
        this.#arrived = resolve;
        this.socket.once('close', () => resolve());
      });
    }
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}
