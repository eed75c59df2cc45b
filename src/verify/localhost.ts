import net from 'node:net';
import type { NetNs } from '../kernel/netns.ts';
import { listenTcp, localEndpoint } from '../kernel/sockets.ts';
import { type Family, IpAddr } from '../net/ip.ts';
import type { Check, Finding } from './attempt.ts';
import type { VerifyLimits } from './input.ts';
import { askTcp } from './station.ts';
import type { World } from './world.ts';

/** NM4: containers of one pod reach each other over localhost, as sockets of one namespace do. */
export function localhostChecks(world: World, family: Family, { timeoutMs }: VerifyLimits): Check[] {
  const address = IpAddr.parse(family === 'ipv4' ? '127.0.0.1' : '::1');
  const attempts = world.pods
    .filter(({ place }) => place.stations[family])
    .map(({ place: { label, ns } }) => ({ from: label, to: String(address), run: () => overLocalhost(ns, address, timeoutMs) }));
  return attempts.length ? [{ id: 'localhost', title: 'pod to itself, localhost', family, protocol: 'tcp', attempts }] : [];
}

async function overLocalhost(ns: NetNs, address: IpAddr, timeoutMs: number): Promise<Finding> {
  const fd = listenTcp(ns, address, 0);
  const { port } = localEndpoint(fd);
  const server = net.createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.end(socket.remoteAddress ?? '');
  });
  server.listen({ fd });
  try {
    const answer = await askTcp(ns, address, port, timeoutMs);
    if ('failed' in answer) return { expected: 'an answer', seen: 'none', why: answer.failed };
    if (answer.seen.equals(address)) return undefined;
    return { expected: `source ${address}`, seen: `source ${answer.seen}`, why: 'another source than localhost' };
  } finally {
    server.close();
  }
}
