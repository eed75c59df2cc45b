import { once } from 'node:events';
import { connectTcp } from '../../kernel/sockets.ts';
import type { Message, Question } from '../wire/message.ts';
import { Connection } from './connection.ts';
import { ExchangeError, reasonOf } from './errors.ts';
import { type Upstream, upstreamText } from './target.ts';
import type { TlsConnector } from './tls.ts';
import type { Surroundings } from './udp.ts';

/** Above so many questions on all connections another one is made, up to so many; beyond, they share. */
const waitingPerConnection = 64;
const mostConnections = 4;
/** Short enough that resolvers, which have many clients, have no reason to close first; long enough to be used again. */
const idleMs = 8000;
/** RFC 8467 4.1 */
const padTo = 128;

/** Connections to one resolver, made when needed and used again (RFC 7766 6.2.1). */
export class ConnectionPool {
  readonly #upstream: Upstream;
  readonly #tls: TlsConnector;
  readonly #surroundings: Surroundings;
  readonly #connections = new Set<Connection>();
  #connecting: Promise<Connection> | undefined;
  #closed = false;
  /** Connections made, and questions that found one ready. */
  made = 0;
  reused = 0;

  constructor(upstream: Upstream, tls: TlsConnector, surroundings: Surroundings) {
    this.#upstream = upstream;
    this.#tls = tls;
    this.#surroundings = surroundings;
  }

  get open(): number {
    return this.#connections.size;
  }

  /** @throws ExchangeError */
  async ask(question: Question, options: { timeoutMs: number; edns: boolean }): Promise<Message> {
    const deadline = performance.now() + options.timeoutMs;
    for (;;) {
      const ready = this.#ready();
      if (ready) this.reused++;
      const connection = ready ?? (await this.#connect(deadline - performance.now()));
      const left = deadline - performance.now();
      if (left <= 0) throw this.#error('timeout');
      try {
        return await connection.ask(question, { ...options, timeoutMs: left });
      } catch (error) {
        // The resolver closed one that had been idle: that says nothing of this question (RFC 7766 6.2.4).
        if (!(error instanceof ExchangeError) || !ready || connection.open || this.#closed) throw error;
        if (error.reason === 'timeout' || error.reason === 'malformed') throw error;
      }
    }
  }

  close(): void {
    this.#closed = true;
    for (const connection of [...this.#connections]) connection.close('closed');
  }

  #ready(): Connection | undefined {
    let best: Connection | undefined;
    for (const connection of this.#connections) if (!best || connection.waiting < best.waiting) best = connection;
    return best && (best.waiting < waitingPerConnection || this.#connections.size >= mostConnections) ? best : undefined;
  }

  /** One at a time: who else needs one waits for it. */
  #connect(timeoutMs: number): Promise<Connection> {
    this.#connecting ??= this.#make(Math.max(timeoutMs, 100)).finally(() => {
      this.#connecting = undefined;
    });
    return this.#connecting;
  }

  async #make(timeoutMs: number): Promise<Connection> {
    const { netns, counters, underWay } = this.#surroundings;
    const { address, port, protocol } = this.#upstream;
    const canceled = new AbortController();
    const cancel = (): void => canceled.abort();
    underWay.add(cancel);
    const timer = setTimeout(cancel, timeoutMs);
    try {
      const socket = await connectTcp(netns, address, port, { timeoutMs });
      socket.setNoDelay(true);
      let stream: import('node:stream').Duplex = socket;
      if (protocol === 'tls') {
        try {
          stream = this.#tls.connect(socket, this.#upstream);
          await once(stream, 'secureConnect', { signal: canceled.signal });
        } catch (error) {
          stream.on('error', () => {}).destroy();
          socket.destroy();
          throw error;
        }
      }
      if (this.#closed) {
        socket.destroy();
        throw this.#error('closed');
      }
      this.made++;
      const connection: Connection = new Connection(stream, {
        ...{ server: upstreamText(this.#upstream), counters, idleMs },
        ...(protocol === 'tls' ? { padTo } : {}),
        onClose: () => this.#connections.delete(connection),
      });
      this.#connections.add(connection);
      return connection;
    } catch (error) {
      if (error instanceof ExchangeError) throw error;
      const what = protocol === 'tls' ? 'tls' : 'tcp';
      throw this.#error(`${what} ${(error as Error).name === 'AbortError' ? 'timeout' : reasonOf(error)}`, error);
    } finally {
      clearTimeout(timer);
      underWay.delete(cancel);
    }
  }

  #error(reason: string, cause?: unknown): ExchangeError {
    return new ExchangeError(upstreamText(this.#upstream), reason, { cause });
  }
}
