import type { IpAddr } from '../../net/ip.ts';
import type { Item } from '../../reconcile/model.ts';
import { directions, type Policy, type PolicyId, policyName, type Rule } from '../model.ts';
import { closedRule } from '../read-rules.ts';
import { type Labels, type PolicyNode, type PolicyPod, podKey } from '../world.ts';
import type { PolicyPlanNode, PolicyPlanner } from './planner.ts';

type Change = readonly [owner: string, items: readonly Item[]];

export interface GuardedPlannerParts {
  node: PolicyPlanNode;
  make: (node: PolicyPlanNode) => PolicyPlanner;
  /** What a local pod that cannot be planned for is planned as, and what keeps such pods from sending and receiving. */
  unknown: { labels: Labels; policy: Policy };
  /** Elements of a plan from before a start, as the kernel holds them: they stand where nothing can be planned from the beginning. */
  held?: () => Iterable<Item>;
  log: (line: string) => void;
}

/** Owner of what stands from before a start. */
const heldOwner = 'policy held';

/** What is not planned for as it stands: the object, and what planning it failed with. */
interface Fault<T> {
  given: T;
  why: string;
}
/** By names of policies, and by keys of pods. */
interface Faults {
  closed: ReadonlyMap<string, Fault<Policy>>;
  cut: ReadonlyMap<string, Fault<PolicyPod>>;
}

/** A planner that takes all, with these faults. */
interface Plan extends Faults {
  planner: PolicyPlanner;
  changes: readonly Change[];
}

/** So many new pods are suspected all together. */
const fewSuspects = 8;
/** So many policies are found one by one; then all are closed. */
const mostCulprits = 4;
/** Where nothing helps it is tried again at most so often. */
const againMs = 30_000;

/**
 * A PolicyPlanner whose faults stay with the objects that bring them about: a policy that it fails with is closed (what accepts matches nothing, what denies or passes denies all), a pod is cut off, and
 * all others are planned for as they stand. Where it fails on what was planned before, it begins anew and finds out by which policies; where nothing helps, nothing is changed, also of what the
 * kernel holds from before a start.
 */
export class GuardedPlanner {
  readonly #parts: GuardedPlannerParts;
  #planner: PolicyPlanner;
  #node: PolicyPlanNode;
  readonly #pods = new Map<string, PolicyPod>();
  readonly #namespaces = new Map<string, Labels>();
  readonly #nodes = new Map<string, PolicyNode>();
  readonly #policies = new Map<string, Policy>();
  readonly #resolved = new Map<string, readonly IpAddr[]>();
  #dns: readonly PolicyPod[] = [];
  readonly #closed = new Map<string, Fault<Policy>>();
  readonly #cut = new Map<string, Fault<PolicyPod>>();
  /** What came since all went well. */
  readonly #fresh = { policies: new Set<string>(), pods: new Set<string>() };
  /** Owners that have items. */
  readonly #owners = new Set<string>();
  #broken: { why: string; at: number } | undefined;
  /** What the latest plan failed with. */
  #latestWhy = '';

  constructor(parts: GuardedPlannerParts) {
    this.#parts = parts;
    this.#node = parts.node;
    this.#planner = parts.make(parts.node);
  }

  setPod(pod: PolicyPod): void {
    const key = podKey(pod);
    this.#pods.set(key, pod);
    this.#fresh.pods.add(key);
    const cut = this.#cut.get(key);
    if (cut && !isAlike(cut.given, pod)) this.#cut.delete(key);
    this.#attempt(
      () => this.#tellPod(this.#planner, key, pod, this.#cut),
      (why) => {
        this.#cut.set(key, { given: pod, why });
        this.#tell(`pod ${key}`, why);
        this.#planner.deletePod(key);
        this.#tellPod(this.#planner, key, pod, this.#cut);
      },
    );
    if (cut || this.#cut.size > 0) this.#isolateCut(this.#planner, this.#cut);
  }

  deletePod(key: string): void {
    this.#pods.delete(key);
    const wasCut = this.#cut.delete(key);
    this.#attempt(() => this.#planner.deletePod(key));
    if (wasCut) this.#isolateCut(this.#planner, this.#cut);
  }

  setNamespace(name: string, labels: Labels): void {
    this.#namespaces.set(name, labels);
    this.#attempt(() => this.#planner.setNamespace(name, labels));
  }

  deleteNamespace(name: string): void {
    this.#namespaces.delete(name);
    this.#attempt(() => this.#planner.deleteNamespace(name));
  }

