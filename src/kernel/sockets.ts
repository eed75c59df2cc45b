import net from 'node:net';
import type { IpAddr } from '../net/ip.ts';
import { check, errnoName, KernelError } from './errors.ts';
import { Fd } from './fd.ts';
import type { NetNs } from './netns.ts';
import { patience } from './patience.ts';
import { afInet, afInet6, type Endpoint, endpointOf, sockaddr, sockaddrLength } from './sockaddr.ts';
import {
  setBuffers,
  setFamilyOption,
  setOption,
  sockCloexec,
  sockDgram,
  sockNonblock,
  sockStream,
  takeError,
} from './socket-options.ts';
import { errno, sys } from './sys.ts';

interface Common {
  /** Bind to an address that is on no interface (yet). */
  freebind?: boolean;
  /** Bind to foreign addresses and take what TPROXY delivers; needs CAP_NET_ADMIN. */
  transparent?: boolean;
  /** Several sockets share the port; the kernel spreads over them. */
  reusePort?: boolean;
  /** `::` takes IPv6 only; true by default, so that both families can be bound separately. */
  v6only?: boolean;
}

export interface ListenOptions extends Common {
  /** Connections waiting to be accepted, at most net.core.somaxconn. */
  backlog?: number;
}

export interface UdpOptions extends Common {
  receiveBufferBytes?: number;
  sendBufferBytes?: number;
  /** Tell the address a datagram came to (DatagramBatch answers from it). */
  packetInfo?: boolean;
  /** Blocking, for a thread that does nothing but receive; otherwise non-blocking. */
  blocking?: boolean;
}

/** Makes a socket in a namespace, where it stays for its life. */
export function socketIn(ns: NetNs | undefined, address: IpAddr, type: number, protocol: number, what: string): Fd {
  const domain = address.family === 'ipv4' ? afInet : afInet6;
  const make = (): number => sys.socket(domain, type | sockCloexec, protocol);
  return Fd.own(
    check(() => `open ${what}`, ns ? ns.enter(make) : make()),
    what,
  );
}

/** Closes the socket when what is done to it fails. */
export function orClose<T>(fd: Fd, configure: (number: number) => T): T {
  try {
    return configure(fd.number);
  } catch (error) {
    fd.close();
    throw error;
  }
}

function setCommon(fd: number, address: IpAddr, options: Common): void {
  if (options.freebind) setFamilyOption(fd, address.family, 'freebind', 1);
  if (options.transparent) setFamilyOption(fd, address.family, 'transparent', 1);
  if (options.reusePort) setOption(fd, 'reusePort', 1);
  if (address.family === 'ipv6') setOption(fd, 'v6only', (options.v6only ?? true) ? 1 : 0);
}

export function bindTo(fd: number, address: IpAddr, port: number, what: string): void {
  const name = sockaddr(address, port);
  const bound = sys.bind(fd, name, name.length);
  if (bound === 0) return;
  const code = errnoName(errno());
  const extack = code === 'EADDRINUSE' ? 'something listens there already' : undefined;
  throw new KernelError(`bind ${what}`, code, { extack });
}

const endpointText = (address: IpAddr, port: number): string =>
  address.family === 'ipv4' ? `${address}:${port}` : `[${address}]:${port}`;

/**
 * A listening TCP socket born in a namespace. The caller owns the descriptor: give it to `server.listen({ fd })`, which takes it over.
 * @param port 0 lets the kernel choose; see `localEndpoint`
 * @throws KernelError EADDRINUSE, EADDRNOTAVAIL, EACCES
 */
export function listenTcp(ns: NetNs | undefined, address: IpAddr, port: number, options: ListenOptions = {}): number {
  const what = `TCP ${endpointText(address, port)}`;
  const fd = socketIn(ns, address, sockStream | sockNonblock, 0, what);
  orClose(fd, (number) => {
    setOption(number, 'reuseAddress', 1);
    setCommon(number, address, options);
    bindTo(number, address, port, what);
    check(() => `listen on ${what}`, sys.listen(number, options.backlog ?? 511));
  });
  return fd.disown();
}

