import { createSocket } from 'node:dgram';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NetNs } from '../../kernel/netns.ts';
import { bindUdp, connectTcp } from '../../kernel/sockets.ts';
import { IpAddr } from '../../net/ip.ts';

export interface Question {
  from: NetNs;
  source?: string;
  to: string;
  port: number;
  protocol: 'tcp' | 'udp';
}

/** Asks an `Echo` once, by as many packets as the time allows. @returns whether it answered within the time */
export function reaches({ from, source, to, port, protocol }: Question, timeoutMs: number): Promise<boolean> {
  const address = IpAddr.parse(to);
  const own = source === undefined ? undefined : IpAddr.parse(source);
  return protocol === 'tcp' ? byTcp(from, own, address, port, timeoutMs) : byUdp(from, own, address, port, timeoutMs);
}

async function byTcp(ns: NetNs, source: IpAddr | undefined, to: IpAddr, port: number, timeoutMs: number): Promise<boolean> {
  try {
    const socket = await connectTcp(ns, to, port, { timeoutMs, ...(source ? { source } : {}) });
    socket.destroy();
    return true;
  } catch {
    return false;
  }
}

async function byUdp(ns: NetNs, source: IpAddr | undefined, to: IpAddr, port: number, timeoutMs: number): Promise<boolean> {
  const socket = createSocket(to.family === 'ipv4' ? 'udp4' : 'udp6');
  socket.bind({ fd: bindUdp(ns, source ?? IpAddr.unspecified(to.family), 0) });
  let answered = false;
  socket.on('message', (_, { address }) => {
    if (IpAddr.parse(address).equals(to)) answered = true;
  });
  socket.on('error', () => {});
  for (const end = performance.now() + timeoutMs; !answered && performance.now() < end; ) {
    socket.send('?', port, to.toString());
    await sleep(50);
  }
  socket.close();
  return answered;
}
