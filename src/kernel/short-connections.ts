import type { IpAddr } from '../net/ip.ts';
import { check } from './errors.ts';
import { sockaddr } from './sockaddr.ts';
import { setOption } from './socket-options.ts';
import { sys } from './sys.ts';

// include/linux/socket.h, include/uapi/asm-generic/socket.h
const [afInet, afInet6, sockStreamCloexec, solSocket, soLinger] = [2, 10, 1 | 0o2000000, 1, 13] as const;

/**
 * TCP connections that live for a moment, one after the other in this thread, to servers behind a listener of this very process: all of the kernel's work on their packets is
 * done inside of the calls. Both ends are closed with a reset, so that nobody waits in TIME_WAIT.
 */
export class ShortConnections {
  readonly #listener: number;
  readonly #source: Buffer;
  readonly #family: number;
  readonly #linger: Buffer;

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
    const fd = check('socket', sys.socket(this.#family, sockStreamCloexec, 0));
    sys.setsockopt(fd, solSocket, soLinger, this.#linger, 8);
    if (port === 0) setOption(fd, 'bindAddressNoPort', 1);
    this.#source.writeUInt16BE(port, 2);
    check('bind', sys.bind(fd, this.#source, this.#source.length));
    const start = performance.now();
    check('connect', sys.connect(fd, target, target.length));
    const took = performance.now() - start;
    const peer = check('accept', sys.accept4(this.#listener, null, null, 0));
    sys.close(fd);
    sys.close(peer);
    return took;
  }
}
