import { Reader } from '../wire/reader.ts';
import { type ConntrackEntry, readConntrackNew } from './conntrack-messages.ts';
import { errnoName, KernelError } from './errors.ts';
import { netfilterGroups } from './monitor.ts';
import { netlinkNetfilter, nlmsgHeaderLength } from './netlink/constants.ts';
import { NetlinkSocket } from './netlink/socket.ts';
import type { NetNs } from './netns.ts';
import { sockaddrLength } from './sockaddr.ts';
import { msgDontwait } from './socket-options.ts';
import { errno, nativeBuffer, sys } from './sys.ts';

/** Some twenty thousand connections between two calls of `take`. */
const receiveBufferBytes = 16 << 20;

/**
 * Connections that a namespace begins to track, from `open` on: also those that are gone before anybody could list them. A refused TCP connection is one: the
 * kernel forgets it when the reset comes. Each is told when its first packet has passed all hooks, translation included, so before any answer.
 */
export class NewConnections implements Disposable {
  readonly #socket: NetlinkSocket;
  readonly #buffer = nativeBuffer(1 << 16);
  readonly #name = nativeBuffer(sockaddrLength);

  private constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  /** The kernel tells of connections only while somebody listens (net.netfilter.nf_conntrack_events is 2), or always (1); never with 0. */
  static open(ns?: NetNs): NewConnections {
    const groups = [netfilterGroups.conntrackNew];
    return new NewConnections(NetlinkSocket.open(netlinkNetfilter, ns, { groups, receiveBufferBytes }));
  }

  /** What has come since the last call. Does not wait. When more came than the buffer holds, the rest is lost. */
  take(): ConntrackEntry[] {
    const entries: ConntrackEntry[] = [];
    for (;;) {
      const length = Buffer.from([sockaddrLength, 0, 0, 0]);
      const got = sys.recvfrom(this.#socket.fd, this.#buffer, this.#buffer.length, msgDontwait, this.#name, length);
      if (got >= 0) {
        this.#read(got, entries);
        continue;
      }
      const error = errnoName(errno());
      if (error === 'EAGAIN') return entries;
      // ENOBUFS: some were lost; those that were not are still there.
      if (error !== 'EINTR' && error !== 'ENOBUFS') throw new KernelError('read new connections', error);
    }
  }

  #read(bytes: number, entries: ConntrackEntry[]): void {
    for (let at = 0; at + nlmsgHeaderLength <= bytes; ) {
      const size = this.#buffer.readUInt32LE(at);
      if (size < nlmsgHeaderLength || at + size > bytes) return;
      const reader = new Reader(this.#buffer, at + nlmsgHeaderLength, at + size);
      const entry = readConntrackNew(this.#buffer.readUInt16LE(at + 4), reader);
      if (entry) entries.push(entry);
      at += (size + 3) & ~3;
    }
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}
