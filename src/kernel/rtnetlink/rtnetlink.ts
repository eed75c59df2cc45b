import type { Family, IpAddr } from '../../net/ip.ts';
import type { Reader } from '../../wire/reader.ts';
import { isNotFound, type KernelError } from '../errors.ts';
import { netlinkRoute } from '../netlink/constants.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import type { NetNs } from '../netns.ts';
import { type Address, type AddressKey, addressOf, newAddress, rtmGetAddress } from './addresses.ts';
import { type Operation, RtBatch } from './batch.ts';
import { type LinkState, linkQuestion, newLink, newLinkState, rtmGetLink, skipStatistics } from './link-tables.ts';
import { type Link, type LinkChange, type LinkSpec, linkOf } from './links.ts';
import { addressFamily, familyNumber } from './names.ts';
import {
  type Fdb,
  fdbOf,
  type Neighbour,
  type NeighbourKey,
  neighbourOf,
  newNeighbour,
  ntfProxy,
  rtmGetNeighbour,
} from './neighbours.ts';
import { ingressHandle, newQdisc, type Qdisc, qdiscOf, rtmGetQdisc } from './qdiscs.ts';
import { newFilter, type Redirect, redirectOf, rtmGetFilter } from './redirects.ts';
import { type ListedRoute, newRoute, type Route, type RouteKey, routeOf, rtmGetRoute } from './routes.ts';
import { newRule, type Rule, rtmGetRule, ruleOf } from './rules.ts';
import type { RtTemplate } from './template.ts';

/** Several messages of one batch failed; the others took effect. */
export class BatchError extends Error {
  /** By the place of the message among those of the batch. */
  readonly errors: ReadonlyMap<number, KernelError>;

  constructor(errors: ReadonlyMap<number, KernelError>, total: number) {
    const [first] = errors.values();
    super(`${errors.size} of ${total} changes failed; the first: ${first?.message}`, { cause: first });
    this.name = 'BatchError';
    this.errors = errors;
  }
}

export interface RouteFilter {
  family?: Family;
  table?: number;
  protocol?: number;
  /** ifindex */
  link?: number;
}

const print = (value: unknown): string =>
  typeof value === 'object'
    ? JSON.stringify(value, (_key, part: unknown) => (typeof part === 'bigint' ? `${part}` : part))
    : String(value);

const describe = (operation: Operation | undefined): string =>
  operation ? `${operation.verb} ${print(operation.subject)}` : 'rtnetlink';

/** Matches what an old kernel does not filter by itself. */
const defined = <T>(values: (T | undefined)[]): T[] => values.filter((value) => value !== undefined);

/**
 * Links, addresses, routes, neighbours, forwarding entries and rules of one network namespace. Lists are read from the kernel each time.
 * Changes throw KernelError; deleting what is not there succeeds.
 */
export class RtNetlink implements Disposable {
  readonly #socket: NetlinkSocket;

  private constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  /** @param ns the thread's own when not given; the object stays bound to it, whatever is entered later */
  static open(ns?: NetNs): RtNetlink {
    const options = { strict: true, sendBufferBytes: 8 << 20, receiveBufferBytes: 8 << 20 };
    return new RtNetlink(NetlinkSocket.open(netlinkRoute, ns, options));
  }

  /** In the thread's own namespace, for a few small changes: what a long list or a large batch needs is not set up. */
  static openBrief(): RtNetlink {
    return new RtNetlink(NetlinkSocket.open(netlinkRoute));
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }

  // ---- many changes at once

  /**
   * Sends all changes that `build` makes with one system call.
   * @throws KernelError when it was one change, BatchError when several were sent and at least one failed
   */
  batch(build: (batch: RtBatch) => void): void {
    const { errors, total } = this.#send(build);
    if (errors.size === 0) return;
    const [first] = errors.values();
    throw total === 1 ? first! : new BatchError(errors, total);
  }

  /** The same, with the errors by the change's place instead of a throw. */
  tryBatch(build: (batch: RtBatch) => void): ReadonlyMap<number, KernelError> {
    return this.#send(build).errors;
  }

  /** The same, of messages that were encoded beforehand. */
  tryTemplate<Values>(template: RtTemplate<Values>, values: Values): ReadonlyMap<number, KernelError> {
    const batch = template.fill(this.#socket.batch(), values);
    const errors = this.#socket.exchange(batch, (index) => describe(template.operations(values)[index]));
    for (const [index, error] of errors) if (template.isFulfilled(index, error)) errors.delete(index);
    return errors;
  }

  #send(build: (batch: RtBatch) => void): { errors: Map<number, KernelError>; total: number } {
    const netlink = this.#socket.batch();
    const batch = new RtBatch(netlink);
    build(batch);
    const { operations } = batch;
    const errors = this.#socket.exchange(netlink, (index) => describe(operations[index]));
    for (const [index, error] of errors) if (operations[index]?.fulfilled.includes(error.errno)) errors.delete(index);
    return { errors, total: operations.length };
  }

  // ---- links

