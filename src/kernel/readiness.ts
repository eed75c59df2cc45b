import dgram from 'node:dgram';
import net from 'node:net';
import { check } from './errors.ts';
import { Fd } from './fd.ts';
import { sockCloexec, sockDgram, sockStream } from './socket-options.ts';
import { sys } from './sys.ts';

// include/uapi/linux/eventpoll.h
const epollCtlAdd = 1;
const epollCtlMod = 3;
const epollin = 0x1;
const epollout = 0x4;
const afUnix = 1;
const afInet = 2;

/** What net.Socket takes but its types do not name. */
interface SocketOptions extends net.SocketConstructorOpts {
  manualStart: boolean;
}

/**
 * Waits, without a thread, until a descriptor of any kind can be read from or written to (a pidfd becomes readable when its process ends). Reads nothing.
 *
 * libuv watches sockets only. So an epoll descriptor that watches `fd` is put in the place of a socket before libuv looks at it: an epoll
 * descriptor is itself readable when what it watches is ready. libuv's read then fails with EINVAL, which is the sign.
 * @returns true when ready, false when `signal` aborted first
 */
export async function waitReady(
  fd: number,
  direction: 'readable' | 'writable' = 'readable',
  signal?: AbortSignal,
): Promise<boolean> {
  if (signal?.aborted) return false;
  const socket = epollSocket(fd, direction === 'readable' ? epollin : epollout);
  return new Promise((resolve) => {
    const abort = (): void => finish(false);
    const finish = (ready: boolean): void => {
      signal?.removeEventListener('abort', abort);
      socket.destroy();
      resolve(ready);
    };
    signal?.addEventListener('abort', abort);
    socket.on('error', () => finish(true));
    socket.resume();
  });
}

/** struct epoll_event: events, then 64 bits of data (packed on x86-64, padded on arm64; unused here). */
function epollEvent(events: number): Buffer {
  const event = Buffer.alloc(16);
  event.writeUInt32LE(events, 0);
  return event;
}

/** An epoll descriptor that is readable when `fd` is ready. */
function epollOn(fd: number, events: number): Fd {
  const epoll = Fd.own(check('epoll_create1', sys.epoll_create1(sockCloexec)), 'epoll');
  try {
    check(() => `watch descriptor ${fd}`, sys.epoll_ctl(epoll.number, epollCtlAdd, fd, epollEvent(events)));
    return epoll;
  } catch (error) {
    epoll.close();
    throw error;
  }
}

function epollSocket(fd: number, events: number): net.Socket {
  using epoll = epollOn(fd, events);
  const pair = Buffer.alloc(8);
  check('socketpair', sys.socketpair(afUnix, sockStream | sockCloexec, 0, pair));
  using _other = Fd.own(pair.readInt32LE(4), 'socketpair');
  // manualStart: a read would register the socket itself with libuv.
  const options: SocketOptions = { fd: pair.readInt32LE(0), manualStart: true, readable: true, writable: false };
  const socket = new net.Socket(options);
  try {
    check('dup3', sys.dup3(epoll.number, pair.readInt32LE(0), sockCloexec));
  } catch (error) {
    socket.destroy();
    throw error;
  }
  return socket;
}

export interface DatagramHandler {
  onDatagram(datagram: Buffer): void;
  /** The socket's pending error, e.g. ENOBUFS on netlink, ECONNREFUSED or EMSGSIZE on UDP. Watching goes on. */
  onError?(error: NodeJS.ErrnoException): void;
  /** In place of `onError` where it need not be known which one it is, without an Error being made, which takes 10 µs. Called for pending errors, or `onError` is. */
  onFailedRead?(): void;
}

export interface DatagramWatch extends Disposable {
  /** Does not keep the process alive. */
  unref(): void;
}

/**
 * Calls back for each datagram of any kind of datagram socket (netlink, raw, UDP), without a thread. The descriptor is duplicated: the caller keeps and
 * closes its own. At most 64 KiB of a datagram are kept.
 */
export function watchDatagrams(fd: number, { onDatagram, onError, onFailedRead }: DatagramHandler): DatagramWatch {
  // node:dgram takes UDP sockets only; it is given one, and the real one is put in its place before libuv watches it.
  const stand = check('socket', sys.socket(afInet, sockDgram | sockCloexec, 0));
  const socket = dgram.createSocket('udp4');
  socket.on('message', onDatagram);
  socket.on('error', (error) => onError?.(error));
  let closed = false;
  socket.bind({ fd: stand, exclusive: true });
  if (onFailedRead) hearFailures(socket, onFailedRead);
  const watch = {
    unref: () => void socket.unref(),
    [Symbol.dispose](): void {
      if (!closed) socket.close();
      closed = true;
    },
  };
  try {
    check('dup3', sys.dup3(fd, stand, sockCloexec));
    setNonblocking(stand);
  } catch (error) {
    watch[Symbol.dispose]();
    throw error;
  }
  return watch;
}

/** What libuv's handle calls: bytes read, or a negative error number. */
interface UdpHandle {
  onmessage?(bytes: number, ...rest: unknown[]): void;
}

/**
 * Goes before node's own listener of the handle, which is no part of its documented interface: where it is not found as it is known, node tells of the failure as
 * an event.
 */
function hearFailures(socket: dgram.Socket, onFailedRead: () => void): void {
  socket.on('error', onFailedRead);
  const own = socket as unknown as Record<symbol, { handle?: UdpHandle } | undefined>;
  const state = Object.getOwnPropertySymbols(socket).find((symbol) => typeof own[symbol]?.handle?.onmessage === 'function');
  const handle = state && own[state]!.handle!;
  if (!handle) return;
  const { onmessage } = handle;
  handle.onmessage = function (this: UdpHandle, bytes, ...rest): void {
    if (bytes < 0) onFailedRead();
    else onmessage!.call(this, bytes, ...rest);
  };
}

export interface ReadableWatch extends DatagramWatch {
  /** Calls back no more until `resume`. */
  pause(): void;
  /** Calls back again, at once when there is something to read. */
  resume(): void;
}

/**
 * Calls back as long as a descriptor can be read from, and leaves the reading to the caller: many small messages are then read at once, into memory of the
 * caller's, where node would make an object and a buffer for each. Without a thread, as `waitReady`.
 */
export function watchReadable(fd: number, onReadable: () => void): ReadableWatch {
  const epoll = epollOn(fd, epollin);
  const set = (events: number): void => {
    check(() => `watch descriptor ${fd}`, sys.epoll_ctl(epoll.number, epollCtlMod, fd, epollEvent(events)));
  };
  try {
    // Reading from what is no socket fails: ENOTSOCK.
    const watch = watchDatagrams(epoll.number, { onDatagram: () => {}, onFailedRead: onReadable });
    return {
      unref: () => watch.unref(),
      pause: () => set(0),
      resume: () => set(epollin),
      [Symbol.dispose](): void {
        watch[Symbol.dispose]();
        epoll.close();
      },
    };
  } catch (error) {
    epoll.close();
    throw error;
  }
}

/** The flag belongs to the open file, so that the caller's descriptor becomes non-blocking as well. */
function setNonblocking(fd: number): void {
  const fGetfl = 3;
  const fSetfl = 4;
  const oNonblock = 0o4000;
  const flags = check('F_GETFL', sys.fcntl(fd, fGetfl, 0));
  check('F_SETFL', sys.fcntl(fd, fSetfl, flags | oNonblock));
}
