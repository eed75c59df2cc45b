import { randomInt } from 'node:crypto';
import { closeSync } from 'node:fs';
import { KernelError } from '../kernel/errors.ts';
import { bindUdp, listenTcp } from '../kernel/sockets.ts';
import { IpAddr } from '../net/ip.ts';

const loopback = IpAddr.parse('127.0.0.1');
const given = new Set<number>();

/**
 * A port of 127.0.0.1 that is free for UDP and TCP, for somebody who must be told one; never the same again in this process. None of those that the kernel gives to
 * whoever asks for any (ip_local_port_range, from 32768 on): another test's connection could have it by the time that it is used.
 */
export function freePort(): number {
  for (;;) {
    const port = 12_000 + randomInt(18_000);
    if (given.has(port)) continue;
    try {
      closeSync(bindUdp(undefined, loopback, port));
      closeSync(listenTcp(undefined, loopback, port));
      given.add(port);
      return port;
    } catch (error) {
      if (!(error instanceof KernelError && error.errno === 'EADDRINUSE')) throw error;
    }
  }
}