  setPolicy(policy: Policy): void {
    const name = policyName(policy);
    this.#policies.set(name, policy);
    this.#fresh.policies.add(name);
    if (this.#closed.get(name)?.given !== policy) this.#closed.delete(name);
    this.#attempt(
      () => this.#tellPolicy(this.#planner, policy, this.#closed),
      (why) => {
        this.#closed.set(name, { given: policy, why });
        this.#tell(name, why);
        this.#tellPolicy(this.#planner, policy, this.#closed);
      },
    );
  }

  deletePolicy(id: PolicyId): void {
    const name = policyName(id);
    this.#policies.delete(name);
    this.#closed.delete(name);
    this.#attempt(() => this.#planner.deletePolicy(id));
    this.#isolateCut(this.#planner, this.#cut);
  }

  setNode(node: PolicyNode): void {
    this.#nodes.set(node.name, node);
    this.#attempt(() => this.#planner.setNode(node));
  }

  deleteNode(name: string): void {
    this.#nodes.delete(name);
    this.#attempt(() => this.#planner.deleteNode(name));
  }

  setClusterDns(pods: readonly PolicyPod[]): void {
    this.#dns = pods;
    this.#attempt(() => this.#planner.setClusterDns(pods));
  }

  setResolved(name: string, addresses: readonly IpAddr[]): void {
    if (addresses.length === 0) this.#resolved.delete(name);
    else this.#resolved.set(name, addresses);
    this.#attempt(() => this.#planner.setResolved(name, addresses));
  }

  setPlanNode(node: PolicyPlanNode): void {
    this.#node = node;
    this.#attempt(() => this.#planner.setPlanNode(node));
  }

  get identities(): number {
    return this.#planner.identities;
  }

  /** Any policy exists, whether it can be planned for or not. */
  get isActive(): boolean {
    return this.#policies.size > 0;
  }

  /** Why nothing can be planned, and the last plan stands. */
  get broken(): string | undefined {
    return this.#broken?.why;
  }

