import { once } from 'node:events';
import net from 'node:net';
import type { Metrics } from '../metrics.ts';
import type { Pipeline } from '../pipeline.ts';
import { ClientAddress } from '../wire/client.ts';
import { tcpBytes } from '../wire/constants.ts';

export interface TcpLimits {
  /** All connections of one listening socket, and those of one client. */
  connections: number;
  connectionsPerClient: number;
  /** Questions of one connection that wait for resolvers; no more is read until one is answered. */
  waiting: number;
  /** Without a whole question for so long, a connection is closed (RFC 7766 6.2.3). */
  idleMs: number;
  /** Answers that the client does not fetch: no more is read above this. */
  unsentBytes: number;
}

const defaults: TcpLimits = { connections: 1024, connectionsPerClient: 64, waiting: 64, idleMs: 10_000, unsentBytes: 1 << 18 };

/**
 * Answers on a listening TCP socket (RFC 7766): several questions one behind the other, answered as they become ready.
 * @param fd owned from now on
 */
export async function serveTcp(
  fd: number,
  pipeline: Pipeline,
  metrics: Metrics,
  limits: Partial<TcpLimits> = {},
): Promise<AsyncDisposable> {
  const all = { ...defaults, ...limits };
  const perClient = new Map<string, number>();
  const connections = new Set<Connection>();
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    const client = socket.remoteAddress ?? '';
    const of = perClient.get(client) ?? 0;
    if (connections.size >= all.connections || of >= all.connectionsPerClient) {
      metrics.tcpRefused++;
      socket.resetAndDestroy();
      return;
    }
    metrics.tcpConnections++;
    perClient.set(client, of + 1);
    const connection = new Connection(socket, pipeline, all);
    connections.add(connection);
    socket.on('close', () => {
      connections.delete(connection);
      const left = (perClient.get(client) ?? 1) - 1;
      if (left > 0) perClient.set(client, left);
      else perClient.delete(client);
    });
  });
  server.listen({ fd });
  await once(server, 'listening');
  // A connection that could not be accepted, e.g. for want of descriptors (EMFILE), must not end the process.
  server.on('error', () => metrics.tcpRefused++);
  return {
    async [Symbol.asyncDispose](): Promise<void> {
      const closed = once(server, 'close');
      server.close();
      for (const connection of connections) connection.end();
      await closed;
    },
  };
}

class Connection {
  readonly #socket: net.Socket;
  readonly #pipeline: Pipeline;
  readonly #limits: TcpLimits;
  readonly #client = new ClientAddress();
  readonly #idle: NodeJS.Timeout;
  #received: Buffer = Buffer.alloc(0);
  #waiting = 0;
  #ended = false;

  constructor(socket: net.Socket, pipeline: Pipeline, limits: TcpLimits) {
    this.#socket = socket;
    this.#pipeline = pipeline;
    this.#limits = limits;
    this.#client.setText(socket.remoteAddress ?? '');
    // Bytes alone do not count: one that sends a byte now and then would stay for ever.
    this.#idle = setTimeout(() => socket.destroy(), limits.idleMs);
    socket.on('close', () => clearTimeout(this.#idle));
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => {
      this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
      this.#answer();
    });
    socket.on('drain', () => this.#answer());
    socket.on('end', () => {
      this.#ended = true;
      this.#endWhenDone();
    });
  }

  end(): void {
    this.#socket.destroy();
  }

  #answer(): void {
    let from = 0;
    while (this.#mayRead()) {
      const left = this.#received.length - from;
      const length = left < 2 ? 0 : this.#received.readUInt16BE(from);
      if (left < 2 + length || left < 2) break;
      this.#one(this.#received.subarray(from + 2, from + 2 + length));
      from += 2 + length;
      this.#idle.refresh();
    }
    if (from > 0) this.#received = this.#received.subarray(from);
    if (this.#mayRead()) this.#socket.resume();
    else this.#socket.pause();
    this.#endWhenDone();
  }

  #mayRead(): boolean {
    return this.#waiting < this.#limits.waiting && this.#socket.writableLength < this.#limits.unsentBytes;
  }

  #one(message: Buffer): void {
    const later = () => {
      this.#waiting++;
      return (answer: Buffer): void => {
        this.#waiting--;
        this.#send(answer);
        // Perhaps reading had stopped, or the client has no more to ask.
        if (!this.#socket.destroyed) this.#answer();
      };
    };
    const length = this.#pipeline.answer(message, 0, message.length, 'tcp', scratch, 0, later, this.#client);
    if (length > 0) this.#send(Buffer.from(scratch.subarray(0, length)));
  }

  #send(answer: Buffer): void {
    if (answer.length === 0 || this.#socket.destroyed) return;
    this.#socket.write(Buffer.concat([Buffer.of(answer.length >> 8, answer.length & 0xff), answer]));
  }

  #endWhenDone(): void {
    if (this.#ended && this.#waiting === 0 && this.#mayRead() && !this.#socket.writableEnded) this.#socket.end();
  }
}

/** An answer is made and copied out at once, so one room is enough for all connections. */
const scratch = Buffer.alloc(tcpBytes);
