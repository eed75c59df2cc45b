import net from 'node:net';
import type { Fd } from '../kernel/fd.ts';
import { listenUnix, peerUid, receiveAll, sendNow, watchConnections } from '../kernel/unix-listener.ts';
import { bindForRoot } from '../unix/listen.ts';
import { encodeReply, type Reply } from './envelope.ts';
import { CniError, cniCode } from './errors.ts';

export interface ServerOptions {
  socketPath: string;
  answer(request: Buffer): Promise<Reply>;
  /** Who may call; default root alone. */
  uid?: number;
  /** Most bytes of a request; a GC names every pod of the node. Default 4 MiB. */
  maxRequestBytes?: number;
  /** How long a caller may take to send its request. Default 30 s. */
  receiveTimeoutMs?: number;
}

export interface CniServer {
  /** Stops listening, lets the calls that run end, refuses those that have not said yet what they want (code 11), takes the socket away. */
  close(): Promise<void>;
}

/** The executable sends all it has right after it has connected; whoever takes longer than this for the next part is heard beside others. */
const patienceMs = 1;

/**
 * Listens for the CNI executable. The socket is for root only: a directory of mode 0700, the socket 0600, and the caller's uid is checked
 * besides, since a descriptor can be handed on. A socket that a dead agent left is replaced.
 * @throws Error when another agent answers on it, or when something that is no socket is in the way
 */
export async function startCniServer(options: ServerOptions): Promise<CniServer> {
  const { socketPath } = options;
  const { bound: listener, remove } = await bindForRoot(socketPath, () => listenUnix(socketPath));
  const calls = new Calls(options);
  const watch = watchConnections(listener, (connection) => calls.take(connection));
  return {
    async close() {
      watch[Symbol.dispose]();
      listener.close();
      remove();
      await calls.end();
    },
  };
}

const refusal = (code: number, msg: string): Reply => ({
  exitCode: 1,
  stdout: `${JSON.stringify({ cniVersion: '1.0.0', code, msg })}\n`,
});

class Calls {
  readonly #options: ServerOptions;
  readonly #maximum: number;
  /** Connections whose request is not complete. */
  readonly #receiving = new Set<(reply: Reply) => void>();
  #running = 0;
  #onIdle: (() => void) | undefined;

  constructor(options: ServerOptions) {
    this.#options = options;
    this.#maximum = options.maxRequestBytes ?? 4 << 20;
  }

  /** Most calls are here as a whole when their connection is, and are answered without node's streams: those would take half of the time of an ADD. */
  take(connection: Fd): void {
    this.#running++;
    const uid = peerUid(connection);
    if (uid !== (this.#options.uid ?? 0)) {
      const reply = refusal(
        cniCode.invalidEnvironment,
        `user ${uid ?? 'unknown'} may not use podnet's CNI socket: only root may`,
      );
      this.#finish(connection, reply);
      return;
    }
    try {
      const { bytes, complete } = receiveAll(connection, this.#maximum, patienceMs);
      if (complete) this.#answer(connection, bytes);
      else this.#receiveRest(connection, bytes);
    } catch {
      // The caller is gone.
      connection.close();
      this.#ended();
    }
  }

  /** Refuses whoever has not said yet what it wants. Fulfilled when every call has been answered. */
  end(): Promise<void> {
    for (const refuse of this.#receiving) refuse(refusal(cniCode.tryAgainLater, "podnet's agent is being stopped"));
    return this.#running === 0 ? Promise.resolve() : new Promise((resolve) => (this.#onIdle = resolve));
  }

  #answer(connection: Fd, request: Buffer): void {
    this.#options.answer(request).then(
      (reply) => this.#finish(connection, reply),
      (error: unknown) => {
        const { code, message } = CniError.from(error);
        this.#finish(connection, refusal(code, message));
      },
    );
  }

  #finish(connection: Fd, reply: Reply): void {
    const bytes = encodeReply(reply);
    try {
      const sent = sendNow(connection, bytes);
      if (sent < bytes.length) {
        this.#sendRest(connection, bytes.subarray(sent));
        return;
      }
    } catch {
      // The caller is gone; what it asked for is done.
    }
    connection.close();
    this.#ended();
  }

  #ended(): void {
    this.#running--;
    if (this.#running === 0) this.#onIdle?.();
  }

  #sendRest(connection: Fd, rest: Buffer): void {
    const socket = new net.Socket({ fd: connection.disown(), readable: false, writable: true });
    socket.on('error', () => {});
    socket.on('close', () => this.#ended());
    socket.end(rest);
  }

  #receiveRest(connection: Fd, begun: Buffer): void {
    const socket = new net.Socket({ fd: connection.disown(), allowHalfOpen: true });
    const parts = [begun];
    let size = begun.length;
    let done = false;
    const received = (): void => {
      done = true;
      clearTimeout(timer);
      this.#receiving.delete(refuse);
    };
    const finish = (reply: Reply): void => {
      received();
      socket.end(encodeReply(reply));
    };
    const refuse = (reply: Reply): void => {
      finish(reply);
      socket.resume();
      // The caller reads the answer although it has not written all; do not read on for ever.
      setTimeout(() => socket.destroy(), 1000).unref();
    };
    const limit = this.#options.receiveTimeoutMs ?? 30_000;
    const late = (): void => refuse(refusal(cniCode.decode, `the request was not complete after ${limit / 1000} s`));
    const timer = setTimeout(late, limit);
    this.#receiving.add(refuse);
    socket.on('error', received);
    socket.on('close', () => {
      received();
      this.#ended();
    });
    const check = (): void => {
      if (size > this.#maximum) refuse(refusal(cniCode.decode, `the request has more than ${this.#maximum} bytes`));
    };
    check();
    socket.on('data', (part: Buffer) => {
      if (done) return;
      size += part.length;
      parts.push(part);
      check();
    });
    socket.on('end', () => {
      if (done) return;
      received();
      this.#options.answer(Buffer.concat(parts)).then(finish, (error: unknown) => {
        const { code, message } = CniError.from(error);
        finish(refusal(code, message));
      });
    });
  }
}
