import net from 'node:net';
import { listenForRoot } from '../unix/listen.ts';
import { encodeReply, type Reply } from './envelope.ts';
import { CniError, cniCode } from './errors.ts';
import { peerUid } from './peer.ts';

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

/**
 * Listens for the CNI executable. The socket is for root only: a directory of mode 0700, the socket 0600, and the caller's uid is checked
 * besides, since a descriptor can be handed on. A socket that a dead agent left is replaced.
 * @throws Error when another agent answers on it, or when something that is no socket is in the way
 */
export async function startCniServer(options: ServerOptions): Promise<CniServer> {
  const { socketPath } = options;
  /** Of the connections whose request is not complete. */
  const receiving = new Set<(code: number, msg: string) => void>();
  const server = net.createServer({ allowHalfOpen: true }, (socket) => serve(socket, options, receiving));
  await listenForRoot(server, socketPath);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve()); // node unlinks the socket
        for (const refuse of receiving) refuse(cniCode.tryAgainLater, "podnet's agent is being stopped");
      }),
  };
}

function serve(socket: net.Socket, options: ServerOptions, receiving: Set<(code: number, msg: string) => void>): void {
  const parts: Buffer[] = [];
  let size = 0;
  let done = false;
  const received = (): void => {
    done = true;
    clearTimeout(timer);
    receiving.delete(refuse);
  };
  const finish = (reply: Reply): void => {
    received();
    socket.end(encodeReply(reply));
  };
  const refuse = (code: number, msg: string): void => {
    finish({ exitCode: 1, stdout: `${JSON.stringify({ cniVersion: '1.0.0', code, msg })}\n` });
    socket.resume();
    // The caller reads the answer although it has not written all; do not read on for ever.
    setTimeout(() => socket.destroy(), 1000).unref();
  };
  const limit = options.receiveTimeoutMs ?? 30_000;
  const timer = setTimeout(() => refuse(cniCode.decode, `the request was not complete after ${limit / 1000} s`), limit);
  receiving.add(refuse);
  socket.on('error', received);
  socket.on('close', received);

  const uid = peerUid(socket);
  if (uid !== (options.uid ?? 0)) {
    refuse(cniCode.invalidEnvironment, `user ${uid ?? 'unknown'} may not use podnet's CNI socket: only root may`);
    return;
  }
  const maximum = options.maxRequestBytes ?? 4 << 20;
  socket.on('data', (part: Buffer) => {
    if (done) return;
    size += part.length;
    if (size > maximum) refuse(cniCode.decode, `the request has more than ${maximum} bytes`);
    else parts.push(part);
  });
  socket.on('end', () => {
    if (done) return;
    received();
    options.answer(Buffer.concat(parts)).then(finish, (error: unknown) => {
      const { code, message } = CniError.from(error);
      finish({ exitCode: 1, stdout: `${JSON.stringify({ cniVersion: '1.0.0', code, msg: message })}\n` });
    });
  });
}
