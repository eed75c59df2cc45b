import { Reader } from '../wire/reader.ts';
import { errnoName } from './errors.ts';
import { netlinkRoute, nlmsgHeaderLength } from './netlink/constants.ts';
import { NetlinkSocket } from './netlink/socket.ts';
import type { NetNs } from './netns.ts';
import { type ReadableWatch, watchReadable } from './readiness.ts';
import { type Address, addressOf, newAddress, rtmDelAddress } from './rtnetlink/addresses.ts';
import { newLink, newLinkEvent, rtmDelLink } from './rtnetlink/link-tables.ts';
import { type Link, linkOf } from './rtnetlink/links.ts';
import { addressFamily } from './rtnetlink/names.ts';
import { type Fdb, fdbOf, type Neighbour, neighbourOf, newNeighbour, rtmDelNeighbour } from './rtnetlink/neighbours.ts';
import { newQdisc, type Qdisc, qdiscOf, rtmDelQdisc } from './rtnetlink/qdiscs.ts';
import { newFilter, type Redirect, redirectOf, rtmDelFilter } from './rtnetlink/redirects.ts';
import { type ListedRoute, newRoute, routeOf, rtmDelRoute } from './rtnetlink/routes.ts';
import { msgDontwait } from './socket-options.ts';
import { errno, nativeBuffer, sys } from './sys.ts';

/** RTNLGRP_… (include/uapi/linux/rtnetlink.h) */
const routeGroups = {
  links: [1],
  /** RTNLGRP_TC: qdiscs and filters that somebody asked for; the kernel is silent about its own, and when they go with their link. */
  qdiscs: [4],
  neighbours: [3],
  addresses: [5, 9],
  routes: [7, 11],
} as const;

/** NFNLGRP_… (include/uapi/linux/netfilter/nfnetlink.h) */
const netfilterGroups = { conntrackNew: 1, conntrackUpdate: 2, conntrackDestroy: 3, nftables: 7 } as const;

export type RouteTopic = keyof typeof routeGroups;

export type RouteEvent =
  /** The link without queues, alias, other end and address generation mode. */
  | { topic: 'links'; change: 'new' | 'delete'; link: Link }
  | { topic: 'addresses'; change: 'new' | 'delete'; address: Address }
  | { topic: 'routes'; change: 'new' | 'delete'; route: ListedRoute }
  | { topic: 'neighbours'; change: 'new' | 'delete'; neighbour: Neighbour }
  | { topic: 'fdb'; change: 'new' | 'delete'; fdb: Fdb }
  | { topic: 'qdiscs'; change: 'new' | 'delete'; qdisc: Qdisc }
  /** `redirect` when the filter is one */
  | { topic: 'filters'; change: 'new' | 'delete'; link: number; redirect?: Redirect };

export interface MonitorHandler<E> {
  onEvent(event: E): void;
  /** Events were lost: read everything anew. Watching goes on. */
  onResync(): void;
}

/** What a watch costs: one descriptor and libuv's attention, no thread. It keeps the process alive until `unref` or dispose. */
export interface Monitor extends Disposable {
  unref(): void;
}

export interface MonitorOptions {
  /**
   * How much may wait unread; by default enough for a burst of some ten thousand events while the process is busy. When half of it is full the
   * kernel makes whoever causes further events yield after each (netlink_broadcast), so that a small buffer slows down writers.
   */
  receiveBufferBytes?: number;
  /** So long after the first event all that have come are read at once; 0 by default. Whoever causes them is not held up by their being read. */
  gatherMs?: number;
}

const defaultReceiveBufferBytes = 16 << 20;

function routeEvent(type: number, reader: Reader): RouteEvent | undefined {
  const change = (deletion: number): 'new' | 'delete' => (type === deletion ? 'delete' : 'new');
  switch (type) {
    case newLink.type:
    case rtmDelLink: {
      const message = newLinkEvent.body.decode(reader);
      // Bridges tell of their ports with AF_BRIDGE messages of another shape; the link's own follow.
      return message.family === addressFamily.bridge
        ? undefined
        : { topic: 'links', change: change(rtmDelLink), link: linkOf(message) };
    }
    case newAddress.type:
    case rtmDelAddress:
      return { topic: 'addresses', change: change(rtmDelAddress), address: addressOf(newAddress.body.decode(reader)) };
    case newRoute.type:
    case rtmDelRoute: {
      const route = routeOf(newRoute.body.decode(reader));
      return route && { topic: 'routes', change: change(rtmDelRoute), route };
    }
    case newNeighbour.type:
    case rtmDelNeighbour: {
      const message = newNeighbour.body.decode(reader);
      if (message.family === addressFamily.bridge) {
        const fdb = fdbOf(message);
        return fdb && { topic: 'fdb', change: change(rtmDelNeighbour), fdb };
      }
      const neighbour = neighbourOf(message);
      return neighbour && { topic: 'neighbours', change: change(rtmDelNeighbour), neighbour };
    }
    case newQdisc.type:
    case rtmDelQdisc:
      return { topic: 'qdiscs', change: change(rtmDelQdisc), qdisc: qdiscOf(newQdisc.body.decode(reader)) };
    case newFilter.type:
    case rtmDelFilter: {
      const message = newFilter.body.decode(reader);
      return { topic: 'filters', change: change(rtmDelFilter), link: message.index, redirect: redirectOf(message) };
    }
    default:
      return undefined;
  }
}

