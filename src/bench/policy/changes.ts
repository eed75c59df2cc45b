import type { Spread } from '../stats.ts';

/**
 * What happens in a cluster of 10,000 pods and 1,000 policies:
 * - pod-label: a pod's label, and with it whom it may reach
 * - namespace-label: a namespace's label moves 10,000 pods out of the peers of all policies, or back
 * - policy: a policy comes or goes
 */
export type ChangeKind = 'pod-label' | 'namespace-label' | 'policy';
export const changeKinds: readonly ChangeKind[] = ['pod-label', 'namespace-label', 'policy'];

/** One kind of change, each of them there and back. */
export interface ChangeRow {
  kind: ChangeKind;
  events: number;
  /** From the event given to the agent's planner until the kernel holds elements and epoch. */
  kernelMs: Spread;
  /** From the event given to its process until packets of a flow that stands go as they should. */
  packetsMs: Spread;
  /** Of it, the planning. Median. */
  planMs: number;
  /** Elements that were written. Median. */
  elements: number;
}

/** What it took to begin, in a process of its own. */
export interface Loaded {
  pods: number;
  policies: number;
  /** From the start of the process until the kernel held everything. */
  coldMs: number;
  /** Of it: from objects to items, and from items to the kernel. */
  planMs: number;
  kernelMs: number;
  /** In the kernel. */
  elements: number;
  rssMb: number;
  peakMb: number;
  /** RSS after all changes. */
  laterMb: number;
}
