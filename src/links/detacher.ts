import { isNotFound } from '../kernel/errors.ts';
import type { NetNs } from '../kernel/netns.ts';
import { routeProtocol } from '../kernel/rtnetlink/routes.ts';
import type { RtNetlink } from '../kernel/rtnetlink/rtnetlink.ts';
import type { Item } from '../reconcile/model.ts';
import { throwFirst } from './errors.ts';
import { deletionGroup } from './pod-link.ts';
import { Reaper } from './reaper.ts';

/** Takes pods' links out of service at once, and has them deleted in the background. */
export class Detacher implements Disposable {
  readonly #rt: RtNetlink;
  readonly #reaper: Reaper;

  /** @param ns the node's namespace; stays the caller's, as `rt` does */
  constructor(ns: NetNs, rt: RtNetlink) {
    this.#rt = rt;
    this.#reaper = new Reaper(ns);
    // What a killed agent had no time for.
    if (this.#rt.links().some(({ group }) => group === deletionGroup)) this.#reaper.schedule();
  }

  /** See `Attacher.detach`. */
  detach(hostLink: string, items: readonly Item[], drained: boolean): boolean {
    this.#deleteElsewhere(hostLink, items);
    this.#detachShaper(hostLink, items);
    const link = this.#rt.link(hostLink);
    if (!link) return false;
    try {
      this.#rt.setLink(link.index, { ...(drained ? {} : { up: false }), group: deletionGroup });
    } catch (error) {
      if (!isNotFound(error)) throw error;
      return false; // its namespace was deleted this moment
    }
    this.#reaper.schedule();
    return true;
  }

  /** Waits until every detached link is gone. */
  drain(): Promise<void> {
    return this.#reaper.drain();
  }

  /** What keeps detached links from being deleted, in words; it is tried again. */
  problems(): string[] {
    const { failure } = this.#reaper;
    return failure ? [`links of deleted pods are still there: ${failure.message}; it is tried again`] : [];
  }

  /** Fulfilled when nothing of it runs any more; after dispose. */
  get ended(): Promise<void> {
    return this.#reaper.ended;
  }

  [Symbol.dispose](): void {
    this.#reaper[Symbol.dispose]();
  }

  /** The ifb of a limited pod goes with its link. What is in the deletion group is the reaper's, and nobody's own any more. */
  #detachShaper(hostLink: string, items: readonly Item[]): void {
    const shaper = items.find((item) => item.kind === 'link' && item.name !== hostLink);
    const link = shaper?.kind === 'link' ? this.#rt.link(shaper.name) : undefined;
    if (!link) return;
    try {
      this.#rt.setLink(link.index, { alias: '', group: deletionGroup });
    } catch (error) {
      if (!isNotFound(error)) throw error;
      return;
    }
    this.#reaper.schedule();
  }

  /** A link that goes down takes its routes and neighbours along; those on a bridge stay. */
  #deleteElsewhere(hostLink: string, items: readonly Item[]): void {
    const elsewhere = items.filter((item) => (item.kind === 'route' || item.kind === 'neighbour') && item.link !== hostLink);
    if (elsewhere.length === 0) return;
    // Looked up beforehand: a batch and a request cannot be under way at once.
    const names = new Set(elsewhere.flatMap((item) => ('link' in item && item.link !== undefined ? [item.link] : [])));
    const indexes = new Map(Array.from(names, (name) => [name, this.#rt.link(name)?.index]));
    const errors = this.#rt.tryBatch((batch) => {
      for (const item of elsewhere) {
        if (item.kind === 'route') {
          const { destination, type, table } = item;
          batch.deleteRoute({ destination, type, table, protocol: routeProtocol.podnet });
        }
        const link = item.kind === 'neighbour' ? indexes.get(item.link) : undefined;
        if (item.kind === 'neighbour' && link !== undefined) batch.deleteNeighbour({ link, address: item.address });
      }
    });
    throwFirst(errors);
  }
}
