import { closeSync } from 'node:fs';
import { KernelError } from '../../kernel/errors.ts';
import type { NetNs } from '../../kernel/netns.ts';
import { bindUdp, listenTcp, localEndpoint } from '../../kernel/sockets.ts';
import type { IpAddr } from '../../net/ip.ts';

/** What one address is answered on. Descriptors, each with one owner. */
export interface AddressSockets {
  udp: number;
  tcp: number;
}

/** Questions wait here while nobody reads, e.g. while one process takes over from another: some ten thousand of them. */
const bufferBytes = 4 << 20;
/** A port that is free for UDP need not be so for TCP: how often another one is tried where any will do. */
const portAttempts = 50;

/**
 * Sockets of one address, which need not be on an interface (free bind): a `local` route brings the packets here.
 * @param ns where they are born; by default the namespace of the process
 * @param port 0 is any that is free for both protocols
 * @throws KernelError when the address or port cannot be had
 */
export function openSockets(ns: NetNs | undefined, address: IpAddr, port: number): AddressSockets {
  for (let attempt = 1; ; attempt++) {
    const udp = bindUdp(ns, address, port, { freebind: true, receiveBufferBytes: bufferBytes, sendBufferBytes: bufferBytes });
    try {
      return { udp, tcp: listenTcp(ns, address, localEndpoint(udp).port, { freebind: true }) };
    } catch (error) {
      closeSync(udp);
      const taken = error instanceof KernelError && error.errno === 'EADDRINUSE';
      if (port !== 0 || !taken || attempt === portAttempts) throw error;
    }
  }
}

/** For `/metrics` over TCP. @returns a descriptor that is the caller's */
export const listenForMetrics = ({ address, port }: { address: IpAddr; port: number }, ns?: NetNs): number =>
  listenTcp(ns, address, port, { freebind: true });
