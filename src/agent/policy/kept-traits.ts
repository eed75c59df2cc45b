import type { Ipam } from '../../ipam/index.ts';
import type { PodView } from '../watch/pod-view.ts';
import { traitsNote } from './pod-traits.ts';

export interface KeptTraitsParts {
  ipam: Pick<Ipam, 'leases' | 'replace'>;
  log: (line: string) => void;
  /** From what changed to the first lease that is written. */
  delayMs?: number;
  /** Between two leases, so that no ADD waits for more than one. */
  pauseMs?: number;
  /** After a write that failed. */
  retryMs?: number;
}

/**
 * Keeps in the leases of this node's pods what policies select them by, up to date while somebody follows it: after a restart it is all that tells it of a pod that
 * the API does not have any more. ADD writes the first note with the lease; what changes is written behind it, since a moment's delay only costs what `unknownLabels` does.
 */
export class KeptTraits implements Disposable {
  readonly #parts: Required<KeptTraitsParts>;
  /** Notes that leases are to have, by pod. */
  readonly #wanted = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;
  #fault: string | undefined;

  constructor(parts: KeptTraitsParts) {
    this.#parts = { delayMs: 1000, pauseMs: 5, retryMs: 30_000, ...parts };
  }

  /** @param key `namespace/name` */
  set(key: string, view: PodView): void {
    this.#wanted.set(key, traitsNote(view));
    this.#wait(this.#parts.delayMs);
  }

  /** Nobody follows them from now on: what is noted would be wrong one day. */
  forgetAll(): void {
    this.#wanted.clear();
    for (const { notes } of this.#parts.ipam.leases()) if (notes.pod && notes.traits) this.#wanted.set(notes.pod, '');
    if (this.#wanted.size > 0) this.#wait(this.#parts.delayMs);
  }

  /** Writes what is not written yet. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    try {
      while (this.#writeOne());
    } catch (error) {
      this.#tell(error as Error);
    }
  }

  #wait(ms: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      try {
        if (!this.#writeOne()) return;
        this.#fault = undefined;
        this.#wait(this.#parts.pauseMs);
      } catch (error) {
        this.#tell(error as Error);
        this.#wait(this.#parts.retryMs);
      }
    }, ms).unref();
  }

  /** @returns false when none is left. @throws IpamError 'storage' */
  #writeOne(): boolean {
    const { ipam } = this.#parts;
    if (this.#wanted.size === 0) return false;
    const leases = ipam.leases();
    for (const [key, traits] of this.#wanted) {
      const stale = leases.find(({ notes }) => notes.pod === key && (notes.traits ?? '') !== traits);
      if (stale) {
        ipam.replace(stale, stale.key, { ...stale.notes, traits });
        return true;
      }
      this.#wanted.delete(key);
    }
    return false;
  }

  #tell({ message }: Error): void {
    if (message !== this.#fault) this.#parts.log(`labels of pods are not noted in their leases: ${message}`);
    this.#fault = message;
  }
}
