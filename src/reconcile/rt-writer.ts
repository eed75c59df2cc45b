import type { RtBatch } from '../kernel/rtnetlink/batch.ts';
import type * as kernel from '../kernel/rtnetlink/links.ts';
import { ingressParent, isTbf, rootParent, tbfOf } from '../kernel/rtnetlink/qdiscs.ts';
import { routeProtocol } from '../kernel/rtnetlink/routes.ts';
import type { RtNetlink } from '../kernel/rtnetlink/rtnetlink.ts';
import { changeLink, linkItem, makeLink, mustBeRemade, ownAlias } from './link-changes.ts';
import type { Address, Fdb, Item, Link, Neighbour, Proxy, Qdisc, Redirect, Route } from './model.ts';
import { keyOf } from './model.ts';
import type { Failure, Operation, Writer } from './operations.ts';

type OnLink = Address | Route | Neighbour | Proxy | Fdb | Qdisc | Redirect;

/**
 * Writes links, addresses, routes, neighbours, proxies, FDB entries, qdiscs and redirects. Podnet's own are: links with its alias, what is on them, and routes and proxies
 * of its protocol;
 * everything else is only looked at. Each change succeeds or fails alone.
 */
export class RtWriter implements Writer {
  readonly kinds: ReadonlySet<Item['kind']> = new Set(['link', 'address', 'route', 'neighbour', 'proxy', 'fdb', 'qdisc', 'redirect']);
  readonly #rt: RtNetlink;

  constructor(rt: RtNetlink) {
    this.#rt = rt;
  }

  observe(wanted: () => Iterable<Item>): Item[] {
    return [...this.#observe(wanted)];
  }

  *#observe(wanted: () => Iterable<Item>): Iterable<Item> {
    const links = this.#rt.links();
    const names = new Map(links.map(({ index, name }) => [index, name]));
    const keys = new Set<string>();
    const shaped = new Map<string, Qdisc | Redirect>();
    for (const item of wanted()) {
      if (!this.kinds.has(item.kind)) continue;
      keys.add(keyOf(item));
      if (item.kind === 'qdisc' || item.kind === 'redirect') shaped.set(keyOf(item), item);
    }
    const own = new Set(links.filter((link) => link.alias === ownAlias).map(({ index }) => index));
    for (const link of links) {
      if (!own.has(link.index) && !keys.has(`link ${link.name}`)) continue;
      const item = linkItem(link, (index) => names.get(index));
      if (item) yield item;
    }
    yield* this.#onLinks(names, (link, item) => own.has(link) || keys.has(keyOf(item)));
    yield* this.#routes(names);
    if (shaped.size > 0) yield* this.#shapers(names, shaped);
  }

