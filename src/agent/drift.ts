import { type RouteEvent, watchNftables, watchRoute } from '../kernel/monitor.ts';
import type { NetNs } from '../kernel/netns.ts';
import type { Link } from '../kernel/rtnetlink/links.ts';
import { routeProtocol, routeTable } from '../kernel/rtnetlink/routes.ts';
import { isPodLink } from '../links/index.ts';
import type { Item, NodeNetwork } from '../reconcile/model.ts';

export interface DriftHandler {
  /** Something of podnet's was changed by somebody else: compare all. */
  onDrift(what: string): void;
  /** A link or address came, went or changed; of pods' links only that they went. */
  onLinks(): void;
}

/** Bursts (a bridge that takes all its routes along) are looked at once. */
const gatherMs = 50;

/** What there is to compare an event with. */
export interface DriftView {
  /** What the kernel is known to hold, by key. */
  held(): NodeNetwork;
  /** The links there are. */
  links(): readonly Link[];
  /** The netlink port that podnet's own nftables transactions come from. */
  nftPort(): number;
}

/**
 * Watches the node's network for what others do to it. An event tells only where to look: what is wrong is found by the reconciler's full check,
 * which writes nothing when the event was podnet's own. Links are looked at as they are when a burst is over: podnet itself changes them step by step.
 */
export function watchDrift(ns: NetNs, { held, links: present, nftPort }: DriftView, handler: DriftHandler): Disposable {
  const names = new Map<number, string>();
  const learn = (): void => {
    for (const { index, name } of present()) names.set(index, name);
  };
  const suspects = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  let reason: string | undefined;
  let links = false;
  const tell = (): void => {
    timer = undefined;
    if (suspects.size > 0) {
      const hurt = hurtLink(suspects, held(), present());
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
  const onEvent = (event: RouteEvent): void => {
    if (event.topic === 'links') {
      const { index, name } = event.link;
      if (event.change === 'delete') names.delete(index);
      else names.set(index, name);
      if (held().has(`link ${name}`)) {
        suspects.add(name);
        later();
      }
    }
    // A pod's link that comes was made here; one that goes may be an attachment that nobody will delete.
    if (event.topic === 'addresses' || (event.topic === 'links' && (event.change === 'delete' || !isPodLink(event.link.name)))) {
      links = true;
      later();
    }
    const key = keyOfLost(event, (index) => names.get(index) ?? '');
    if (key !== undefined && held().has(key)) drift(key);
  };
  const onResync = (): void => {
    learn();
    links = true;
    drift('events were lost');
  };
  const monitors = [
    watchRoute(ns, ['links', 'addresses', 'routes', 'neighbours'], { onEvent, onResync }),
    watchNftables(ns, {
      onEvent: ({ port, processName }) => {
        if (port !== nftPort()) drift(`nftables was changed by ${processName ?? 'somebody'}`);
      },
      onResync,
    }),
  ];
  // After the monitors began, so that nothing falls between.
  learn();
  return {
    [Symbol.dispose]() {
      clearTimeout(timer);
      for (const monitor of monitors) monitor[Symbol.dispose]();
    },
  };
}

/** The key of an item that this event may have hurt. */
function keyOfLost(event: RouteEvent, nameOf: (index: number) => string): string | undefined {
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
  }
}

/** The first of these links that is not as podnet wrote it. */
function hurtLink(suspects: ReadonlySet<string>, held: NodeNetwork, links: readonly Link[]): string | undefined {
  const nameOf = (index: number | undefined): string | undefined => links.find((link) => link.index === index)?.name;
  const isHurt = (name: string): boolean => {
    const item: Item | undefined = held.get(`link ${name}`);
    if (item?.kind !== 'link') return false;
    const link = links.find((one) => one.name === name);
    if (!link?.up || link.type !== item.type) return true;
    if (item.mtu !== undefined && item.mtu !== link.mtu) return true;
    if (item.mac !== undefined && !link.mac?.equals(item.mac)) return true;
    return nameOf(link.master) !== item.master;
  };
  const hurt = [...suspects].find(isHurt);
  return hurt === undefined ? undefined : `link ${hurt}`;
}