/**
 * A bound UDP socket born in a namespace. The caller owns the descriptor: give it to `socket.bind({ fd })` of node:dgram, which takes it over,
 * or receive with a DatagramBatch.
 */
export function bindUdp(ns: NetNs | undefined, address: IpAddr, port: number, options: UdpOptions = {}): number {
  const what = `UDP ${endpointText(address, port)}`;
  const fd = socketIn(ns, address, sockDgram | (options.blocking ? 0 : sockNonblock), 0, what);
  orClose(fd, (number) => {
    setCommon(number, address, options);
    setBuffers(number, { receiveBytes: options.receiveBufferBytes, sendBytes: options.sendBufferBytes });
    if (options.packetInfo) setFamilyOption(number, address.family, 'packetInfo', 1);
    bindTo(number, address, port, what);
  });
  return fd.disown();
}

/** The address and port that a socket is bound to. */
export function localEndpoint(fd: number): Endpoint {
  const name = Buffer.alloc(sockaddrLength);
  const length = Buffer.from([sockaddrLength, 0, 0, 0]);
  check('getsockname', sys.getsockname(fd, name, length));
  const endpoint = endpointOf(name);
  if (!endpoint) throw new KernelError('getsockname', 'EAFNOSUPPORT');
  return endpoint;
}

export interface ConnectOptions {
  /** The address to come from; it must be one of the namespace's. */
  source?: IpAddr;
  timeoutMs: number;
  allowHalfOpen?: boolean;
  /** Told the own address and port once the SYN is out: known also of a connection that fails. */
  onStart?(local: Endpoint): void;
}

/** What net.Socket takes but its types do not name. */
interface SocketOptions extends net.SocketConstructorOpts {
  manualStart: boolean;
}

/**
 * Connects from inside a namespace without blocking anything.
 * @returns a socket that is connected and paused: nothing is read until 'data' or 'readable' is listened for
 * @throws KernelError ECONNREFUSED, ETIMEDOUT (also after `timeoutMs`), EHOSTUNREACH, ENETUNREACH, EADDRNOTAVAIL
 */
export async function connectTcp(
  ns: NetNs | undefined,
  address: IpAddr,
  port: number,
  options: ConnectOptions,
): Promise<net.Socket> {
  const { source, timeoutMs, allowHalfOpen = false } = options;
  const what = `TCP to ${endpointText(address, port)}${source ? ` from ${source}` : ''}`;
  const fd = socketIn(ns, address, sockStream | sockNonblock, 0, what);
  orClose(fd, (number) => {
    if (source) {
      if (source.family === 'ipv4') setOption(number, 'bindAddressNoPort', 1);
      bindTo(number, source, 0, what);
    }
    const name = sockaddr(address, port);
    if (sys.connect(number, name, name.length) < 0 && errnoName(errno()) !== 'EINPROGRESS') check(() => `connect ${what}`, -1);
    options.onStart?.(localEndpoint(number));
    // An ICMP error that comes while connect() still holds the socket (a REJECT on this machine is that fast) is kept as a soft error (tcp_v4_err) that wakes
    // nobody: only reading it tells before the SYN is sent again, a second later.
    const early = takeError(number);
    if (early) throw new KernelError(`connect ${what}`, errnoName(early));
  });
  const socketOptions: SocketOptions = { fd: fd.disown(), manualStart: true, readable: true, writable: true, allowHalfOpen };
  const socket = new net.Socket(socketOptions);
  return new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException): void => {
      stop();
      socket.destroy();
      reject(new KernelError(`connect ${what}`, error.code ?? 'EIO', { cause: error }));
    };
    const stop = patience(timeoutMs, () => fail(Object.assign(new Error(`no answer for ${timeoutMs} ms`), { code: 'ETIMEDOUT' })));
    socket.once('error', fail);
    // Writing nothing completes when the socket becomes writable, that is connected, or fails with the connection's error.
    socket.write('', (error) => {
      if (error) return; // 'error' follows
      stop();
      socket.off('error', fail);
      resolve(socket);
    });
  });
}
