import type { PolicyStatus } from '../agent/policy/report.ts';

/** What of a node's status it takes. */
export interface NodeOfPolicies {
  name: string;
  /** Absent when the agent does not answer. */
  policy?: PolicyStatus;
}

/**
 * What people are told of policies: which there are, where they are in force, and which parts of them are not understood (NP19), each once though every node
 * says it.
 */
export function policyLines(nodes: readonly NodeOfPolicies[]): { summary: string | undefined; warnings: string[] } {
  const told = nodes.flatMap(({ name, policy }) => (policy ? [{ name, policy }] : []));
  const warnings = [...new Set(told.flatMap(({ policy }) => policy.problems))];
  // A node that hears of the first one later than others has none yet.
  const counts = told.map(({ policy }) => policy.policies).toSorted((a, b) => sum(b) - sum(a))[0] ?? {};
  if (sum(counts) === 0) return { summary: undefined, warnings };
  const kinds = Object.keys(counts)
    .sort()
    .map((kind) => `${counts[kind]} ${kind}`);
  const missing = told.filter(({ policy }) => !policy.enforced).map(({ name }) => name);
  const pods = told.reduce((total, { policy }) => total + policy.pods, 0);
  const where = missing.length === 0 ? 'in force on all nodes' : `not in force yet on ${missing.join(', ')}`;
  return { summary: `policies: ${kinds.join(', ')}; ${where}, for ${pods} ${pods === 1 ? 'pod' : 'pods'}`, warnings };
}

const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((total, count) => total + count, 0);
