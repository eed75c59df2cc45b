import type { IpAddr } from '../net/ip.ts';
import { check, errnoName } from './errors.ts';
import { sockaddr } from './sockaddr.ts';
import { setOption, sockNonblock } from './socket-options.ts';
import { errno, sys } from './sys.ts';

// include/linux/socket.h, include/uapi/asm-generic/socket.h
const [afInet, afInet6, sockStreamCloexec, solSocket, soLinger] = [2, 10, 1 | 0o2000000, 1, 13] as const;
const [ipprotoTcp, msgNosignal] = [6, 0x4000] as const;

/**
 * TCP connections that live for a moment, one after the other in this thread, to servers behind a listener of this very process: all of the kernel's work on their packets is
 * done inside of the calls. Both ends are closed with a reset, so that nobody waits in TIME_WAIT.
 */
export class ShortConnections {
  readonly #listener: number;
  readonly #source: Buffer;
  readonly #family: number;
  readonly #linger: Buffer;
  readonly #byte = Buffer.alloc(1);

  /** @param listener accepts what is connected, wherever translation leads it; stays the caller's. @param source address of the clients */
  constructor(listener: number, source: IpAddr) {
    this.#listener = listener;
    this.#source = sockaddr(source, 0);
    this.#family = source.family === 'ipv4' ? afInet : afInet6;
    // SO_LINGER of no time.
    this.#linger = Buffer.alloc(8);
    this.#linger.writeInt32LE(1);
  }

  /**
   * In the namespace that this thread is in.
   * @param target as `sockaddr` gives it
   * @param port to come from; the kernel's choice when 0
   * @returns how long connect(2) took, in ms
   * @throws KernelError
   */
  connect(target: Buffer, port = 0): number {
    const fd = this.#socket(port, 0);
    const start = performance.now();
    check('connect', sys.connect(fd, target, target.length));
    const took = performance.now() - start;
    const peer = check('accept', sys.accept4(this.#listener, null, null, 0));
    sys.close(fd);
    sys.close(peer);
    return took;
  }

  /** Like `connect`, with one byte from the client to the server before both close. @throws KernelError */
  exchange(target: Buffer, port = 0): void {
    const fd = this.#socket(port, 0);
    check('connect', sys.connect(fd, target, target.length));
    const peer = check('accept', sys.accept4(this.#listener, null, null, 0));
    check('send', sys.send(fd, this.#byte, 1, 0));
    check('recv', sys.recv(peer, this.#byte, 1, 0));
    sys.close(fd);
    sys.close(peer);
  }

  /** Begins to connect, and gives up at once, whether there was an answer or not. @throws KernelError when not even the first packet could be sent */
  attempt(target: Buffer, port = 0): void {
    const fd = this.#socket(port, sockNonblock);
    if (sys.connect(fd, target, target.length) < 0) {
      const name = errnoName(errno());
      if (name !== 'EINPROGRESS' && name !== 'ECONNREFUSED') check('connect', -1);
    }
    sys.close(fd);
  }

  /** Whether the server has got a connection since it last took one. */
  takeArrived(): boolean {
    const peer = sys.accept4(this.#listener, null, null, 0);
    if (peer >= 0) sys.close(peer);
    return peer >= 0;
  }

  #socket(port: number, flags: number): number {
    const fd = check('socket', sys.socket(this.#family, sockStreamCloexec | flags, 0));
    sys.setsockopt(fd, solSocket, soLinger, this.#linger, 8);
    if (port === 0) setOption(fd, 'bindAddressNoPort', 1);
    this.#source.writeUInt16BE(port, 2);
    check('bind', sys.bind(fd, this.#source, this.#source.length));
    return fd;
  }
}

/** A connection both ends of which are this process's: a byte there and a byte back is one transaction. Owns its descriptors. */
export class RequestResponse implements Disposable {
  readonly #client: number;
  readonly #server: number;
  readonly #byte = Buffer.alloc(1);

  /** In the namespace that this thread is in. @param listener takes what is connected; stays the caller's. @throws KernelError */
  constructor(listener: number, source: IpAddr, target: Buffer) {
    const name = sockaddr(source, 0);
    const family = source.family === 'ipv4' ? afInet : afInet6;
    this.#client = check('socket', sys.socket(family, sockStreamCloexec, 0));
    check('bind', sys.bind(this.#client, name, name.length));
    check('connect', sys.connect(this.#client, target, target.length));
    this.#server = check('accept', sys.accept4(listener, null, null, 0));
    // TCP_NODELAY
    for (const fd of [this.#client, this.#server]) sys.setsockopt(fd, ipprotoTcp, 1, Buffer.from([1, 0, 0, 0]), 4);
  }

  /** @throws KernelError ECONNRESET when it was cut */
  transact(): void {
    check('send', sys.send(this.#client, this.#byte, 1, msgNosignal));
    check('recv', sys.recv(this.#server, this.#byte, 1, 0));
    check('send', sys.send(this.#server, this.#byte, 1, msgNosignal));
    check('recv', sys.recv(this.#client, this.#byte, 1, 0));
  }

  [Symbol.dispose](): void {
    sys.close(this.#client);
    sys.close(this.#server);
  }
}
