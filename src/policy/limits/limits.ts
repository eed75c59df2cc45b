import { directions, type Policy, type Problem, type Rule } from '../model.ts';
import { comparePolicies } from '../policies.ts';
import { closedRule } from '../read-rules.ts';
import { networkLimit } from './networks.ts';
import { peerLimit } from './peers.ts';
import { portLimit } from './ports.ts';

/** How much there may be of something: of what one namespace's policies say, and of what all cluster-wide ones say together. */
export interface Most {
  namespace: number;
  cluster: number;
}

/** A rule that needs room. */
export interface Claim {
  policy: Policy;
  rule: Rule;
}

/** How much there is. */
export interface Size {
  size: number;
  /** Nobody counted to the end, so far beyond is it. */
  isAtLeast?: boolean;
}

/**
 * Something of which rules may take only so much. It is counted from policies alone, never from pods: whether a rule is in force does not depend on pods that come and go,
 * of other tenants too, and every node, the status and manifests without a cluster say the same.
 */
export interface Limit {
  most: Most;
  /** The policy's rules that need room, in order; the same list each time. */
  claimsOf(policy: Policy): readonly Claim[];
  /** What these take together, of one scope and in order of policies; no less than the first of them do. @param most what there is room for */
  sizeOf(claims: readonly Claim[], most: number): Size;
  /** What is wrong. @param where whose rules are counted together, @param size as text */
  tooMuch(where: string, size: string, most: number): string;
  /** Why a rule is closed. */
  closed: string;
  /** For policies that come and go. */
  book(): Book;
}

/** Of one scope: knows of most changes without counting all anew that there still is room. */
export interface Book {
  add(policy: Policy): void;
  delete(policy: Policy): void;
  /** No less than what `sizeOf` would say of all claims of its policies. */
  readonly bound: number;
  /** All was counted. @param claims of all its policies */
  counted?(size: number, claims: readonly Claim[]): void;
}

const limits: readonly Limit[] = [networkLimit, peerLimit, portLimit];

/** Whose policies are counted together: a namespace, or `''` for cluster-wide ones. */
export const scopeOf = ({ namespace = '' }: Policy): string => namespace;

const needsRoom = (policy: Policy): boolean => limits.some((limit) => limit.claimsOf(policy).length > 0);

/** All policies, and in place of those of which rules are over a limit what is left of them. */
export function withinLimits(policies: readonly Policy[]): readonly Policy[] {
  const byScope = new Map<string, Policy[]>();
  for (const policy of policies) {
    if (!needsRoom(policy)) continue;
    const some = byScope.get(scopeOf(policy));
    if (some) some.push(policy);
    else byScope.set(scopeOf(policy), [policy]);
  }
  const closed = new Map([...byScope.values()].flatMap((some) => [...closeBeyond(some)]));
  return closed.size === 0 ? policies : policies.map((policy) => closed.get(policy) ?? policy);
}

/** Rules of a policy that are over a limit. */
interface Closing {
  rules: ReadonlySet<Rule>;
  closed: string;
  what: string;
}

/**
 * Rules get room in the order of their policies' names and of their places, so that every node and every start closes the same ones; the first for which there is
 * none, and all after it that need such room, fail closed.
 * @param policies all of one scope that need room, @param books of them, where there are any
 * @returns those of which rules are closed, as they are now
 */
export function closeBeyond(policies: readonly Policy[], books?: ReadonlyMap<Limit, Book>): Map<Policy, Policy> {
  const closings = new Map<Policy, Closing[]>();
  for (const limit of limits)
    for (const [policy, closing] of closingsBy(limit, policies, books?.get(limit))) closings.set(policy, [...(closings.get(policy) ?? []), closing]);
  return new Map(Array.from(closings, ([policy, some]) => [policy, closeRules(policy, some)]));
}

