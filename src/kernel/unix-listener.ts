import { check, errnoName, KernelError } from './errors.ts';
import { Fd } from './fd.ts';
import { type DatagramWatch, watchDatagrams } from './readiness.ts';
import { msgDontwait, sockCloexec, sockNonblock, sockStream } from './socket-options.ts';
import { errno, sys } from './sys.ts';

const afUnix = 1;
const backlog = 511;
/** Out of descriptors or memory: whoever waits is taken up a little later, rather than the processor for ever. */
const restMs = 100;
const pollin = 1;
const msgNosignal = 0x4000;

/** A name that unix(7) takes, with its NUL. */
export function sockaddrUn(path: string): Buffer {
  const bytes = Buffer.from(path);
  const name = Buffer.alloc(2 + bytes.length + 1);
  name.writeUInt16LE(afUnix, 0);
  bytes.copy(name, 2);
  return name;
}

/** A listening stream socket with a name in the file system, whose file is the caller's to remove. @throws KernelError, e.g. EADDRINUSE */
export function listenUnix(path: string): Fd {
  const fd = Fd.own(
    check('open a unix socket', sys.socket(afUnix, sockStream | sockCloexec | sockNonblock, 0)),
    `listener ${path}`,
  );
  try {
    const name = sockaddrUn(path);
    check(() => `bind a unix socket to ${path}`, sys.bind(fd.number, name, name.length));
    check(() => `listen on ${path}`, sys.listen(fd.number, backlog));
    return fd;
  } catch (error) {
    fd.close();
    throw error;
  }
}

/**
 * Accepts connections without a thread and without node's streams, which cost a short exchange more than all else in it. libuv watches what it takes for a
 * datagram socket: reading from one that listens fails at once (EINVAL), which is the sign.
 * @param onConnection owns the descriptor, which is non-blocking
 * @returns stops accepting; the listener stays the caller's
 */
export function watchConnections(listener: Fd, onConnection: (connection: Fd) => void): Disposable {
  let watch: DatagramWatch | undefined;
  let timer: NodeJS.Timeout | undefined;
  const begin = (): void => {
    watch = watchDatagrams(listener.number, { onDatagram: () => {}, onFailedRead: take });
  };
  // One in each turn: what the first asks for is done before the second is heard, or all would wait for the last. libuv tells again of those that still wait.
  const take = (): void => {
    const number = sys.accept4(listener.number, null, null, sockCloexec | sockNonblock);
    if (number >= 0) {
      onConnection(Fd.own(number, 'accepted connection'));
      return;
    }
    const name = errnoName(errno());
    if (name === 'EAGAIN' || name === 'EINTR' || name === 'ECONNABORTED') return;
    watch?.[Symbol.dispose]();
    watch = undefined;
    timer = setTimeout(again, restMs);
  };
  // Watching takes a descriptor itself, and there may be none (F47).
  const again = (): void => {
    try {
      begin();
    } catch {
      timer = setTimeout(again, restMs);
    }
  };
  begin();
  return {
    [Symbol.dispose](): void {
      clearTimeout(timer);
      watch?.[Symbol.dispose]();
    },
  };
}

const received = Buffer.from(new ArrayBuffer(1 << 16));
const pollFd = Buffer.from(new ArrayBuffer(8));

/**
 * What a peer has sent up to now. One that is about to send more is waited for, the whole thread with it, for a moment.
 * @param patienceMs for each wait
 * @returns whether the peer has said that this is all
 * @throws KernelError, e.g. ECONNRESET
 */
export function receiveAll(connection: Fd, maximum: number, patienceMs: number): { bytes: Buffer; complete: boolean } {
  const parts: Buffer[] = [];
  for (let size = 0; size <= maximum; ) {
    const length = sys.recv(connection.number, received, received.length, msgDontwait);
    if (length === 0) return { bytes: join(parts), complete: true };
    if (length > 0) {
      size += length;
      parts.push(Buffer.from(received.subarray(0, length)));
      continue;
    }
    const name = errnoName(errno());
    if (name === 'EINTR') continue;
    if (name !== 'EAGAIN') throw new KernelError('receive from a unix socket', name);
    pollFd.writeInt32LE(connection.number, 0);
    pollFd.writeInt32LE(pollin, 4);
    if (sys.poll(pollFd, 1, patienceMs) <= 0) break;
  }
  return { bytes: join(parts), complete: false };
}

const join = (parts: readonly Buffer[]): Buffer => (parts.length === 1 ? parts[0]! : Buffer.concat(parts));

/** Sends what the socket takes at once. @returns how many bytes; all of them but for a peer that does not read. @throws KernelError, e.g. EPIPE */
export function sendNow(connection: Fd, bytes: Buffer): number {
  for (;;) {
    const sent = sys.send(connection.number, bytes, bytes.length, msgDontwait | msgNosignal);
    if (sent >= 0) return sent;
    const name = errnoName(errno());
    if (name === 'EAGAIN') return 0;
    if (name !== 'EINTR') throw new KernelError('send to a unix socket', name);
  }
}

const credentials = Buffer.alloc(12);
const credentialsLength = Buffer.alloc(4);

/**
 * The user at the other end when it connected (SO_PEERCRED, struct ucred of include/linux/socket.h).
 * Undefined when it cannot be told, which callers must take for a stranger.
 */
export function peerUid(connection: Fd): number | undefined {
  credentialsLength.writeUInt32LE(credentials.length);
  const got = sys.getsockopt(connection.number, 1 /* SOL_SOCKET */, 17 /* SO_PEERCRED */, credentials, credentialsLength);
  return got === 0 ? credentials.readUInt32LE(4) : undefined;
}
