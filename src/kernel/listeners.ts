import { closeSync, openSync, readSync } from 'node:fs';
import { endianness } from 'node:os';
import { IpAddr } from '../net/ip.ts';
import type { NetNs } from './netns.ts';

/** A socket that waits for whoever comes. */
export interface Listener {
  protocol: 'tcp' | 'udp';
  /** Unspecified (0.0.0.0 or ::) when it is bound to all; `::` may take IPv4 as well. */
  address: IpAddr;
  port: number;
}

/** States of a socket (include/net/tcp_states.h); an unconnected UDP socket is closed. */
const waiting = { tcp: '0A', udp: '07' } as const;
const chunkBytes = 64 << 10;

/**
 * Sockets of a network namespace that take new connections or any datagram, from /proc/net/{tcp,tcp6,udp,udp6}. The kernel lists TCP's listeners before all
 * connections (tcp_seq_start), and no more than them is read: the cost does not grow with the connections.
 * @throws Error of node:fs where /proc is not readable; a family that the kernel lacks has none
 */
export function listListeners(ns: NetNs | undefined): Listener[] {
  const protocols = ['tcp', 'udp'] as const;
  const read = (): Listener[] =>
    protocols.flatMap((protocol) =>
      ['', '6'].flatMap((suffix) => [...listenersIn(`/proc/thread-self/net/${protocol}${suffix}`, protocol)]),
    );
  return ns ? ns.enter(read) : read();
}

function* listenersIn(file: string, protocol: Listener['protocol']): Iterable<Listener> {
  for (const line of lines(file)) {
    const listener = parseListener(line, protocol);
    if (listener) yield listener;
    // Only connections follow.
    else if (protocol === 'tcp') return;
  }
}

/**
 * @param line of /proc/net/tcp or udp: `sl local_address rem_address st ...`, where an address is 32-bit words in the order of the machine, in hex
 * @returns undefined for sockets in another state
 */
export function parseListener(line: string, protocol: Listener['protocol']): Listener | undefined {
  const [, local = '', , state] = line.trim().split(/\s+/);
  if (state !== waiting[protocol]) return undefined;
  const [words = '', port = ''] = local.split(':');
  const bytes = Buffer.from(words, 'hex');
  if (endianness() === 'LE') bytes.swap32();
  return { protocol, address: IpAddr.fromBytes(bytes), port: Number.parseInt(port, 16) };
}

/** Without the head line. */
function* lines(file: string): Iterable<string> {
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  try {
    const chunk = Buffer.alloc(chunkBytes);
    let rest = '';
    let isHead = true;
    for (let length = readSync(fd, chunk); length > 0; length = readSync(fd, chunk)) {
      const parts = (rest + chunk.toString('latin1', 0, length)).split('\n');
      rest = parts.pop() ?? '';
      for (const line of parts) {
        if (!isHead) yield line;
        isHead = false;
      }
    }
  } finally {
    closeSync(fd);
  }
}