  /** Only what is wanted on a link: whatever else a link has there is its maker's, and goes with it. */
  *#shapers(names: ReadonlyMap<number, string>, wanted: ReadonlyMap<string, Qdisc | Redirect>): Iterable<Item> {
    for (const { link: index, parent, tbf } of this.#rt.qdiscs()) {
      const link = names.get(index) ?? `#${index}`;
      const qdisc = wanted.get(`qdisc ${link}`);
      if (parent === rootParent && tbf && qdisc?.kind === 'qdisc')
        yield isTbf(tbf, qdisc) ? qdisc : { kind: 'qdisc', link, ...tbfOf(tbf) };
      const redirect = parent === ingressParent && wanted.has(`redirect ${link}`) ? this.#rt.redirect(index) : undefined;
      if (redirect) yield { kind: 'redirect', link, to: names.get(redirect.to) ?? `#${redirect.to}` };
    }
  }

  *#onLinks(names: ReadonlyMap<number, string>, isOurs: (link: number, item: OnLink) => boolean): Iterable<Item> {
    for (const { link, address, prefixLength } of this.#rt.addresses()) {
      const item: Address = { kind: 'address', link: names.get(link) ?? `#${link}`, address, prefixLength };
      if (isOurs(link, item) && !(address.family === 'ipv6' && address.isLinkLocal)) yield item;
    }
    for (const { link, address, mac, state } of this.#rt.neighbours()) {
      if (!mac || !state?.includes('permanent')) continue;
      const item: Neighbour = { kind: 'neighbour', link: names.get(link) ?? `#${link}`, address, mac };
      if (isOurs(link, item)) yield item;
    }
    for (const { link, address, protocol } of this.#rt.proxies())
      if (protocol === routeProtocol.podnet) yield { kind: 'proxy', link: names.get(link) ?? `#${link}`, address };
    for (const { link, mac, destination } of this.#rt.fdb()) {
      if (!destination) continue;
      const item: Fdb = { kind: 'fdb', link: names.get(link) ?? `#${link}`, mac, destination };
      if (isOurs(link, item)) yield item;
    }
  }

  *#routes(names: ReadonlyMap<number, string>): Iterable<Route> {
    for (const route of this.#rt.routes({ protocol: routeProtocol.podnet })) {
      const { destination, type, gateway, onlink, source, mtu, table } = route;
      const item = { kind: 'route', destination, type, table } as Route;
      // The kernel shows IPv6's blackholes on `lo`.
      if (route.link !== undefined && (type === 'unicast' || type === 'local'))
        item.link = names.get(route.link) ?? `#${route.link}`;
      if (gateway) item.gateway = gateway;
      if (onlink) item.onlink = true;
      if (source) item.source = source;
      if (mtu !== undefined) item.mtu = mtu;
      yield item;
    }
  }

  apply(operations: readonly Operation[], wanted: () => Iterable<Item>): Failure[] {
    const failures: Failure[] = [];
    const remade = this.#links(operations, failures);
    const all = remade.size === 0 ? operations : [...operations, ...lostWith(remade, operations, wanted())];
    const indexes = new Map(this.#rt.links().map(({ index, name }: kernel.Link) => [name, index]));
    this.#sendAll(all.filter((operation) => operation.verb !== 'delete').sort(byKind), indexes, failures);
    this.#sendAll(
      all.filter((operation) => operation.verb === 'delete').sort((a, b) => byKind(b, a)),
      indexes,
      failures,
    );
    for (const operation of operations) {
      if (operation.verb !== 'delete' || operation.actual.kind !== 'link') continue;
      const { name } = operation.actual;
      this.#alone(operation.key, failures, () => this.#rt.deleteLink({ name }));
    }
    return failures;
  }

  /** Makes and changes links, in the order that masters come first. @returns names of links that were made anew, without what was on them */
  #links(operations: readonly Operation[], failures: Failure[]): Set<string> {
    const remade = new Set<string>();
    const indexOf = (name: string): number => {
      const link = this.#rt.link(name);
      if (!link) throw new Error(`there is no link ${name}`);
      return link.index;
    };
    const changes = operations.filter((operation) => operation.verb !== 'delete' && operation.item.kind === 'link');
    for (const operation of changes.sort((a, b) => Number(hasMaster(a)) - Number(hasMaster(b)))) {
      if (operation.verb === 'delete') continue;
      const link = operation.item as Link;
      this.#alone(operation.key, failures, () => {
        if (operation.verb === 'replace' && !mustBeRemade(link, operation.actual as Link)) changeLink(this.#rt, link, indexOf);
        else {
          if (operation.verb === 'replace') {
            this.#rt.deleteLink({ name: link.name });
            remade.add(link.name);
          }
          makeLink(this.#rt, link, indexOf);
        }
      });
    }
    return remade;
  }

  #alone(key: string, failures: Failure[], change: () => void): void {
    try {
      change();
    } catch (error) {
      failures.push({ key, error: error as Error });
    }
  }

  #sendAll(operations: readonly Operation[], indexes: ReadonlyMap<string, number>, failures: Failure[]): void {
    const sent: string[] = [];
    const errors = this.#rt.tryBatch((batch) => {
      for (const operation of operations) {
        const item = operation.verb === 'delete' ? operation.actual : operation.item;
        if (!isOnLink(item)) continue;
        const index = item.link === undefined ? undefined : indexes.get(item.link);
        if (item.link !== undefined && index === undefined) {
          // What was on a link went with it.
          if (operation.verb !== 'delete')
            failures.push({ key: operation.key, error: new Error(`${operation.key}: there is no link ${item.link}`) });
          continue;
        }
        this.#alone(operation.key, failures, () => {
          write(batch, operation.verb, item, index, indexes);
          while (sent.length < batch.operations.length) sent.push(operation.key);
        });
      }
    });
    for (const [place, error] of errors) failures.push({ key: sent[place]!, error });
  }
}

