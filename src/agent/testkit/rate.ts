import { createSocket } from 'node:dgram';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NetNs } from '../../kernel/netns.ts';
import { bindUdp, connectTcp, listenTcp } from '../../kernel/sockets.ts';
import { IpAddr } from '../../net/ip.ts';

/** What TCP makes of the way from one namespace to an address in another: payload bits a second, once it is under way. */
export async function tcpRate(from: NetNs, to: NetNs, address: string, port: number, ms = 1000): Promise<number> {
  const target = IpAddr.parse(address);
  let received = 0;
  // The last words of a connection may never arrive.
  const accepted: net.Socket[] = [];
  const server = net.createServer((socket) => {
    accepted.push(socket);
    socket.on('error', () => {});
    socket.on('data', (data) => {
      received += data.length;
    });
  });
  server.listen({ fd: listenTcp(to, IpAddr.unspecified(target.family), port) });
  const socket = await connectTcp(from, target, port, { timeoutMs: 5000 });
  socket.on('error', () => {});
  const chunk = Buffer.alloc(64 << 10);
  const more = (): void => {
    while (!socket.destroyed && socket.write(chunk));
  };
  socket.on('drain', more);
  more();
  try {
    return await rateOf(() => received, ms);
  } finally {
    socket.destroy();
    for (const one of accepted) one.destroy();
    server.close();
  }
}

/** The same of datagrams that are sent at a rate (bits a second) whether they arrive or not. */
export async function udpRate(from: NetNs, to: NetNs, address: string, port: number, sent: number, ms = 1000): Promise<number> {
  const target = IpAddr.parse(address);
  const any = IpAddr.unspecified(target.family);
  const type = target.family === 'ipv4' ? 'udp4' : 'udp6';
  const [sender, receiver] = [createSocket(type), createSocket(type)];
  let received = 0;
  receiver.on('message', (data) => {
    received += data.length;
  });
  await new Promise<void>((resolve) => receiver.bind({ fd: bindUdp(to, any, port, { receiveBufferBytes: 4 << 20 }) }, resolve));
  await new Promise<void>((resolve) => sender.bind({ fd: bindUdp(from, any, 0, {}) }, resolve));
  sender.on('error', () => {});
  const datagram = Buffer.alloc(1200);
  const begin = performance.now();
  let count = 0;
  const timer = setInterval(() => {
    const due = ((performance.now() - begin) / 1000) * (sent / 8 / datagram.length);
    for (; count < due; count++) sender.send(datagram, port, address, () => {});
  }, 5);
  try {
    return await rateOf(() => received, ms);
  } finally {
    clearInterval(timer);
    sender.close();
    receiver.close();
  }
}

/** Bits a second of what is counted, after the beginning. */
async function rateOf(bytes: () => number, ms: number): Promise<number> {
  await sleep(300);
  const [before, begin] = [bytes(), performance.now()];
  await sleep(ms);
  return ((bytes() - before) * 8) / ((performance.now() - begin) / 1000);
}