  links(): Link[] {
    return this.#socket.dump(
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
      this.#socket.request(
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

  addLink(link: LinkSpec): void {
    this.batch((b) => b.addLink(link));
  }

  setLink(index: number, change: LinkChange): void {
    this.batch((b) => b.setLink(index, change));
  }

  deleteLink(link: number | { name: string }): void {
    this.batch((b) => b.deleteLink(link));
  }

  deleteLinkGroup(group: number): void {
    this.batch((b) => b.deleteLinkGroup(group));
  }

  // ---- addresses

  /** @param filter.link ifindex */
  addresses(filter: { family?: Family; link?: number } = {}): Address[] {
    const request = { family: familyNumber(filter.family), index: filter.link };
    return this.#socket.dump(
      rtmGetAddress,
      (m) => newAddress.body.encode(m, request),
      'list addresses',
      (type, reader) => (type === newAddress.type ? addressOf(newAddress.body.decode(reader)) : undefined),
    );
  }

  addAddress(address: Address): void {
    this.batch((b) => b.addAddress(address));
  }

  replaceAddress(address: Address): void {
    this.batch((b) => b.replaceAddress(address));
  }

  deleteAddress(address: AddressKey): void {
    this.batch((b) => b.deleteAddress(address));
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
        this.#socket.dump(
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

  addRoute(route: Route): void {
    this.batch((b) => b.addRoute(route));
  }

  replaceRoute(route: Route): void {
    this.batch((b) => b.replaceRoute(route));
  }

  deleteRoute(route: RouteKey): void {
    this.batch((b) => b.deleteRoute(route));
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
      this.#socket.dump(
        rtmGetNeighbour,
        (m) => newNeighbour.body.encode(m, { family: familyNumber(one), flags, via: link }),
        'list neighbours',
        (type, reader) => (type === newNeighbour.type ? neighbourOf(newNeighbour.body.decode(reader)) : undefined),
      );
    return defined((family ? [family] : (['ipv4', 'ipv6'] as const)).flatMap(list)).filter(
      (entry) => link === undefined || entry.link === link,
    );
  }

  addNeighbour(neighbour: Neighbour): void {
    this.batch((b) => b.addNeighbour(neighbour));
  }

  replaceNeighbour(neighbour: Neighbour): void {
    this.batch((b) => b.replaceNeighbour(neighbour));
  }

  deleteNeighbour(neighbour: NeighbourKey): void {
    this.batch((b) => b.deleteNeighbour(neighbour));
  }

  addProxy(link: number, address: IpAddr): void {
    this.batch((b) => b.addProxy(link, address));
  }

  deleteProxy(link: number, address: IpAddr): void {
    this.batch((b) => b.deleteProxy(link, address));
  }

  // ---- forwarding entries

  /** @param link ifindex of the VXLAN device or the bridge port; all when absent */
  fdb(link?: number): Fdb[] {
    const request = { family: addressFamily.bridge, index: link };
    return this.#socket.dump(
      rtmGetNeighbour,
      (m) => newNeighbour.body.encode(m, request),
      'list FDB entries',
      (type, reader) => (type === newNeighbour.type ? fdbOf(newNeighbour.body.decode(reader)) : undefined),
    );
  }

  addFdb(entry: Fdb): void {
    this.batch((b) => b.addFdb(entry));
  }

  replaceFdb(entry: Fdb): void {
    this.batch((b) => b.replaceFdb(entry));
  }

  appendFdb(entry: Fdb): void {
    this.batch((b) => b.appendFdb(entry));
  }

  deleteFdb(entry: Fdb): void {
    this.batch((b) => b.deleteFdb(entry));
  }

  // ---- traffic control

  /** Of all links; those that the kernel made by itself are left out, but for `noqueue` and the like. */
  qdiscs(): Qdisc[] {
    return this.#socket.dump(
      rtmGetQdisc,
      (m) => newQdisc.body.encode(m, {}),
      'list qdiscs',
      (type, reader) => (type === newQdisc.type ? qdiscOf(newQdisc.body.decode(reader)) : undefined),
    );
  }

  /** Of what comes by the link; the first by priority. */
  redirect(link: number): Redirect | undefined {
    return this.#socket.dump(
      rtmGetFilter,
      (m) => newFilter.body.encode(m, { index: link, parent: ingressHandle }),
      `list ingress filters of link ${link}`,
      (type, reader) => (type === newFilter.type ? redirectOf(newFilter.body.decode(reader)) : undefined),
    )[0];
  }

  // ---- rules

  rules(family?: Family): Rule[] {
    return this.#socket.dump(
      rtmGetRule,
      (m) => newRule.body.encode(m, { family: familyNumber(family) }),
      'list rules',
      (type, reader) => (type === newRule.type ? ruleOf(newRule.body.decode(reader)) : undefined),
    );
  }

  addRule(rule: Rule): void {
    this.batch((b) => b.addRule(rule));
  }

  deleteRule(rule: Rule): void {
    this.batch((b) => b.deleteRule(rule));
  }
}

const isCached = (route: ListedRoute): boolean => route.flags.includes('cloned');