  /** What is not planned for as it stands. */
  get problems(): string[] {
    return [
      ...Array.from(this.#closed, ([name, { why }]) => `${name}: planning it failed: ${why}; ${closedEffect}`),
      ...Array.from(this.#cut, ([key, { why }]) => `pod ${key}: planning it failed: ${why}; it is taken for a pod that nobody knows`),
    ];
  }

  /** Owners whose items changed since the last call, with all of their items (none: withdrawn). Never throws. */
  changes(): Change[] {
    let changes: Change[];
    if (this.#broken && this.isActive && performance.now() < this.#broken.at + againMs) return [];
    try {
      if (this.#broken) throw new Error(this.#broken.why);
      changes = [...this.#planner.changes()];
    } catch (error) {
      changes = this.#recover((error as Error).message);
    }
    for (const [owner, items] of changes) this.#owners[items.length > 0 ? 'add' : 'delete'](owner);
    if (this.#broken) return changes;
    this.#fresh.policies.clear();
    this.#fresh.pods.clear();
    return changes;
  }

  /** What it threw on before, or what is told on the way, is for `changes` to find out. */
  #attempt(act: () => void, instead: (why: string) => void = (why) => this.#break(why)): void {
    if (this.#broken) return;
    try {
      act();
    } catch (error) {
      try {
        instead((error as Error).message);
      } catch (again) {
        this.#break((again as Error).message);
      }
    }
  }

  /** The planner is not to be used any more; the next `changes` looks for a way out. */
  #break(why: string): void {
    this.#broken = { why, at: Number.NEGATIVE_INFINITY };
  }

  #recover(why: string): Change[] {
    const { policies, pods } = this.#fresh;
    const all = [...this.#policies.keys()];
    const suspects = pods.size <= fewSuspects ? because(pods, why) : new Map<string, string>();
    const found =
      this.#search([...policies], why) ??
      (suspects.size > 0 ? this.#plan(new Map(), suspects) : undefined) ??
      this.#search(all, why) ??
      this.#plan(because(all, why)) ??
      this.#plan(because(all, why), because(pods, why));
    if (!found) {
      if (this.#broken?.why !== why) this.#parts.log(`policies: planning failed: ${why}; what was planned before stands`);
      this.#broken = { why, at: performance.now() };
      return this.#standing();
    }
    this.#broken = undefined;
    this.#planner = found.planner;
    for (const [name, { why: own }] of found.closed) if (!this.#closed.has(name)) this.#tell(name, own);
    for (const [key, { why: own }] of found.cut) if (!this.#cut.has(key)) this.#tell(`pod ${key}`, own);
    for (const [name, fault] of found.closed) this.#closed.set(name, fault);
    for (const [key, fault] of found.cut) this.#cut.set(key, fault);
    const told = new Set(found.changes.map(([owner]) => owner));
    return [...found.changes, ...[...this.#owners].filter((owner) => !told.has(owner)).map((owner): Change => [owner, []])];
  }

  /** Where nothing can be planned what was planned last stays; without policies nothing does. */
  #standing(): Change[] {
    if (!this.isActive) return Array.from(this.#owners, (owner): Change => [owner, []]);
    if (this.#owners.size > 0) return [];
    const held = [...(this.#parts.held?.() ?? [])];
    return held.length > 0 ? [[heldOwner, held]] : [];
  }

  /** Which policies it is, one after the other: the first so many that help when they are closed end with one of them. */
  #search(names: readonly string[], why: string): Plan | undefined {
    if (names.length === 0 || !this.#plan(because(names, why))) return undefined;
    const culprits = new Map<string, string>();
    for (let cause = why; culprits.size < mostCulprits; cause = this.#latestWhy) {
      let [low, high] = [0, names.length];
      while (high - low > 1) {
        const middle = (low + high) >>> 1;
        if (this.#plan(new Map([...because(names.slice(0, middle), why), ...culprits]))) high = middle;
        else low = middle;
      }
      culprits.set(names[high - 1]!, cause);
      const found = this.#plan(culprits);
      if (found) return found;
    }
    return undefined;
  }

  /**
   * All of it anew, with these closed and cut off beside those that are.
   * @param policies names, with what planning failed with
   * @returns undefined when that fails, too
   */
  #plan(policies: ReadonlyMap<string, string>, pods: ReadonlyMap<string, string> = new Map()): Plan | undefined {
    const faults = { closed: new Map(this.#closed), cut: new Map(this.#cut) } satisfies Faults;
    for (const [name, why] of policies) {
      const given = this.#policies.get(name);
      if (given && !faults.closed.has(name)) faults.closed.set(name, { given, why });
    }
    for (const [key, why] of pods) {
      const given = this.#pods.get(key);
      if (given && !faults.cut.has(key)) faults.cut.set(key, { given, why });
    }
    try {
      const planner = this.#parts.make(this.#node);
      for (const node of this.#nodes.values()) planner.setNode(node);
      for (const [name, labels] of this.#namespaces) planner.setNamespace(name, labels);
      for (const [key, pod] of this.#pods) this.#tellPod(planner, key, pod, faults.cut);
      planner.setClusterDns(this.#dns);
      for (const [name, addresses] of this.#resolved) planner.setResolved(name, addresses);
      for (const policy of this.#policies.values()) this.#tellPolicy(planner, policy, faults.closed);
      this.#isolateCut(planner, faults.cut);
      return { planner, changes: [...planner.changes()], ...faults };
    } catch (error) {
      this.#latestWhy = (error as Error).message;
      return undefined;
    }
  }

  #tellPolicy(planner: PolicyPlanner, policy: Policy, closed: Faults['closed']): void {
    const fault = closed.get(policyName(policy));
    planner.setPolicy(fault ? closedPolicy(policy, fault.why) : policy);
  }

  #tellPod(planner: PolicyPlanner, key: string, pod: PolicyPod, cut: Faults['cut']): void {
    if (!cut.has(key)) planner.setPod(pod);
    else if (pod.node !== this.#node.name) planner.deletePod(key);
    else {
      const { namespace, name, node, addresses, hostNetwork, ended } = pod;
      planner.setPod({ namespace, name, node, addresses, hostNetwork, ended, labels: this.#parts.unknown.labels, ports: [] });
    }
  }

  #isolateCut(planner: PolicyPlanner, cut: Faults['cut']): void {
    const { policy } = this.#parts.unknown;
    if (this.#policies.has(policyName(policy))) return;
    this.#attempt(() => {
      if (cut.size > 0 && this.#policies.size > 0) planner.setPolicy(policy);
      else planner.deletePolicy(policy);
    });
  }

  #tell(what: string, why: string): void {
    this.#parts.log(`policies: ${what}: planning it failed: ${why}`);
  }
}

const because = (names: Iterable<string>, why: string): Map<string, string> => new Map(Array.from(names, (name) => [name, why]));

const closedEffect = 'its rules allow nothing, and those that deny or pass deny everything';

/** What is left of a policy that cannot be planned for as it stands. */
export function closedPolicy(policy: Policy, why: string): Policy {
  const closed = `planning it failed: ${why}`;
  const rules = (some: readonly Rule[] | undefined): Rule[] | undefined =>
    some?.map(({ at, action, name }) => closedRule(at, action, name, closed));
  const [egress, ingress] = directions.map((direction) => rules(policy.rules[direction]));
  return { ...policy, rules: { egress, ingress }, problems: [...policy.problems, { at: 'spec', what: closed, effect: closedEffect }] };
}

const isAlike = (a: PolicyPod, b: PolicyPod): boolean =>
  a.node === b.node && JSON.stringify([a.labels, a.ports, a.addresses]) === JSON.stringify([b.labels, b.ports, b.addresses]);
