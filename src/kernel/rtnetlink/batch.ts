import type { Encoder } from '../../wire/codec.ts';
import type { NetlinkBatch } from '../netlink/batch.ts';
import { nlmFlag } from '../netlink/constants.ts';
import { type Address, type AddressKey, addressMessage, newAddress, rtmDelAddress } from './addresses.ts';
import { newLink, rtmDelLink } from './link-tables.ts';
import { changesOf, creationOf, type LinkChange, type LinkSpec } from './links.ts';
import {
  type Fdb,
  fdbMessage,
  type Neighbour,
  type NeighbourKey,
  neighbourDeletion,
  neighbourMessage,
  newNeighbour,
  ntfProxy,
  rtmDelNeighbour,
} from './neighbours.ts';
import { ingressMessage, ingressParent, newQdisc, rootParent, rtmDelQdisc, type Tbf, tbfMessage } from './qdiscs.ts';
import { newFilter, type Redirect, redirectMessage } from './redirects.ts';
import { newRoute, type Route, type RouteKey, routeDeletion, routeMessage, routeProtocol, rtmDelRoute } from './routes.ts';
import { newRule, type Rule, rtmDelRule, ruleMessage } from './rules.ts';

const add = nlmFlag.create | nlmFlag.excl;
const replace = nlmFlag.create | nlmFlag.replace;

/** What one message of a batch does. */
export interface Operation {
  /** For messages: the verb and the plain data it was given. */
  verb: string;
  subject: unknown;
  /** errno names that mean the wish is already fulfilled */
  fulfilled: readonly string[];
}

const nothing: readonly string[] = [];
const absent: readonly string[] = ['ENOENT', 'ESRCH', 'ENODEV', 'EADDRNOTAVAIL'];

/**
 * Changes to be sent in one sendmsg. The kernel works through them in order; one that fails does not stop the next, so put what depends on
 * each other in order and look at the errors. Deleting what is not there succeeds.
 */
export class RtBatch {
  readonly operations: Operation[] = [];
  readonly #batch: NetlinkBatch;

  constructor(batch: NetlinkBatch) {
    this.#batch = batch;
  }

  #message<Input>(type: number, flags: number, body: Encoder<Input>, value: Input, operation: Operation): this {
    this.#batch.begin(type, flags);
    try {
      body.encode(this.#batch, value);
    } catch (error) {
      this.#batch.abandon();
      throw error;
    }
    this.#batch.end();
    this.operations.push(operation);
    return this;
  }