function closingsBy(limit: Limit, policies: readonly Policy[], book?: Book): Map<Policy, Closing> {
  const scope = policies[0] ? scopeOf(policies[0]) : '';
  const most = scope === '' ? limit.most.cluster : limit.most.namespace;
  if (book && book.bound <= most) return new Map();
  const unsorted = policies.flatMap(limit.claimsOf);
  const all = limit.sizeOf(unsorted, most);
  if (!all.isAtLeast) book?.counted?.(all.size, unsorted);
  if (all.size <= most) return new Map();
  const claims = policies.toSorted(comparePolicies).flatMap(limit.claimsOf);
  let [low, high] = [0, claims.length];
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (limit.sizeOf(claims.slice(0, middle), most).size <= most) low = middle;
    else high = middle;
  }
  const where = scope === '' ? 'all cluster-wide policies' : `all NetworkPolicies in namespace ${scope}`;
  // In round figures: who is over the limit is told anew when the text changes.
  const size = `${all.isAtLeast ? 'at least ' : ''}${Number(all.size.toPrecision(2))}`;
  const what = limit.tooMuch(where, size, most);
  const rules = new Map<Policy, Set<Rule>>();
  for (const { policy, rule } of claims.slice(low)) rules.set(policy, (rules.get(policy) ?? new Set()).add(rule));
  return new Map(Array.from(rules, ([policy, some]) => [policy, { rules: some, closed: limit.closed, what }]));
}

/** One problem for each policy and limit: a thousand rules may be closed. */
function closeRules(policy: Policy, closings: readonly Closing[]): Policy {
  const close = (rule: Rule): Rule => {
    const closing = closings.find(({ rules }) => rules.has(rule));
    return closing ? { ...closedRule(rule.at, rule.action, rule.name, closing.closed), isOverLimit: true } : rule;
  };
  const problems = closings.map(({ rules, what }): Problem => {
    const [first] = rules;
    const effect = `the rule ${first!.action === 'Accept' ? 'allows nothing' : 'denies everything'}`;
    return { at: first!.at, what, effect: rules.size === 1 ? effect : `${effect}, nor do ${rules.size - 1} more of the policy what they say` };
  });
  return {
    ...policy,
    rules: { egress: policy.rules.egress?.map(close), ingress: policy.rules.ingress?.map(close) },
    problems: [...policy.problems, ...problems],
  };
}

/** Of what is left of one policy at two times: whether the same rules are closed, and the same is said of it. */
const isSame = (a: Policy, b: Policy): boolean =>
  a.problems.length === b.problems.length &&
  a.problems.every(({ what }, i) => what === b.problems[i]!.what) &&
  directions.every((direction) => (a.rules[direction] ?? []).every((rule, i) => rule.closed === b.rules[direction]![i]!.closed));

interface Scope {
  policies: Set<Policy>;
  books: ReadonlyMap<Limit, Book>;
}

/** The same for policies that come and go one by one: only what may be closed otherwise than before is counted again. */
export class PolicyLimits {
  /** Those that need room, by scope. */
  readonly #scopes = new Map<string, Scope>();
  readonly #dirty = new Set<string>();
  readonly #closed = new Map<Policy, Policy>();
  /** Scopes of which some are closed. */
  readonly #closing = new Set<string>();

  add(policy: Policy): void {
    if (!needsRoom(policy)) return;
    const scope = scopeOf(policy);
    this.#dirty.add(scope);
    let some = this.#scopes.get(scope);
    if (!some) this.#scopes.set(scope, (some = { policies: new Set(), books: new Map(limits.map((limit) => [limit, limit.book()])) }));
    if (some.policies.has(policy)) return;
    some.policies.add(policy);
    for (const book of some.books.values()) book.add(policy);
  }

  delete(policy: Policy): void {
    const scope = scopeOf(policy);
    const some = this.#scopes.get(scope);
    if (!some?.policies.delete(policy)) return;
    for (const book of some.books.values()) book.delete(policy);
    this.#closed.delete(policy);
    this.#dirty.add(scope);
    if (some.policies.size === 0) this.#scopes.delete(scope);
  }

  /** What is left of a policy as `settle` found last. */
  of(policy: Policy): Policy {
    return this.#closed.get(policy) ?? policy;
  }

  /** What is to be said of a policy beside what stands in it. */
  problemsOf(policy: Policy): readonly Problem[] {
    return this.#closed.get(policy)?.problems.slice(policy.problems.length) ?? [];
  }

  /** @returns policies of which something else is left than before */
  settle(): Policy[] {
    const changed: Policy[] = [];
    for (const scope of this.#dirty) {
      const { policies = [], books } = this.#scopes.get(scope) ?? {};
      const closed = closeBeyond([...policies], books);
      if (closed.size === 0 && !this.#closing.delete(scope)) continue;
      if (closed.size > 0) this.#closing.add(scope);
      for (const policy of policies) {
        const now = closed.get(policy);
        const before = this.#closed.get(policy);
        if (now === before || (now && before && isSame(now, before))) continue;
        if (now) this.#closed.set(policy, now);
        else this.#closed.delete(policy);
        changed.push(policy);
      }
    }
    this.#dirty.clear();
    return changed;
  }
}
