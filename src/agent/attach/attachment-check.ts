import type { Result } from '../../cni/result.ts';
import type { Lease } from '../../ipam/index.ts';
import type { Attacher, LinkNode, PodLink } from '../../links/index.ts';
import { keyOf } from '../../reconcile/model.ts';
import type { Reconciler } from '../../reconcile/reconciler.ts';
import type { Door } from './door.ts';
import { contradictions, toldOf } from './expected-result.ts';
import { mappingItems } from './hostports.ts';

/** How often CHECKs have the kernel read at most; what others change between is told by its events. */
const readAgainMs = 500;

export interface AttachmentCheckOptions {
  attacher: Attacher;
  door: Door;
  reconciler: Reconciler;
}

/** What CHECK looks at (CNI8). */
export class AttachmentCheck {
  readonly #options: AttachmentCheckOptions;
  /** When CHECK had the kernel read, by performance.now(). */
  #readAt = Number.NEGATIVE_INFINITY;

  constructor(options: AttachmentCheckOptions) {
    this.#options = options;
  }

  /** @returns what is wrong with an attachment, in words: by what ADD answered, in the pod, and on the node. @throws NamespaceError */
  wrongWith(lease: Lease, link: PodLink, netns: string, node: LinkNode, expected: Result): string[] {
    return [
      ...contradictions(expected, link),
      ...this.#options.attacher.check(link, netns, node, toldOf(expected, link)),
      ...this.#notInKernel(lease, link, node),
    ];
  }

  /** What the node must hold for a pod, and the kernel does not; it is mended soon. All is read for it, so that is done now and then only. */
  #notInKernel(lease: Lease, link: PodLink, node: LinkNode): string[] {
    const { attacher, door, reconciler } = this.#options;
    const items = [...attacher.mode.planPod(link, node), ...door.guest(link), ...mappingItems(lease)];
    const keys = new Set(items.map(keyOf));
    const read = performance.now() - this.#readAt > readAgainMs;
    if (read) this.#readAt = performance.now();
    const gone = reconciler.plan({ read }).filter(({ key, verb }) => verb !== 'delete' && keys.has(key));
    // What was read is settled by a sync, and what is gone mended.
    if (read || gone.length > 0) reconciler.markAll();
    return gone.map(({ key }) => `the node does not hold ${key}`);
  }
}
