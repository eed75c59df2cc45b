import { createServer, type Server, type Socket } from 'node:net';
import { standInHttp } from './http.ts';
import { standInHttp2 } from './http2.ts';
import { whoAmILine } from './identity.ts';
import { clientText, endsOf, type Owner, outerOf, setOwner } from './owner.ts';
import { type Protocol, sniff } from './sniff.ts';
import { endTls } from './tls.ts';

export interface TcpTimes {
  /** From a client's first byte to the end of its first request's header. */
  firstRequestMs: number;
  /** Raw connections without traffic, also those that never said anything. */
  idleMs: number;
}

export const defaultTcpTimes: TcpTimes = { firstRequestMs: 10_000, idleMs: 300_000 };
const maxConnections = 512;

/** Speaks whatever the client speaks. One for all stand-ins; `serve` makes the cheap part, one for each port. */
export class StandInTcp {
  readonly #times: TcpTimes;
  readonly #deadlines = new WeakMap<Socket, NodeJS.Timeout>();
  readonly #http = standInHttp((socket) => this.#requested(socket));
  readonly #http2 = standInHttp2((socket) => this.#requested(socket));

  constructor(times: TcpTimes = defaultTcpTimes) {
    this.#times = times;
  }

  /**
   * Takes over a listening socket.
   * @param opened called with each connection, so that its container can close it
   */
  serve(fd: number, owner: Owner, opened: (socket: Socket) => void): Server {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: false }, (socket) => {
      opened(socket);
      setOwner(socket, owner);
      // Resets and the like end a connection, never more than it.
      socket.on('error', () => socket.destroy());
      socket.setTimeout(this.#times.idleMs, () => socket.destroy());
      this.#converse(socket, owner, socket, false);
    });
    server.maxConnections = maxConnections;
    server.listen({ fd });
    return server;
  }

  /** Reads until it is clear what the client speaks, puts the bytes back and hands over. */
  #converse(socket: Socket, owner: Owner, outer: Socket, inTls: boolean): void {
    let seen: Buffer = Buffer.alloc(0);
    const decide = (protocol: Protocol): void => {
      socket.off('data', onData);
      socket.off('end', onEnd);
      socket.pause();
      if (seen.length > 0) socket.unshift(seen);
      this.#handOver(socket, protocol, owner, outer, inTls);
    };
    const onData = (bytes: Buffer): void => {
      if (!this.#deadlines.has(outer)) this.#startDeadline(outer);
      seen = seen.length === 0 ? bytes : Buffer.concat([seen, bytes]);
      const protocol = sniff(seen);
      if (protocol) decide(protocol === 'tls' && inTls ? 'other' : protocol);
    };
    const onEnd = (): void => {
      // It said less than enough and wants no more than an answer.
      socket.off('data', onData);
      if (seen.length === 0) socket.end();
      else socket.end(Buffer.concat([this.#introduce(socket, owner), seen]));
    };
    socket.on('data', onData);
    socket.once('end', onEnd);
  }

  #handOver(socket: Socket, protocol: Protocol, owner: Owner, outer: Socket, inTls: boolean): void {
    if (protocol === 'http1') {
      this.#http.emit('connection', socket);
      process.nextTick(() => socket.resume());
    } else if (protocol === 'http2') {
      this.#http2.emit('connection', socket);
    } else if (protocol === 'tls') {
      endTls(socket, (inner) => {
        setOwner(inner, owner, outer);
        this.#converse(inner, owner, outer, true);
      });
    } else {
      this.#requested(outer);
      socket.write(this.#introduce(socket, owner, inTls));
      // Ends its side when the client has ended the other.
      socket.pipe(socket);
    }
  }

  #introduce(socket: Socket, owner: Owner, inTls = false): Buffer {
    const ends = endsOf(socket, inTls ? 'TLS' : 'TCP');
    owner.log.request(() => `${clientText(ends)} ${ends.protocol} connection, answered and echoed`);
    return Buffer.from(`${whoAmILine(owner.spec, ends)}\n`);
  }

  #startDeadline(socket: Socket): void {
    const timer = setTimeout(() => socket.destroy(), this.#times.firstRequestMs);
    timer.unref();
    this.#deadlines.set(socket, timer);
    socket.once('close', () => clearTimeout(timer));
  }

  /** The first request is complete: the connection may live. */
  #requested(socket: Socket): void {
    clearTimeout(this.#deadlines.get(outerOf(socket)));
  }
}
