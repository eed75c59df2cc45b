import { performance } from 'node:perf_hooks';
import { KernelError } from '../kernel/errors.ts';
import { Fd } from '../kernel/fd.ts';
import type { NetNs } from '../kernel/netns.ts';
import { type PathError, ProbeSocket } from '../kernel/probes.ts';
import { bindUdp, connectTcp, listenTcp } from '../kernel/sockets.ts';
import type { IpAddr } from '../net/ip.ts';
import { tcpReason } from './station.ts';

export interface Destination {
  protocol: 'tcp' | 'udp';
  address: IpAddr;
  port: number;
}

/** One try to reach a port. */
export interface Dialled {
  /** Own port, from which the connection tracking knows it; undefined when nothing could be sent. */
  sourcePort?: number;
  /** errno; undefined when TCP connected, or a datagram was sent. */
  failed?: string;
  /** In words. */
  reason?: string;
}

/** Nothing that a server could take for a request. */
const datagram = Buffer.from('\n');

/** Connects and hangs up, or sends one datagram and does not wait for what comes. */
export async function dial(ns: NetNs, to: Destination, timeoutMs: number): Promise<Dialled> {
  return to.protocol === 'tcp' ? dialTcp(ns, to, timeoutMs) : dialUdp(ns, to);
}

async function dialTcp(ns: NetNs, { address, port }: Destination, timeoutMs: number): Promise<Dialled> {
  let sourcePort: number | undefined;
  try {
    const socket = await connectTcp(ns, address, port, { timeoutMs, onStart: (local) => (sourcePort = local.port) });
    socket.on('error', () => undefined);
    socket.destroy();
    return { sourcePort };
  } catch (error) {
    return { sourcePort, ...failureOf(error) };
  }
}

function dialUdp(ns: NetNs, { address, port }: Destination): Dialled {
  using socket = ProbeSocket.udp(ns, address.family);
  const sourcePort = socket.local.port;
  try {
    socket.send(datagram, address, port);
    return { sourcePort };
  } catch (error) {
    return { sourcePort, ...failureOf(error) };
  }
}

const failureOf = (error: unknown): { failed: string; reason: string } => ({
  failed: error instanceof KernelError ? error.errno : 'EIO',
  reason: tcpReason(error),
});

/** What a port says that nobody answers: `refused`, `silent`, or in words what else came. */
export async function refusal(ns: NetNs, to: Destination, timeoutMs: number): Promise<string> {
  if (to.protocol === 'udp') return refusalOfUdp(ns, to, timeoutMs);
  const { failed, reason } = await dialTcp(ns, to, timeoutMs);
  if (failed === undefined) return 'a connection';
  return failed === 'ECONNREFUSED' ? 'refused' : failed === 'ETIMEDOUT' ? 'silent' : (reason ?? failed);
}

async function refusalOfUdp(ns: NetNs, { address, port }: Destination, timeoutMs: number): Promise<string> {
  using socket = ProbeSocket.udp(ns, address.family);
  let failed: string | undefined;
  try {
    socket.send(datagram, address, port);
  } catch (error) {
    // REJECT on the way out fails the call itself (EPERM); the ICMP error comes all the same.
    failed = failureOf(error).failed;
  }
  const end = performance.now() + timeoutMs;
  for (;;) {
    const error = socket.receiveError();
    if (error) return textOf(error);
    if (socket.receive()) return 'an answer';
    const left = end - performance.now();
    if (left <= 0) return failed === undefined || failed === 'EPERM' ? 'silent' : failed;
    await socket.ready(Math.ceil(left));
  }
}

const textOf = ({ errno, offender }: PathError): string =>
  errno === 'ECONNREFUSED' ? 'refused' : `${errno}, said by ${offender ?? 'this kernel'}`;

/** Whether some socket of the namespace has the port: then a refusal did not come from the one who should answer. */
export function isTaken(ns: NetNs, { protocol, address, port }: Destination): boolean {
  try {
    using _free = Fd.own(protocol === 'tcp' ? listenTcp(ns, address, port) : bindUdp(ns, address, port), 'free port');
    return false;
  } catch (error) {
    if (error instanceof KernelError && error.errno === 'EADDRINUSE') return true;
    throw error;
  }
}