const order: Item['kind'][] = ['address', 'route', 'neighbour', 'proxy', 'fdb', 'qdisc', 'redirect'];
/** Addresses come before routes, which name them as their source. */
const byKind = (a: Operation, b: Operation): number => order.indexOf(a.kind) - order.indexOf(b.kind);

const hasMaster = (operation: Operation): boolean =>
  operation.verb !== 'delete' && operation.item.kind === 'link' && operation.item.master !== undefined;

const isOnLink = (item: Item): item is OnLink => order.includes(item.kind);

/** What the kernel dropped with a link, to be added again. */
function* lostWith(links: ReadonlySet<string>, operations: readonly Operation[], wanted: Iterable<Item>): Iterable<Operation> {
  const planned = new Set(operations.map(({ key }) => key));
  for (const item of wanted) {
    if (!isOnLink(item) || item.link === undefined) continue;
    if (!links.has(item.link) && !(item.kind === 'redirect' && links.has(item.to))) continue;
    const key = keyOf(item);
    if (!planned.has(key)) yield { verb: 'add', kind: item.kind, key, item };
  }
}

function write(
  batch: RtBatch,
  verb: Operation['verb'],
  item: OnLink,
  index: number | undefined,
  indexes: ReadonlyMap<string, number>,
): void {
  const link = index ?? 0;
  switch (item.kind) {
    case 'address': {
      const { address, prefixLength } = item;
      if (verb === 'delete') batch.deleteAddress({ link, address, prefixLength });
      else batch.replaceAddress({ link, address, prefixLength, flags: address.family === 'ipv6' ? ['nodad'] : [] });
      return;
    }
    case 'route': {
      const { destination, type, gateway, onlink, source, mtu, table } = item;
      if (verb === 'delete') batch.deleteRoute({ destination, type, table, protocol: routeProtocol.podnet });
      else if (verb === 'add') batch.addRoute({ destination, type, link: index, gateway, onlink, source, mtu, table });
      else batch.replaceRoute({ destination, type, link: index, gateway, onlink, source, mtu, table });
      return;
    }
    case 'neighbour': {
      const { address, mac } = item;
      if (verb === 'delete') batch.deleteNeighbour({ link, address });
      else batch.replaceNeighbour({ link, address, mac });
      return;
    }
    case 'proxy': {
      if (verb === 'delete') batch.deleteProxy(link, item.address);
      else batch.addProxy(link, item.address);
      return;
    }
    case 'fdb': {
      const { mac, destination } = item;
      if (verb === 'delete') batch.deleteFdb({ link, mac, destination });
      else batch.replaceFdb({ link, mac, destination });
      return;
    }
    case 'qdisc':
      if (verb === 'delete') batch.deleteRootQdisc(link);
      else batch.replaceTbf(link, item);
      return;
    case 'redirect': {
      const to = indexes.get(item.to);
      if (verb !== 'delete' && to === undefined) throw new Error(`there is no link ${item.to} to redirect ${item.link} to`);
      // What somebody else put there would stand in the way, or be asked first.
      batch.deleteIngress(link);
      if (verb !== 'delete') batch.addRedirect({ link, to: to! });
    }
  }
}
