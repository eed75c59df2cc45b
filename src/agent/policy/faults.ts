import { CniError, cniCode } from '../../cni/errors.ts';
import type { Item } from '../../reconcile/model.ts';
import type { OwnerStatus } from '../../reconcile/owner-statuses.ts';
import { policyEpochOwner, policyKindsOwner, policyLayoutOwner } from './layout.ts';

/** Without these no pod of the node is judged as it should be. */
const foundations: readonly string[] = [policyLayoutOwner, policyEpochOwner, 'policy dns'];
/** They say who is logged, and which kinds of policies there are, and nothing of what may pass. */
const isOther = (owner: string): boolean => !owner.startsWith('policy ') || owner === 'policy denials' || owner === policyKindsOwner;

/** Owner of a pod's defaults, and the beginning of those of its rows (`src/policy/plan`). */
export const podOwner = (key: string): string => `policy pod ${key}`;
export const rowsOwners = (key: string): string => `policy rows ${key} `;

/** Whether it says that policies select a pod; other elements say what a pod may do with itself, and which addresses are pods' of this node. */
export const isDefault = (item: Item): boolean => item.kind === 'nft-element' && /^policy-(egress|ingress)-default/.test(item.set);

/** What the kernel refuses of policies, by owner. */
export class PolicyFaults {
  readonly #failing = new Map<string, string>();

  /** To be called for each new status of an owner. */
  heard(owner: string, status: OwnerStatus | undefined): void {
    if (isOther(owner)) return;
    if (status?.state === 'error') this.#failing.set(owner, status.why);
    // What is to be tried again is refused until it is there.
    else if (status?.state !== 'pending') this.#failing.delete(owner);
  }

  /** Owners with what the kernel said. */
  get failing(): ReadonlyMap<string, string> {
    return this.#failing;
  }

  /** Why no pod of this node is isolated for certain; undefined when each is that has its own elements. */
  get foundation(): string | undefined {
    return this.#why((owner) => foundations.includes(owner));
  }

  /** Why this pod's own isolation is not in the kernel. */
  of(key: string): string | undefined {
    return this.#why((owner) => owner === podOwner(key) || owner.startsWith(rowsOwners(key)));
  }

  #why(isMeant: (owner: string) => boolean): string | undefined {
    const found = [...this.#failing].filter(([owner]) => isMeant(owner)).map(([owner, why]) => `${owner}: ${why}`);
    return found.length === 0 ? undefined : found.join('; ');
  }
}

/** Rather no pod than one without its isolation. @param why in the words of the kernel, or of the planner */
export const notIsolated = (why: string, cause?: unknown): CniError =>
  new CniError(
    cniCode.tryAgainLater,
    `network policies select the pod, and what isolates it is not in the kernel: ${why}`,
    'the pod is not let out without its isolation; the runtime tries again by itself, and succeeds once the kernel takes all (see podnet status)',
    { cause },
  );
