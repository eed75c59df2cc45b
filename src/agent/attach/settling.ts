import type { NetNs } from '../../kernel/netns.ts';
import type { Attacher, PodLink } from '../../links/index.ts';

/**
 * Does what no packet of a pod waits for when the runtime has its answer.
 * @param ns of the pod; closed then
 * @param onError nobody else hears of it: deleted this moment, or an interface of another name by now. What is left of the pod is CHECK's to judge
 */
export function settleSoon(attacher: Attacher, link: PodLink, ns: NetNs, onError?: (error: Error) => void): void {
  setImmediate(() => {
    try {
      attacher.settle(link, ns);
    } catch (error) {
      onError?.(new Error(`settling ${link.hostLink}: ${(error as Error).message}`, { cause: error }));
    } finally {
      ns[Symbol.dispose]();
    }
  });
}
