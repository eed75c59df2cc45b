import { directions, type Policy, type Problem, type Rule } from './model.ts';
import { comparePolicies } from './policies.ts';
import { closedRule } from './read-rules.ts';
import { type Networks, networksOf, overlapOf } from './spans.ts';

/**
 * How far the networks of policies may overlap (`overlapOf`), counted for each namespace by itself and for all cluster-wide policies together, so that nobody's
 * policies cost a node more than this, whatever other namespaces do. 100,000 are as many networks beside each other, or 220 rules each of which allows everything
 * but some address of its own. It takes a node a fifth of a second where few rules name them, and some seconds at the worst: every piece in two of hundreds of rules
 * that differ by ports, beside a hundred other policies. Cluster-wide policies are the administrators'.
 */
export const maxOverlap = { namespace: 100_000, cluster: 1_000_000 };

/** Whose policies are counted together: a namespace, or `''` for cluster-wide ones. */
export const scopeOf = ({ namespace = '' }: Policy): string => namespace;

const limitOf = (scope: string, limits: typeof maxOverlap): number => (scope === '' ? limits.cluster : limits.namespace);

const namesNetworks = ({ rules }: Policy): boolean =>
  directions.some((direction) => rules[direction]?.some((rule) => networksOf(rule) !== undefined));

/** All policies, and in place of those of which rules are over the limit what is left of them. */
export function withinLimits(policies: readonly Policy[], limits = maxOverlap): readonly Policy[] {
  const byScope = new Map<string, Policy[]>();
  for (const policy of policies) {
    if (!namesNetworks(policy)) continue;
    const some = byScope.get(scopeOf(policy));
    if (some) some.push(policy);
    else byScope.set(scopeOf(policy), [policy]);
  }
  const closed = new Map([...byScope.values()].flatMap((some) => [...closeBeyond(some, limits)]));
  return closed.size === 0 ? policies : policies.map((policy) => closed.get(policy) ?? policy);
}

/** With so many times as many networks as there is room for nobody counts how far they overlap: it is told how many they are. */
const farBeyond = 3;

/** A rule with networks, in the order in which room is given. */
interface Claim {
  policy: Policy;
  rule: Rule;
  networks: Networks;
}

/**
 * Rules get room in the order of their policies' names and of their places, so that every node and every start closes the same ones; the first for which there is
 * none, and all with networks after it, fail closed.
 * @param policies all of one scope that name networks
 * @returns those of which rules are closed, as they are now
 */
export function closeBeyond(policies: readonly Policy[], limits = maxOverlap): Map<Policy, Policy> {
  const scope = policies[0] ? scopeOf(policies[0]) : '';
  const limit = limitOf(scope, limits);
  const unsorted = policies.flatMap(claimsOf);
  // Each network counts once at least: how many there are is soon known, and far beyond the limit nothing else is looked at.
  const named = sumsOf(unsorted).at(-1) ?? 0;
  const isFarBeyond = named > farBeyond * limit;
  const all = isFarBeyond ? named : overlapOfFirst(unsorted, unsorted.length);
  if (all <= limit) return new Map();
  const claims = policies.toSorted(comparePolicies).flatMap(claimsOf);
  const tooMany = sumsOf(claims).findIndex((sum) => sum > limit);
  let [low, high] = [0, tooMany < 0 ? claims.length : tooMany + 1];
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (overlapOfFirst(claims, middle) <= limit) low = middle;
    else high = middle;
  }
  const closed = new Map<Policy, Set<Rule>>();
  for (const { policy, rule } of claims.slice(low)) closed.set(policy, (closed.get(policy) ?? new Set()).add(rule));
  const where = scope === '' ? 'all cluster-wide policies' : `all NetworkPolicies in namespace ${scope}`;
  // In round figures: who is over the limit is told anew when the text changes.
  const size = Number(all.toPrecision(2));
  const what =
    `the networks that rules of ${where} name overlap ${isFarBeyond ? 'at least ' : ''}${size} times, more than the ${limit} that nodes take ` +
    `(each piece of the address space counts once for each rule that it is in), and there is no room left for this one: ` +
    `put networks with the same ports into one rule, and use fewer of "except"`;
  return new Map(Array.from(closed, ([policy, rules]) => [policy, closeRules(policy, rules, what)]));
}

const claimsOf = (policy: Policy): Claim[] =>
  directions.flatMap((direction) =>
    (policy.rules[direction] ?? []).flatMap((rule) => {
      const networks = networksOf(rule);
      return networks ? [{ policy, rule, networks }] : [];
    }),
  );

/** How many networks there are up to each claim, with its own; the same ones in several rules once. */
function sumsOf(claims: readonly Claim[]): number[] {
  const known = new Set<string>();
  let sum = 0;
  return claims.map(({ networks: { key, size } }) => {
    if (!known.has(key)) sum += size;
    known.add(key);
    return sum;
  });
}

/** The same networks in several rules are told apart once. */
const overlapOfFirst = (claims: readonly Claim[], count: number): number =>
  overlapOf(new Map(claims.slice(0, count).map(({ networks }) => [networks.key, networks.spans])).values());

/** One problem for each policy: a thousand rules may be closed. */
function closeRules(policy: Policy, rules: ReadonlySet<Rule>, what: string): Policy {
  const close = (rule: Rule): Rule =>
    rules.has(rule) ? { ...closedRule(rule.at, rule.action, rule.name, 'the networks of its policies overlap too often'), isOverLimit: true } : rule;
  const [first] = rules;
  const effect = first!.action === 'Accept' ? 'allows nothing' : 'denies everything';
  const more = rules.size === 1 ? `the rule ${effect}` : `the rule ${effect}, nor do ${rules.size - 1} more of the policy what they say`;
  return {
    ...policy,
    rules: { egress: policy.rules.egress?.map(close), ingress: policy.rules.ingress?.map(close) },
    problems: [...policy.problems, { at: first!.at, what, effect: more }],
  };
}

/** Of what is left of one policy at two times: whether the same rules are closed, and the same is said of it. */
const isSame = (a: Policy, b: Policy): boolean =>
  a.problems.at(-1)!.what === b.problems.at(-1)!.what &&
  directions.every((direction) => (a.rules[direction] ?? []).every((rule, i) => rule.closed === b.rules[direction]![i]!.closed));

/** The same for policies that come and go one by one: only what may be closed otherwise than before is counted again. */
export class NetworkLimits {
  readonly #limits: typeof maxOverlap;
  /** Those that name networks, by scope and name. */
  readonly #scopes = new Map<string, Set<Policy>>();
  readonly #dirty = new Set<string>();
  readonly #closed = new Map<Policy, Policy>();

  constructor(limits = maxOverlap) {
    this.#limits = limits;
  }

  add(policy: Policy): void {
    if (!namesNetworks(policy)) return;
    const scope = scopeOf(policy);
    this.#dirty.add(scope);
    const some = this.#scopes.get(scope);
    if (some) some.add(policy);
    else this.#scopes.set(scope, new Set([policy]));
  }

  delete(policy: Policy): void {
    const scope = scopeOf(policy);
    const some = this.#scopes.get(scope);
    if (!some?.delete(policy)) return;
    this.#closed.delete(policy);
    this.#dirty.add(scope);
    if (some.size === 0) this.#scopes.delete(scope);
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
      const some = [...(this.#scopes.get(scope) ?? [])];
      const closed = closeBeyond(some, this.#limits);
      for (const policy of some) {
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
