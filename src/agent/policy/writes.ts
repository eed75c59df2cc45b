import { type GuardedPlanner, planPolicyChains } from '../../policy/plan/index.ts';
import type { NodeNetwork } from '../../reconcile/index.ts';
import type { Operation } from '../../reconcile/operations.ts';
import { PolicyClosing } from './closing.ts';
import { PolicyEpoch } from './epoch.ts';
import { concernsPolicies, PolicyLayout, policyEpochOwner } from './layout.ts';
import type { Contribution, PolicyPathParts } from './parts.ts';

/** For people. */
export const unmarkedText =
  'this kernel keeps no marks of connections (it was built without CONFIG_NF_CONNTRACK_MARK): policies are in force, but judge each packet in place of each connection, which costs more, and a connection to an address of a domain name ends with the time of the name';

export type PolicyWritesParts = Pick<
  PolicyPathParts,
  'podLinks' | 'mask' | 'reconciler' | 'faults' | 'conntrack' | 'wake' | 'sync' | 'log'
>;

/** What is contributed of a plan, in which order: elements, the chains that look them up, and once the kernel holds them a new epoch (ADR 19). */
export class PolicyWrites {
  readonly #parts: PolicyWritesParts;
  readonly #layout: PolicyLayout;
  readonly #closing: PolicyClosing;
  #epoch: PolicyEpoch | undefined;
  #triedWithoutMarks = false;
  /** Something was contributed that the kernel may not hold yet. */
  #isPending = false;
  #epochDue = false;
  /** What is being written is for new connections only. */
  #isForNew = false;
  #problem: string | undefined;

  constructor(parts: PolicyWritesParts) {
    this.#parts = parts;
    this.#layout = new PolicyLayout(planPolicyChains({ podLinks: parts.podLinks }));
    this.#closing = new PolicyClosing(parts);
  }

  /** Before the first plan. @param held what the kernel holds */
  begin(held: NodeNetwork): void {
    this.#epoch ??= new PolicyEpoch(this.#parts.mask, this.#parts.conntrack, held);
  }

  /** The present epoch; undefined before the first plan. */
  get epoch(): number | undefined {
    return this.#epoch?.present;
  }

  /** Why the kernel has no new epoch. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** The kernel keeps no marks of connections, and each packet is judged. */
  get isUnmarked(): boolean {
    return this.#epoch?.isMarked === false;
  }

  /** Pods that have less than policies allow, since the kernel refuses a part of what isolates them. */
  get closed(): ReadonlySet<string> {
    return this.#closing.closed;
  }

  /** Contributes what changed in the plan. */
  contribute(planner: GuardedPlanner): void {
    for (const [owner, items] of this.#changes(planner)) {
      this.#parts.reconciler.contribute(owner, items);
      this.#isPending = true;
    }
  }

  /** What changed in the plan, for who writes it now. */
  take(planner: GuardedPlanner): Contribution[] {
    const changes = [...this.#changes(planner)];
    if (changes.length > 0) this.#parts.wake();
    return changes;
  }

  /** What was contributed is written now. */
  settle(): void {
    if (this.#isPending) this.#parts.sync();
  }

  /**
   * Has a change of the plan in the kernel when it returns, for new connections: those that are there stay as they were judged.
   * @param what in words, for who reads why it failed
   */
  writeForNew(planner: GuardedPlanner, what: string, change: () => void): void {
    try {
      // With an epoch of its own, where it needs one.
      this.settle();
      change();
      const due = this.#epochDue;
      this.contribute(planner);
      this.#epochDue = due;
      this.#isForNew = true;
      this.settle();
    } catch (error) {
      this.#tell(`${what}: ${(error as Error).message}`);
    } finally {
      this.#isForNew = false;
    }
  }

  /** To be called when the kernel was written to. @param isActive policies are in force */
  written(isActive: boolean, operations: readonly Operation[]): void {
    this.#isPending = false;
    if (!isActive) {
      this.#epochDue = false;
      return;
    }
    this.#doWithoutMarks();
    // Elements are complete now: from here on connections are judged by them.
    const rest = this.#layout.complete();
    if (rest) this.#writeNow(rest);
    for (const part of this.#closing.update()) {
      this.#epochDue = true;
      this.#writeNow(part);
    }
    if (this.#epochDue || (!this.#isForNew && operations.some(concernsPolicies))) this.#beginEpoch();
  }

  *#changes(planner: GuardedPlanner): Iterable<Contribution> {
    const layout = this.#layout.set(planner.isActive, this.#parts.reconciler.actual());
    if (layout) {
      yield layout;
      yield [policyEpochOwner, planner.isActive ? this.#epoch!.items() : []];
    }
    for (const change of planner.changes()) {
      this.#epochDue = true;
      yield this.#closing.pass(change);
    }
  }

  /** A kernel without CONFIG_NF_CONNTRACK_MARK refuses `ct mark` (nft_ct_get_init, nft_ct_set_init). Tried once: what else it refuses so it goes on refusing. */
  #doWithoutMarks(): void {
    const epoch = this.#epoch!;
    const why = this.#parts.faults.failing.get(policyEpochOwner);
    if (this.#triedWithoutMarks || why === undefined || !/\bEOPNOTSUPP\b/.test(why)) return;
    this.#triedWithoutMarks = true;
    epoch.isMarked = false;
    if (this.#writeNow([policyEpochOwner, epoch.items()])) {
      this.#parts.log(`policies: ${unmarkedText}: ${why}`);
      return;
    }
    epoch.isMarked = true;
    this.#parts.reconciler.contribute(policyEpochOwner, epoch.items());
  }

  #beginEpoch(): void {
    if (this.isUnmarked) {
      this.#epochDue = false;
      this.#problem = undefined;
      return;
    }
    this.#epochDue = true;
    try {
      this.#epoch!.begin();
      this.#problem = undefined;
    } catch (error) {
      this.#tell((error as Error).message);
      return;
    }
    this.#epochDue = !this.#writeNow([policyEpochOwner, this.#epoch!.items()]);
  }

  /** @returns whether the kernel took it; else the next sync tries again */
  #writeNow([owner, items]: Contribution): boolean {
    try {
      this.#parts.reconciler.contributeNow(owner, items);
      return true;
    } catch (error) {
      this.#tell((error as Error).message);
      return false;
    }
  }

  #tell(problem: string): void {
    if (problem !== this.#problem) this.#parts.log(`policies: ${problem}`);
    this.#problem = problem;
  }
}
