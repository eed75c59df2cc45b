import type { Family } from '../../net/ip.ts';
import type { Reader } from '../../wire/reader.ts';
import { isNotFound, } from '../errors.ts';
import { netlinkRoute } from '../netlink/constants.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import type { NetNs } from '../netns.ts';
import { type Address, addressOf, newAddress, rtmGetAddress } from './addresses.ts';
import { RtChanges } from './changes.ts';
import { type LinkState, linkQuestion, newLink, newLinkState, rtmGetLink, skipStatistics } from './link-tables.ts';
import { type Link, linkOf } from './links.ts';
import { addressFamily, familyNumber } from './names.ts';
import { type Fdb, fdbOf, type Neighbour, neighbourOf, newNeighbour, ntfProxy, rtmGetNeighbour } from './neighbours.ts';
import { ingressHandle, newQdisc, type Qdisc, qdiscOf, rtmGetQdisc } from './qdiscs.ts';
import { newFilter, type Redirect, redirectOf, rtmGetFilter } from './redirects.ts';
import { type ListedRoute, newRoute, routeOf, rtmGetRoute } from './routes.ts';
import { newRule, type Rule, rtmGetRule, ruleOf } from './rules.ts';

export { BatchError } from './changes.ts';

export interface RouteFilter {
  family?: Family;
  table?: number;
  protocol?: number;
  /** ifindex */
  link?: number;
}

/** Matches what an old kernel does not filter by itself. */
const defined = <T>(values: (T | undefined)[]): T[] => values.filter((value) => value !== undefined);

/**
 * Links, addresses, routes, neighbours, forwarding entries and rules of one network namespace. Lists are read from the kernel each time.
 * Changes throw KernelError; deleting what is not there succeeds.
 */
export class RtNetlink extends RtChanges {
  /** @param ns the thread's own when not given; the object stays bound to it, whatever is entered later */
  static open(ns?: NetNs): RtNetlink {
    const options = { strict: true, sendBufferBytes: 8 << 20, receiveBufferBytes: 8 << 20 };
    return new RtNetlink(NetlinkSocket.open(netlinkRoute, ns, options));
  }

  /** In the thread's own namespace, for a few small changes: what a long list or a large batch needs is not set up. */
  static openBrief(): RtNetlink {
    return new RtNetlink(NetlinkSocket.open(netlinkRoute));
  }

  // ---- links

  links(): Link[] {
    return this.socket.dump(
      rtmGetLink,
      (m) => newLink.body.encode(m, {}),
      'list links',
      (type, reader) => (type === newLink.type ? linkOf(newLink.body.decode(reader)) : undefined),
    );
  }

  /** @returns undefined when there is no such link */
  link(which: number | string): Link | undefined {
    return this.#readLink(which, undefined, (reader) => linkOf(newLink.body.decode(reader)));
  }

  /** Whether packets go through, in few words: neither the kernel nor the reader counts statistics. @returns undefined when there is no such link */
  linkState(which: number | string): LinkState | undefined {
    return this.#readLink(which, skipStatistics, (reader) => newLinkState.body.decode(reader));
  }

  #readLink<T>(which: number | string, extMask: number | undefined, decode: (reader: Reader) => T): T | undefined {
    let found: T | undefined;
    const key = typeof which === 'number' ? { index: which } : { name: which };
    try {
      this.socket.request(
        rtmGetLink,
        0,
        (m) => linkQuestion.body.encode(m, { ...key, extMask }),
        `read link ${which}`,
        (type, reader) => {
          if (type === newLink.type) found = decode(reader);
        },
      );
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    return found;
  }

  // ---- addresses

  /** @param filter.link ifindex */
  addresses(filter: { family?: Family; link?: number } = {}): Address[] {
    const request = { family: familyNumber(filter.family), index: filter.link };
    return this.socket.dump(
      rtmGetAddress,
      (m) => newAddress.body.encode(m, request),
      'list addresses',
      (type, reader) => (type === newAddress.type ? addressOf(newAddress.body.decode(reader)) : undefined),
    );
  }

