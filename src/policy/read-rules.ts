import { NotUnderstood } from './fields.ts';
import type { Action, Direction, Problem, Rule } from './model.ts';

/** The rules of one direction of an object, each read by `read`; one that cannot be understood fails closed, alone. */
export function readRules(
  rules: readonly unknown[],
  direction: Direction,
  problems: Problem[],
  read: (rule: unknown, at: string) => Rule,
): Rule[] {
  return rules.map((rule, index) => {
    const at = `spec.${direction}[${index}]`;
    try {
      return read(rule, at);
    } catch (error) {
      if (!(error instanceof NotUnderstood)) throw error;
      const closed = closedRule(at, actionOf(rule), nameOf(rule), `${error.at}: ${error.message}`);
      problems.push({ at: error.at, what: error.message, effect: effectOf(closed) });
      return closed;
    }
  });
}

/** A rule that is not understood: what would accept matches nothing; what would deny or pass denies all (NP19, CNP10). */
export const closedRule = (at: string, action: Action, name: string | undefined, closed: string): Rule => ({
  at,
  ...(name === undefined ? {} : { name }),
  ...(action === 'Accept' ? { action, peers: [], ports: undefined } : { action: 'Deny', peers: undefined, ports: undefined }),
  closed,
});

/**
 * A rule of a policy of which the head is not understood (whom it is about, or when it is asked): it may be read for more than is meant.
 * What would accept matches nothing, what would deny or pass denies what it names.
 */
export const closedByHead = (rule: Rule, closed: string): Rule =>
  rule.action === 'Accept'
    ? closedRule(rule.at, 'Accept', rule.name, closed)
    : { ...rule, action: 'Deny', closed: rule.closed ?? closed };

const effectOf = ({ action }: Rule): string => (action === 'Accept' ? 'the rule allows nothing' : 'the rule denies everything');

/** NetworkPolicy's rules accept; of an action that is not known nothing can be said but that it may deny. */
function actionOf(rule: unknown): Action {
  if (typeof rule !== 'object' || rule === null || !('action' in rule)) return 'Accept';
  return rule.action === 'Accept' || rule.action === 'Allow' ? 'Accept' : 'Deny';
}

const nameOf = (rule: unknown): string | undefined =>
  typeof rule === 'object' && rule !== null && 'name' in rule && typeof rule.name === 'string' ? rule.name : undefined;
