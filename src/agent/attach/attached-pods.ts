import type { AttachmentKey } from '../../cni/request.ts';
import { type Ipam, keyText, type Lease, type LeaseKey } from '../../ipam/index.ts';
import type { Attacher, LinkNode } from '../../links/index.ts';
import type { Item } from '../../reconcile/model.ts';
import type { Reconciler } from '../../reconcile/reconciler.ts';
import { linkOf } from './attachment.ts';
import { type Door, guestOwner } from './door.ts';
import { mappingItems, mappingOwner } from './hostports.ts';

export interface AttachedPodsOptions {
  ipam: Ipam;
  attacher: Attacher;
  door: Door;
  reconciler: Reconciler;
  /** What is known of the node; undefined until it is. */
  node: () => LinkNode | undefined;
}

export const attachmentOwner = (key: AttachmentKey): string => `pod ${keyText(key)}`;

/** The pods whose links are on the node, and what the reconciler has of each: the items of its link, its door and its host ports. */
export class AttachedPods {
  readonly #options: AttachedPodsOptions;
  /** Of links, by `keyText`. */
  readonly #items = new Map<string, readonly Item[]>();

  constructor(options: AttachedPodsOptions) {
    this.#options = options;
  }

  /** What the node holds for a pod's link; undefined for one whose link is not there. */
  itemsOf(key: LeaseKey): readonly Item[] | undefined {
    return this.#items.get(keyText(key));
  }

  /** Whether its link is on the node. */
  has(key: LeaseKey): boolean {
    return this.#items.has(keyText(key));
  }

  get size(): number {
    return this.#items.size;
  }

  /** The link is there with all it needs. @returns tells the reconciler so, which may be done a moment later */
  attached(key: LeaseKey, items: readonly Item[]): () => void {
    this.#items.set(keyText(key), items);
    return () => this.#options.reconciler.contribute(attachmentOwner(key), items, { applied: true });
  }

  /** The link is gone, or going. Doors and host ports are withdrawn by those who know what else goes in the same transaction. */
  detached(key: LeaseKey): void {
    this.#items.delete(keyText(key));
  }

  /** A lease that was made anew from its link has its own key now. */
  renamed(from: LeaseKey, lease: Lease): void {
    const { reconciler, door } = this.#options;
    const { key } = lease;
    const items = this.itemsOf(from);
    if (items) {
      this.attached(key, items)();
      const link = linkOf(lease);
      if (link) {
        reconciler.contribute(guestOwner(key), door.guest(link));
        reconciler.contribute(mappingOwner(key), mappingItems(lease));
      }
    }
    this.detached(from);
    reconciler.withdraw(attachmentOwner(from), { applied: true });
    reconciler.withdraw(guestOwner(from));
    reconciler.withdraw(mappingOwner(from));
  }

  /**
   * Plans every attachment anew, for the node as it is now. One whose link is gone (its sandbox ended while nobody told) wants nothing any more; its
   * lease stays until DEL or GC.
   * @param linkNames of all links on the node
   */
  refresh(linkNames: ReadonlySet<string>): void {
    const { ipam, reconciler, attacher, door, node } = this.#options;
    const known = node();
    if (!known) return;
    for (const lease of ipam.leases()) {
      const { key } = lease;
      const link = linkOf(lease);
      if (!link || !linkNames.has(link.hostLink)) {
        this.detached(key);
        for (const owner of [attachmentOwner(key), guestOwner(key), mappingOwner(key)]) reconciler.withdraw(owner);
        continue;
      }
      const items = attacher.mode.planPod(link, known);
      this.#items.set(keyText(key), items);
      reconciler.contribute(attachmentOwner(key), items);
      reconciler.contribute(guestOwner(key), door.guest(link));
      reconciler.contribute(mappingOwner(key), mappingItems(lease));
    }
  }

  /** Puts right what the reconciler's model does not have of the links that are there. To be called after a full check. */
  mend(): void {
    const { ipam, attacher } = this.#options;
    attacher.mend(ipam.leases().flatMap((lease) => (this.has(lease.key) ? (linkOf(lease) ?? []) : [])));
  }

  /** Leases without a link, in words. */
  lost(): string[] {
    return this.#options.ipam
      .leases()
      .filter(({ key }) => !this.has(key))
      .map(
        ({ key, addresses, notes }) => `${notes.pod || key.containerId} holds ${addresses.join(' and ')}, but its link is gone`,
      );
  }
}
