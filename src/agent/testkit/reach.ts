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

/** Asks an `Echo`, by UDP every 50 ms. @returns whether it answered in so much time in which this process could have heard it */
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
  // Counted in questions, not by the clock: behind each there is a turn to hear the answer in, also where the machine gives this process none for long.
  for (let left = Math.ceil(timeoutMs / 50); !answered && left > 0; left--) {
    socket.send('?', port, to.toString());
    await sleep(50);
  }
  socket.close();
  return answered;
}