/**
 * Throws away what waits in a socket that has overrun. Until its queue has been empty once, the kernel drops every further event without another
 * sign (NETLINK_S_CONGESTED, net/netlink/af_netlink.c), so state read before that moment could miss a change for good.
 */
function drain(fd: number): void {
  for (;;) {
    if (sys.recv(fd, received, 1, msgDontwait) >= 0) continue;
    const error = errnoName(errno());
    if (error !== 'ENOBUFS' && error !== 'EINTR') return;
  }
}

/** Events are at most 32 KiB. */
const received = nativeBuffer(1 << 16);
/** So many are read before others get their turn. */
const atOnce = 1000;

/** Calls back for each netlink message of the groups. */
function watchGroups(
  ns: NetNs | undefined,
  protocol: number,
  groups: readonly number[],
  onMessage: (type: number, reader: Reader) => void,
  onResync: () => void,
  { receiveBufferBytes = defaultReceiveBufferBytes, gatherMs = 0 }: MonitorOptions = {},
): Monitor {
  const socket = NetlinkSocket.open(protocol, ns, { groups, receiveBufferBytes });
  let disposed = false;
  let timer: NodeJS.Timeout | undefined;
  let isUnref = false;
  const each = (length: number): void => {
    for (let at = 0; at + nlmsgHeaderLength <= length && !disposed; ) {
      const size = received.readUInt32LE(at);
      if (size < nlmsgHeaderLength || at + size > length) {
        onResync();
        return;
      }
      onMessage(received.readUInt16LE(at + 4), new Reader(received, at + nlmsgHeaderLength, at + size));
      at += (size + 3) & ~3;
    }
  };
  const read = (): void => {
    for (let count = 0; count < atOnce && !disposed; count++) {
      const length = sys.recv(socket.fd, received, received.length, msgDontwait);
      if (length >= 0) {
        each(length);
        continue;
      }
      const error = errnoName(errno());
      if (error === 'EAGAIN') return;
      if (error === 'EINTR') continue;
      // Whatever error is pending (ENOBUFS), something may have been missed.
      drain(socket.fd);
      onResync();
    }
  };
  const later = (): void => {
    watch.pause();
    timer = setTimeout(() => {
      read();
      if (!disposed) watch.resume();
    }, gatherMs);
    if (isUnref) timer.unref();
  };
  let watch: ReadableWatch;
  try {
    watch = watchReadable(socket.fd, gatherMs > 0 ? later : read);
  } catch (error) {
    socket[Symbol.dispose]();
    throw error;
  }
  return {
    unref: () => {
      isUnref = true;
      watch.unref();
      timer?.unref();
    },
    [Symbol.dispose](): void {
      disposed = true;
      clearTimeout(timer);
      watch[Symbol.dispose]();
      socket[Symbol.dispose]();
    },
  };
}

/**
 * Watches links, addresses, routes, neighbours (forwarding entries come with the latter) and qdiscs (with their filters) of a namespace. What a process does itself is told as well.
 * Read the state after opening the watch, so that nothing falls between.
 */
export function watchRoute(
  ns: NetNs | undefined,
  topics: readonly RouteTopic[],
  handler: MonitorHandler<RouteEvent>,
  options?: MonitorOptions,
): Monitor {
  const groups = topics.flatMap((topic) => routeGroups[topic]);
  const onMessage = (type: number, reader: Reader): void => {
    const event = routeEvent(type, reader);
    if (event) handler.onEvent(event);
  };
  return watchGroups(ns, netlinkRoute, groups, onMessage, () => handler.onResync(), options);
}

export { netfilterGroups, watchGroups };
