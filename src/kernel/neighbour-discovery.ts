import { IpAddr } from '../net/ip.ts';
import { check } from './errors.ts';
import type { Fd } from './fd.ts';
import type { NetNs } from './netns.ts';
import { watchDatagrams } from './readiness.ts';
import { sockaddr } from './sockaddr.ts';
import { sockNonblock, sockRaw } from './socket-options.ts';
import { orClose, socketIn } from './sockets.ts';
import { sys } from './sys.ts';

// include/uapi/linux/in6.h, icmpv6.h, asm-generic/socket.h
const ipprotoIcmpv6 = 58;
const ipprotoIpv6 = 41;
const ipv6UnicastHops = [ipprotoIpv6, 16] as const;
const ipv6MulticastIf = [ipprotoIpv6, 17] as const;
const ipv6MulticastHops = [ipprotoIpv6, 18] as const;
const ipv6MulticastLoop = [ipprotoIpv6, 19] as const;
const icmpv6Filter = [ipprotoIcmpv6, 1] as const;
/** RFC 4861 7.1: whoever gets a message with another hop limit drops it, since it came through a router. */
const hopLimit = 255;
const neighbourAdvertisement = 136;

/** Neighbour Discovery messages of one link, both ways: sends any, receives advertisements. Needs CAP_NET_RAW; the kernel fills the checksum in. */
export class NeighbourDiscoverySocket implements Disposable {
  readonly #fd: Fd;
  readonly #link: number;

  /** @param link ifindex in the namespace */
  constructor(ns: NetNs | undefined, link: number) {
    this.#link = link;
    this.#fd = socketIn(
      ns,
      IpAddr.unspecified('ipv6'),
      sockRaw | sockNonblock,
      ipprotoIcmpv6,
      'a socket for neighbour discovery',
    );
    orClose(this.#fd, (fd) => {
      const set = ([level, option]: readonly [number, number], value: number): void => {
        const data = Buffer.alloc(4);
        data.writeInt32LE(value);
        check(`set option ${option} of a socket for neighbour discovery`, sys.setsockopt(fd, level, option, data, 4));
      };
      // struct icmp6_filter: a bit for each type that is not wanted.
      const filter = Buffer.alloc(32, 0xff);
      const at = (neighbourAdvertisement >> 5) << 2;
      filter.writeUInt32LE((filter.readUInt32LE(at) & ~(1 << (neighbourAdvertisement & 31))) >>> 0, at);
      check('filter neighbour discovery', sys.setsockopt(fd, ...icmpv6Filter, filter, filter.length));
      set(ipv6UnicastHops, hopLimit);
      set(ipv6MulticastHops, hopLimit);
      set(ipv6MulticastIf, link);
      set(ipv6MulticastLoop, 0);
    });
  }

  /** @param message from the ICMPv6 type on */
  send(to: IpAddr, message: Uint8Array): void {
    const address = sockaddr(to, 0, this.#link);
    check(
      () => `send neighbour discovery to ${to}`,
      sys.sendto(this.#fd.number, message, message.length, 0, address, address.length),
    );
  }

  /** Calls back for each advertisement, from the ICMPv6 type on. */
  watch(onMessage: (message: Buffer) => void, onError?: (error: Error) => void): Disposable {
    const watch = watchDatagrams(this.#fd.number, { onDatagram: onMessage, onError });
    watch.unref();
    return watch;
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }
}