  addLink(link: LinkSpec): this {
    return this.#message(newLink.type, add, newLink.body, creationOf(link), {
      verb: 'add link',
      subject: link,
      fulfilled: nothing,
    });
  }

  /** May take several messages; none when nothing is to change. */
  setLink(index: number, change: LinkChange): this {
    const operation = { verb: `change link ${index}`, subject: change, fulfilled: nothing };
    for (const value of changesOf(index, change)) this.#message(newLink.type, 0, newLink.body, value, operation);
    return this;
  }

  /** Takes 20 ms (the kernel waits for RCU): see deleteLinkGroup. */
  deleteLink(link: number | { name: string }): this {
    const value = typeof link === 'number' ? { index: link } : { name: link.name };
    return this.#message(rtmDelLink, 0, newLink.body, value, { verb: 'delete link', subject: value, fulfilled: absent });
  }

  /** Deletes all links of a group at once: some 20 ms for the first, 0.4 ms for each more. */
  deleteLinkGroup(group: number): this {
    return this.#message(
      rtmDelLink,
      0,
      newLink.body,
      { group },
      { verb: 'delete link group', subject: group, fulfilled: absent },
    );
  }

  addAddress(address: Address): this {
    return this.#address(newAddress.type, add, address, 'add address', nothing);
  }

  /** Adds it, or changes flags and lifetimes of the one that is there. */
  replaceAddress(address: Address): this {
    return this.#address(newAddress.type, replace, address, 'replace address', nothing);
  }

  deleteAddress(address: AddressKey): this {
    return this.#address(rtmDelAddress, 0, address, 'delete address', absent);
  }

  #address(type: number, flags: number, address: Address, verb: string, fulfilled: readonly string[]): this {
    return this.#message(type, flags, newAddress.body, addressMessage(address), { verb, subject: address, fulfilled });
  }

  addRoute(route: Route): this {
    return this.#message(newRoute.type, add, newRoute.body, routeMessage(route), {
      verb: 'add route',
      subject: route,
      fulfilled: nothing,
    });
  }

  /** Takes the place of a route with the same destination, table and metric. */
  replaceRoute(route: Route): this {
    const operation = { verb: 'replace route', subject: route, fulfilled: nothing };
    return this.#message(newRoute.type, replace, newRoute.body, routeMessage(route), operation);
  }

  deleteRoute(route: RouteKey): this {
    const operation = { verb: 'delete route', subject: route, fulfilled: absent };
    return this.#message(rtmDelRoute, 0, newRoute.body, routeDeletion(route), operation);
  }

  addNeighbour(neighbour: Neighbour): this {
    return this.#neighbour(newNeighbour.type, add, neighbourMessage(neighbour), 'add neighbour', neighbour, nothing);
  }

  replaceNeighbour(neighbour: Neighbour): this {
    return this.#neighbour(newNeighbour.type, replace, neighbourMessage(neighbour), 'replace neighbour', neighbour, nothing);
  }

  /** The kernel forgets permanent and learned entries alike. */
  deleteNeighbour(neighbour: NeighbourKey): this {
    return this.#neighbour(rtmDelNeighbour, 0, neighbourDeletion(neighbour), 'delete neighbour', neighbour, absent);
  }

  /** The link answers ARP or ND for the address, as others' routers would; with podnet's protocol number, so that its entries are known again. */
  addProxy(link: number, address: Neighbour['address']): this {
    const value = { ...neighbourMessage({ link, address, flags: ['proxy'] }), flags: ntfProxy, protocol: routeProtocol.podnet };
    return this.#neighbour(newNeighbour.type, replace, value, 'add proxy', { link, address }, nothing);
  }

  deleteProxy(link: number, address: Neighbour['address']): this {
    return this.deleteNeighbour({ link, address, proxy: true });
  }

  addFdb(entry: Fdb): this {
    return this.#neighbour(newNeighbour.type, add, fdbMessage(entry), 'add FDB entry', entry, nothing);
  }

  /** One destination for the MAC, whatever was there. */
  replaceFdb(entry: Fdb): this {
    return this.#neighbour(newNeighbour.type, replace, fdbMessage(entry), 'replace FDB entry', entry, nothing);
  }

  /** One more destination for the same MAC (VXLAN, all-zero MAC): frames are copied to each. */
  appendFdb(entry: Fdb): this {
    return this.#neighbour(
      newNeighbour.type,
      nlmFlag.create | nlmFlag.append,
      fdbMessage(entry),
      'append FDB entry',
      entry,
      nothing,
    );
  }

  deleteFdb(entry: Fdb): this {
    return this.#neighbour(rtmDelNeighbour, 0, fdbMessage(entry), 'delete FDB entry', entry, absent);
  }

  #neighbour(
    type: number,
    flags: number,
    value: ReturnType<typeof neighbourMessage>,
    verb: string,
    subject: unknown,
    fulfilled: readonly string[],
  ): this {
    return this.#message(type, flags, newNeighbour.body, value, { verb, subject, fulfilled });
  }

  addRule(rule: Rule): this {
    return this.#message(newRule.type, add, newRule.body, ruleMessage(rule), {
      verb: 'add rule',
      subject: rule,
      fulfilled: nothing,
    });
  }

  deleteRule(rule: Rule): this {
    return this.#message(rtmDelRule, 0, newRule.body, ruleMessage(rule), {
      verb: 'delete rule',
      subject: rule,
      fulfilled: absent,
    });
  }

  /** What leaves by the link is shaped; takes the place of the root qdisc that is there. Before the link is up it costs no wait for RCU. */
  replaceTbf(link: number, tbf: Tbf): this {
    const operation = { verb: `replace root qdisc of link ${link}`, subject: tbf, fulfilled: nothing };
    return this.#message(newQdisc.type, replace, newQdisc.body, tbfMessage(link, tbf), operation);
  }

  /** The link has its default qdisc again. */
  deleteRootQdisc(link: number): this {
    const value = { index: link, parent: rootParent };
    return this.#message(rtmDelQdisc, 0, newQdisc.body, value, { verb: 'delete root qdisc', subject: link, fulfilled: absent });
  }

  /** All that comes by the link goes out by another; two messages, the first makes the ingress qdisc. */
  addRedirect(redirect: Redirect): this {
    const { link, to } = redirect;
    const operation = { verb: 'redirect', subject: redirect, fulfilled: nothing };
    this.#message(newQdisc.type, add, newQdisc.body, ingressMessage(link), operation);
    return this.#message(newFilter.type, add, newFilter.body, redirectMessage(link, to), operation);
  }

  /** Every filter of what comes by the link goes with it. */
  deleteIngress(link: number): this {
    const operation = { verb: 'delete ingress qdisc', subject: link, fulfilled: absent };
    return this.#message(rtmDelQdisc, 0, newQdisc.body, { index: link, parent: ingressParent }, operation);
  }
}