  // ---- routes

  /** All tables, unless the filter names one. */
  routes(filter: RouteFilter = {}): ListedRoute[] {
    const { family, table, protocol, link } = filter;
    // Without a family, the kernel asks each in turn and filters by header only where the family does.
    const wanted = (route: ListedRoute): boolean =>
      (table === undefined || route.table === table) &&
      (protocol === undefined || route.protocol === protocol) &&
      (link === undefined || route.link === link);
    const list = (one: Family): ListedRoute[] => {
      const request = { family: familyNumber(one), protocol, table, oif: link };
      const dump = (): ListedRoute[] =>
        this.socket.dump(
          rtmGetRoute,
          (m) => newRoute.body.encode(m, request),
          'list routes',
          (type, reader) => (type === newRoute.type ? routeOf(newRoute.body.decode(reader)) : undefined),
        );
      try {
        return dump();
      } catch (error) {
        // A table that nobody has written to does not exist.
        if (table !== undefined && isNotFound(error)) return [];
        throw error;
      }
    };
    return (family ? [family] : (['ipv4', 'ipv6'] as const)).flatMap(list).filter((route) => !isCached(route) && wanted(route));
  }

  // ---- neighbours

  neighbours(filter: { family?: Family; link?: number } = {}): Neighbour[] {
    return this.#neighbours(filter, 0);
  }

  /** Addresses for which links answer. */
  proxies(filter: { family?: Family; link?: number } = {}): Neighbour[] {
    return this.#neighbours(filter, ntfProxy);
  }

  #neighbours({ family, link }: { family?: Family; link?: number }, flags: number): Neighbour[] {
    const list = (one: Family): (Neighbour | undefined)[] =>
      this.socket.dump(
        rtmGetNeighbour,
        (m) => newNeighbour.body.encode(m, { family: familyNumber(one), flags, via: link }),
        'list neighbours',
        (type, reader) => (type === newNeighbour.type ? neighbourOf(newNeighbour.body.decode(reader)) : undefined),
      );
    return defined((family ? [family] : (['ipv4', 'ipv6'] as const)).flatMap(list)).filter(
      (entry) => link === undefined || entry.link === link,
    );
  }

  // ---- forwarding entries

  /** @param link ifindex of the VXLAN device or the bridge port; all when absent */
  fdb(link?: number): Fdb[] {
    const request = { family: addressFamily.bridge, index: link };
    return this.socket.dump(
      rtmGetNeighbour,
      (m) => newNeighbour.body.encode(m, request),
      'list FDB entries',
      (type, reader) => (type === newNeighbour.type ? fdbOf(newNeighbour.body.decode(reader)) : undefined),
    );
  }

  // ---- traffic control

  /** Of all links; those that the kernel made by itself are left out, but for `noqueue` and the like. */
  qdiscs(): Qdisc[] {
    return this.socket.dump(
      rtmGetQdisc,
      (m) => newQdisc.body.encode(m, {}),
      'list qdiscs',
      (type, reader) => (type === newQdisc.type ? qdiscOf(newQdisc.body.decode(reader)) : undefined),
    );
  }

  /** Of what comes by the link; the first by priority. */
  redirect(link: number): Redirect | undefined {
    return this.socket.dump(
      rtmGetFilter,
      (m) => newFilter.body.encode(m, { index: link, parent: ingressHandle }),
      `list ingress filters of link ${link}`,
      (type, reader) => (type === newFilter.type ? redirectOf(newFilter.body.decode(reader)) : undefined),
    )[0];
  }

  // ---- rules

  rules(family?: Family): Rule[] {
    return this.socket.dump(
      rtmGetRule,
      (m) => newRule.body.encode(m, { family: familyNumber(family) }),
      'list rules',
      (type, reader) => (type === newRule.type ? ruleOf(newRule.body.decode(reader)) : undefined),
    );
  }
}

const isCached = (route: ListedRoute): boolean => route.flags.includes('cloned');
