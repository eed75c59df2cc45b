import type { Action, Direction, Policy, Rule } from './model.ts';
import type { End } from './packet.ts';

/** Whether a connection may be, and why, at both of its ends (NP9). */
export interface Verdict {
  allowed: boolean;
  source: End;
  destination: End;
  egress: Judgement;
  ingress: Judgement;
}

/** What the policies of one end say: egress of the source, ingress of the destination. */
export interface Judgement {
  direction: Direction;
  allowed: boolean;
  reason: Reason;
  /** Rules that passed it on to the next tier, on the way to the reason. */
  passed: readonly RuleHit[];
}

/** A rule that matched, and by which items of its lists; `undefined` where it has none. */
export interface RuleHit {
  policy: Policy;
  rule: Rule;
  peer: number | undefined;
  port: number | undefined;
}

/** A rule that might have allowed it. */
export interface RuleMiss {
  policy: Policy;
  rule: Rule;
  /** With `ports` a peer matched. */
  by: 'peers' | 'ports';
}

export type Reason =
  /** The end is no pod of the cluster's network: no policy is about it. */
  | { code: 'no-pod' }
  /** A pod and its own address (NP11, CNP9). */
  | { code: 'itself' }
  /** A pod and the node it runs on (NP12, CNP12). */
  | { code: 'own-node' }
  | ({ code: 'rule'; action: Exclude<Action, 'Pass'> } & RuleHit)
  /** These NetworkPolicies isolate the pod, and none of their rules matched. */
  | { code: 'default-deny'; isolatedBy: readonly Policy[]; misses: readonly RuleMiss[] }
  /** Nothing isolates the pod, and no cluster-wide rule matched. */
  | { code: 'default-allow' };

/** Whether a reason lets traffic pass. */
export const allows = (reason: Reason): boolean =>
  reason.code === 'rule' ? reason.action === 'Accept' : reason.code !== 'default-deny';
