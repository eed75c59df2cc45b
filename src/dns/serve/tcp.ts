import { closeSync } from 'node:fs';
import net from 'node:net';
import { duplicate } from '../../kernel/pass-fds.ts';
import type { Metrics } from '../metrics.ts';
import type { Pipeline } from '../pipeline.ts';
import { ClientAddress } from '../wire/client.ts';
import { tcpBytes } from '../wire/constants.ts';
import { type Service, UnderWay } from './service.ts';

export interface TcpLimits {
  /** All connections of one listening socket: one more takes the place of the one that has been silent for longest. And those of one client. */
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

/** Answers on a listening TCP socket (RFC 7766): several questions one behind the other, answered as they become ready. */
export class TcpService implements Service {
  readonly #fd: number;
  readonly #pipeline: Pipeline;
  readonly #metrics: Metrics;
  readonly #limits: TcpLimits;
  readonly #perClient = new Map<string, number>();
  readonly #connections = new Set<Connection>();
  readonly #underWay = new UnderWay();
  #server: net.Server | undefined;
  #closed = false;

  /** @param fd owned from now on */
  constructor(fd: number, pipeline: Pipeline, metrics: Metrics, limits: Partial<TcpLimits> = {}) {
    this.#fd = fd;
    this.#pipeline = pipeline;
    this.#metrics = metrics;
    this.#limits = { ...defaults, ...limits };
  }

  start(): void {
    if (this.#server || this.#closed) return;
    const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
    // A connection that could not be accepted, e.g. for want of descriptors (EMFILE), must not end the process.
    server.on('error', () => this.#metrics.tcpRefused++);
    // libuv closes what it is given.
    server.listen({ fd: duplicate(this.#fd) });
    this.#server = server;
    for (const connection of this.#connections) connection.goOn();
  }

  /** Connections that are there get the answers that they wait for, and end then. */
  stop(): void {
    this.#server?.close();
    this.#server = undefined;
    for (const connection of this.#connections) connection.endSoon();
  }

  drained(): Promise<void> {
    return this.#underWay.none();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#server?.close();
    this.#server = undefined;
    for (const connection of this.#connections) connection.end();
    await this.drained();
    closeSync(this.#fd);
  }

  /** Many who say nothing must not keep out those who ask (RFC 7766 6.2.3). @returns whether there was one */
  #endSilent(): boolean {
    for (const connection of this.#connections) {
      if (!connection.isSilent) continue;
      this.#connections.delete(connection);
      connection.end();
      this.#metrics.tcpRefused++;
      return true;
    }
    return false;
  }

  #accept(socket: net.Socket): void {
    const client = socket.remoteAddress ?? '';
    const of = this.#perClient.get(client) ?? 0;
    const { connections, connectionsPerClient } = this.#limits;
    const isFull = this.#connections.size >= connections;
    if (of >= connectionsPerClient || (isFull && !this.#endSilent())) {
      this.#metrics.tcpRefused++;
      socket.resetAndDestroy();
      return;
    }
    this.#metrics.tcpConnections++;
    this.#perClient.set(client, of + 1);
    this.#underWay.begin();
    const connection = new Connection(socket, this.#pipeline, this.#limits, () => {
      // To the end of the order.
      if (this.#connections.delete(connection)) this.#connections.add(connection);
    });
    this.#connections.add(connection);
    socket.on('close', () => {
      this.#connections.delete(connection);
      const left = (this.#perClient.get(client) ?? 1) - 1;
      if (left > 0) this.#perClient.set(client, left);
      else this.#perClient.delete(client);
      this.#underWay.end();
    });
    // Accepted in the turn in which the service was stopped: what it asks is still answered.
    if (!this.#server) connection.endSoon();
  }
}

/** So long a client that has connected is given to ask when the service stops. */
const firstQuestionMs = 500;

class Connection {
  readonly #onQuestion: () => void;
  readonly #socket: net.Socket;
  readonly #pipeline: Pipeline;
  readonly #limits: TcpLimits;
  readonly #client = new ClientAddress();
  readonly #idle: NodeJS.Timeout;
  #received: Buffer = Buffer.alloc(0);
  #waiting = 0;
  /** The client has no more to ask. */
  #ended = false;
  #ending = false;
  #asked = false;
  #patience: NodeJS.Timeout | undefined;

  constructor(socket: net.Socket, pipeline: Pipeline, limits: TcpLimits, onQuestion: () => void) {
    this.#onQuestion = onQuestion;
    this.#socket = socket;
    this.#pipeline = pipeline;
    this.#limits = limits;
    this.#client.setText(socket.remoteAddress ?? '');
    // Bytes alone do not count: one that sends a byte now and then would stay for ever.
    this.#idle = setTimeout(() => socket.destroy(), limits.idleMs);
    socket.on('close', () => {
      clearTimeout(this.#idle);
      clearTimeout(this.#patience);
    });
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

  /** It has no question that waits for its answer. */
  get isSilent(): boolean {
    return this.#waiting === 0 && this.#socket.writableLength === 0;
  }

  /** Ends when everything that was asked is answered. The question of one who has not asked yet is probably on its way. */
  endSoon(): void {
    this.#ending = true;
    if (this.#asked) this.#endWhenDone();
    else {
      this.#patience = setTimeout(() => {
        this.#asked = true;
        this.#endWhenDone();
      }, firstQuestionMs);
    }
  }

  goOn(): void {
    this.#ending = false;
    clearTimeout(this.#patience);
  }

  #answer(): void {
    let from = 0;
    while (this.#mayRead()) {
      const left = this.#received.length - from;
      const length = left < 2 ? 0 : this.#received.readUInt16BE(from);
      if (left < 2 + length || left < 2) break;
      this.#one(this.#received.subarray(from + 2, from + 2 + length));
      from += 2 + length;
      this.#asked = true;
      this.#idle.refresh();
      this.#onQuestion();
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
    if (answer.length === 0 || this.#socket.destroyed || this.#socket.writableEnded) return;
    this.#socket.write(Buffer.concat([Buffer.of(answer.length >> 8, answer.length & 0xff), answer]));
  }

  #endWhenDone(): void {
    const over = this.#ended || (this.#ending && this.#asked && this.#received.length === 0);
    if (over && this.#waiting === 0 && this.#mayRead() && !this.#socket.writableEnded) this.#socket.end();
  }
}

/** An answer is made and copied out at once, so one room is enough for all connections. */
const scratch = Buffer.alloc(tcpBytes);
