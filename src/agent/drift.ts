import { type RouteEvent, watchNftables, watchRoute } from '../kernel/monitor.ts';
import type { NetNs } from '../kernel/netns.ts';
import { routeProtocol, routeTable } from '../kernel/rtnetlink/routes.ts';
import { isPodLink } from '../links/index.ts';
import type { NodeNetwork } from '../reconcile/model.ts';

export interface DriftHandler {
  /** Something of podnet's was changed by somebody else: compare all. */
  onDrift(what: string): void;
  /** A link or address came, went or changed; of pods' links only that they went. */
  onLinks(): void;
}

/** Bursts (a bridge that takes all its routes along) are looked at once. */
const gatherMs = 50;

/**
 * Watches the node's network for what others do to it. An event tells only where to look: what is wrong is found by the reconciler's full check,
 * which writes nothing when the event was podnet's own.
 * @param held what the kernel is known to hold, by key
 */
export function watchDrift(ns: NetNs, held: () => NodeNetwork, handler: DriftHandler): Disposable {
  let names = new Map<number, string>();
  let timer: NodeJS.Timeout | undefined;
  let reason: string | undefined;
  let links = false;
  const tell = (): void => {
    timer = undefined;
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
    names = new Map();
    links = true;
    drift('events were lost');
  };
  const monitors = [
    watchRoute(ns, ['links', 'addresses', 'routes', 'neighbours'], { onEvent, onResync }),
    watchNftables(ns, {
      onEvent: ({ processId, processName }) => {
        if (processId !== process.pid) drift(`nftables was changed by ${processName ?? 'somebody'}`);
      },
      onResync,
    }),
  ];
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
      // Podnet's own changes arrive here too; they are few.
      return event.change === 'delete' || !event.link.up ? `link ${event.link.name}` : undefined;
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
