import { closeSync } from 'node:fs';
import { localEndpoint } from '../../kernel/sockets.ts';
import { IpAddr } from '../../net/ip.ts';
import { openSockets } from '../serve/sockets.ts';

/** A port of 127.0.0.1 that was free for UDP and TCP just now, for somebody who must be told one. */
export function freePort(): number {
  const { udp, tcp } = openSockets(undefined, IpAddr.parse('127.0.0.1'), 0);
  const { port } = localEndpoint(udp);
  closeSync(udp);
  closeSync(tcp);
  return port;
}
