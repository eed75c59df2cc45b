import type { Reconciler } from '../../../reconcile/index.ts';
import type { Item } from '../../../reconcile/model.ts';
import { planPolicyChains } from '../chains/chains.ts';
import { defaultConnmarkMask, nextEpoch, planEpoch } from '../chains/epoch.ts';
import type { PolicyPlanNode, PolicyPlanner } from '../planner.ts';

/** What one change came to. */
export interface Settled {
  /** Elements, chains and sets that were written. */
  operations: number;
  /** From the planner's changes to items, ms. */
  planMs: number;
}

/** Brings a node's kernel to what its planner says: elements in one transaction, and in another one behind it the epoch in which they hold (ADR 19). */
export class Enforcer {
  readonly #planner: PolicyPlanner;
  readonly #reconciler: Reconciler;
  readonly #chains: readonly Item[];
  #isActive = false;
  #epoch: number;

  /** @param epoch the one that the kernel has, or connections bear */
  constructor(planner: PolicyPlanner, reconciler: Reconciler, node: PolicyPlanNode, epoch = 0) {
    this.#planner = planner;
    this.#reconciler = reconciler;
    this.#chains = planPolicyChains(node);
    this.#epoch = epoch;
  }

  /** @throws what the kernel refused */
  settle(): Settled {
    const begin = performance.now();
    const changes = [...this.#planner.changes()];
    const planMs = performance.now() - begin;
    const { isActive } = this.#planner;
    if (changes.length === 0 && isActive === this.#isActive) return { operations: 0, planMs };
    for (const [owner, items] of changes) this.#reconciler.contribute(owner, items);
    if (isActive !== this.#isActive) {
      this.#reconciler.contribute('policy layout', isActive ? this.#chains : []);
      if (isActive) this.#contributeEpoch();
      else this.#reconciler.withdraw('policy epoch');
      this.#isActive = isActive;
    }
    let operations = this.#sync();
    if (isActive) {
      this.#contributeEpoch();
      operations += this.#sync();
    }
    return { operations, planMs };
  }

  #contributeEpoch(): void {
    const next = nextEpoch(this.#epoch, defaultConnmarkMask, new Set());
    if (next === undefined) throw new RangeError(`there is no epoch behind ${this.#epoch}`);
    this.#epoch = next;
    this.#reconciler.contribute('policy epoch', planEpoch(this.#epoch, defaultConnmarkMask));
  }

  #sync(): number {
    const { operations, failures } = this.#reconciler.sync();
    const [failure] = failures;
    if (failure) throw failure.error;
    return operations.length;
  }
}
