import { KernelError } from '../kernel/errors.ts';
import { type RouteEvent, watchRoute } from '../kernel/monitor.ts';
import type { NetNs } from '../kernel/netns.ts';
import type { Link } from '../kernel/rtnetlink/links.ts';
import { isTbf, rootParent } from '../kernel/rtnetlink/qdiscs.ts';
import { routeProtocol, routeTable } from '../kernel/rtnetlink/routes.ts';
import { isPodLink, isShaperLink } from '../links/index.ts';
import type { Item, NodeNetwork } from '../reconcile/model.ts';

export interface DriftHandler {
  /** Something of podnet's was changed by somebody else: compare all. */
  onDrift(what: string): void;
  /** Somebody else changed nftables, or may have. */
  onRules(): void;
  /** A link or address came, went or changed; of pods' links only that they went. */
  onLinks(): void;
}

/** Bursts (a bridge that takes all its routes along) are looked at once. */
const gatherMs = 25;
/** A pod's ADD causes a dozen events: they are read when the next ADDs have been answered. */
const readLaterMs = 25;

/** How often it is asked whether somebody else changed nftables. Listening would make every transaction of anybody on the machine slower, see `Nft`. */
const askMs = 500;

/** What there is to compare an event with. */
export interface DriftView {
  /** What the kernel is known to hold, by key. */
  held(): NodeNetwork;
  /** The links there are; asked at the start and when events were lost. */
  links(): readonly Link[];
  /** Changes when somebody else changed nftables (`Nft.foreignGeneration`). */
  ruleset(): number;
}

/**
 * Watches the node's network for what others do to it. An event tells only where to look: what is wrong is found by the reconciler's full check,
 * which writes nothing when the event was podnet's own. Links are judged as the last event of a burst tells them: podnet itself changes them step by
 * step. Nothing is read for an event, or a pod would cost the more the more pods there are.
 */
export function watchDrift(ns: NetNs, { held, links: present, ruleset }: DriftView, handler: DriftHandler): Disposable {
  const names = new Map<number, string>();
  let learnt = false;
  /** Where the list of links was cut (F36) it is read again: the full check that comes with lost events needs no names. */
  const learn = (): void => {
    try {
      for (const { index, name } of present()) names.set(index, name);
      learnt = true;
    } catch (error) {
      learnt = false;
      if (!(error instanceof KernelError)) throw error;
    }
  };
  /** By name, as last told; undefined when it is gone. */
  const suspects = new Map<string, Link | undefined>();
  let timer: NodeJS.Timeout | undefined;
  let reason: string | undefined;
  let links = false;
  const tell = (): void => {
    timer = undefined;
    if (suspects.size > 0) {
      const hurt = hurtLink(suspects, held(), names);
      suspects.clear();
      if (hurt !== undefined) reason ??= hurt;
    }
    if (links) handler.onLinks();
    if (reason !== undefined) handler.onDrift(reason);
    links = false;
    reason = undefined;
  };
  const later = (): void => void (timer ??= setTimeout(tell, gatherMs));
  const drift = (what: string): void => {
    reason ??= what;
    later();
  };
  /** A pod's link that comes was made here, and so were its addresses; one that is held and goes may be an attachment that nobody will delete. */
  const concernsLinks = (event: RouteEvent): boolean => {
    if (event.topic === 'addresses') return !isOfPod(names.get(event.address.link) ?? '');
    if (event.topic !== 'links') return false;
    const { name } = event.link;
    return !isOfPod(name) || (event.change === 'delete' && held().has(`link ${name}`));
  };
  const onEvent = (event: RouteEvent): void => {
    if (event.topic === 'links') {
      const { index, name } = event.link;
      if (event.change === 'delete') names.delete(index);
      else names.set(index, name);
      if (held().has(`link ${name}`)) {
        suspects.set(name, event.change === 'delete' ? undefined : event.link);
        later();
      }
    }
    if (concernsLinks(event)) {
      links = true;
      later();
    }
    const key = keyOfLost(event, (index) => names.get(index) ?? '', held);
    if (key !== undefined && held().has(key)) drift(key);
  };
  const onResync = (): void => {
    learn();
    links = true;
    drift('events were lost');
  };
  let known = ruleset();
  const ask = (): void => {
    if (!learnt) learn();
    const now = ruleset();
    if (now === known) return;
    known = now;
    handler.onRules();
    drift('nftables was changed by somebody else');
  };
  const asking = setInterval(ask, askMs).unref();
  const topics = ['links', 'addresses', 'routes', 'neighbours', 'qdiscs'] as const;
  const monitor = watchRoute(ns, topics, { onEvent, onResync }, { gatherMs: readLaterMs });
  // After the monitor began, so that nothing falls between.
  learn();
  return {
    [Symbol.dispose]() {
      clearTimeout(timer);
      clearInterval(asking);
      monitor[Symbol.dispose]();
    },
  };
}

const isOfPod = (name: string): boolean => isPodLink(name) || isShaperLink(name);

/** The key of an item that this event may have hurt. */
function keyOfLost(event: RouteEvent, nameOf: (index: number) => string, held: () => NodeNetwork): string | undefined {
  switch (event.topic) {
    case 'links':
      return undefined;
    case 'routes': {
      const { table, destination, protocol } = event.route;
      const isOurs = protocol === routeProtocol.podnet;
      if (event.change === 'new' && isOurs) return undefined;
      return `route ${table ?? routeTable.main} ${destination}`;
    }
    case 'addresses':
      return event.change === 'delete' ? `address ${nameOf(event.address.link)} ${event.address.address}` : undefined;
    case 'neighbours': {
      const { link, address, state } = event.neighbour;
      if (event.change === 'new' && state?.includes('permanent')) return undefined;
      return `neighbour ${nameOf(link)} ${address}`;
    }
    case 'fdb':
      return event.change === 'delete' ? `fdb ${nameOf(event.fdb.link)} ${event.fdb.mac}` : undefined;
    case 'qdiscs': {
      const { link, parent, tbf } = event.qdisc;
      if (parent !== rootParent) return event.change === 'delete' ? `redirect ${nameOf(link)}` : undefined;
      const key = `qdisc ${nameOf(link)}`;
      const item = held().get(key);
      return event.change === 'new' && tbf && item?.kind === 'qdisc' && isTbf(tbf, item) ? undefined : key;
    }
    case 'filters': {
      const key = `redirect ${nameOf(event.link)}`;
      const item = held().get(key);
      const isOurs = event.redirect && item?.kind === 'redirect' && nameOf(event.redirect.to) === item.to;
      return event.change === 'new' && isOurs ? undefined : key;
    }
  }
}

/** The first of these links that is not as podnet wrote it. */
function hurtLink(
  suspects: ReadonlyMap<string, Link | undefined>,
  held: NodeNetwork,
  names: ReadonlyMap<number, string>,
): string | undefined {
  for (const [name, link] of suspects) {
    const item: Item | undefined = held.get(`link ${name}`);
    if (item?.kind !== 'link') continue;
    const isHurt =
      !link?.up ||
      link.type !== item.type ||
      (item.mtu !== undefined && item.mtu !== link.mtu) ||
      (item.mac !== undefined && !link.mac?.equals(item.mac)) ||
      (link.master === undefined ? undefined : names.get(link.master)) !== item.master;
    if (isHurt) return `link ${name}`;
  }
  return undefined;
}
