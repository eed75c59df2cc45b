import type { IpAddr } from '../../net/ip.ts';
import type { Item } from '../../reconcile/model.ts';
import { type Policy, type PolicyId, policyName, type Problem } from '../model.ts';
import { type Labels, type PolicyNode, type PolicyPod, podKey } from '../world.ts';
import { type Change, Culprits } from './culprits.ts';
import { closedEffect, type Fault } from './faults.ts';
import type { PolicyPlanNode, PolicyPlanner } from './planner.ts';
import { Told, type Unknown } from './told.ts';

export interface GuardedPlannerParts {
  node: PolicyPlanNode;
  make: (node: PolicyPlanNode) => PolicyPlanner;
  unknown: Unknown;
  /** Elements of a plan from before a start, as the kernel holds them: they stand where nothing can be planned from the beginning. */
  held?: () => Iterable<Item>;
  /** Nothing can be planned: `changes` is to be called again so much later, in milliseconds, also when nothing happens. The latest call counts. */
  onBroken?: (retryMs: number) => void;
  log: (line: string) => void;
}

/** Owner of what stands from before a start. */
const heldOwner = 'policy held';

/** Where nothing helps, what happens has it tried again at most so often; when nothing happens it is tried again by itself after the same time, and then after twice as long each time. */
const againMs = 30_000;
const longestMs = 600_000;
/** Trying takes no larger part of the time than one of so many. */
const share = 100;

/**
 * A PolicyPlanner whose faults stay with the objects that bring them about: a policy that it fails with is closed (what accepts matches nothing, what denies or passes denies all), a pod is cut off, and
 * all others are planned for as they stand. Where it fails on what was planned before, it begins anew, and if that fails finds out by which policies; where nothing helps, nothing is changed, also of what the
 * kernel holds from before a start.
 */
export class GuardedPlanner {
  readonly #parts: GuardedPlannerParts;
  #planner: PolicyPlanner;
  readonly #told: Told;
  readonly #closed = new Map<string, Fault<Policy>>();
  readonly #cut = new Map<string, Fault<PolicyPod>>();
  /** What came since all went well. */
  readonly #fresh = { policies: new Set<string>(), pods: new Set<string>() };
  /** Owners that have items. */
  readonly #owners = new Set<string>();
  #broken: { why: string; /** Nothing is tried before, by performance.now(). */ until: number } | undefined;
  /** How often planning has failed as a whole, one time after the other. */
  #failures = 0;

  constructor(parts: GuardedPlannerParts) {
    this.#parts = parts;
    this.#told = new Told(parts.node, parts.unknown);
    this.#planner = parts.make(parts.node);
  }

  setPod(pod: PolicyPod): void {
    const key = podKey(pod);
    this.#told.pods.set(key, pod);
    this.#fresh.pods.add(key);
    const cut = this.#cut.get(key);
    if (cut && !isAlike(cut.given, pod)) this.#cut.delete(key);
    this.#attempt(
      () => this.#told.tellPod(this.#planner, key, pod, this.#cut),
      (why) => {
        this.#cut.set(key, { given: pod, why });
        this.#tell(`pod ${key}`, why);
        this.#planner.deletePod(key);
        this.#told.tellPod(this.#planner, key, pod, this.#cut);
      },
    );
    if (cut || this.#cut.size > 0) this.#isolateCut();
  }

  deletePod(key: string): void {
    this.#told.pods.delete(key);
    const wasCut = this.#cut.delete(key);
    this.#attempt(() => this.#planner.deletePod(key));
    if (wasCut) this.#isolateCut();
  }

  setNamespace(name: string, labels: Labels): void {
    this.#told.namespaces.set(name, labels);
    this.#attempt(() => this.#planner.setNamespace(name, labels));
  }

  deleteNamespace(name: string): void {
    this.#told.namespaces.delete(name);
    this.#attempt(() => this.#planner.deleteNamespace(name));
  }

  setPolicy(policy: Policy): void {
    const name = policyName(policy);
    this.#told.policies.set(name, policy);
    this.#fresh.policies.add(name);
    if (this.#closed.get(name)?.given !== policy) this.#closed.delete(name);
    this.#attempt(
      () => this.#told.tellPolicy(this.#planner, policy, this.#closed),
      (why) => {
        this.#closed.set(name, { given: policy, why });
        this.#tell(name, why);
        this.#told.tellPolicy(this.#planner, policy, this.#closed);
      },
    );
    if (this.#cut.size > 0) this.#isolateCut();
  }

  deletePolicy(id: PolicyId): void {
    const name = policyName(id);
    this.#told.policies.delete(name);
    this.#closed.delete(name);
    this.#attempt(() => this.#planner.deletePolicy(id));
    this.#isolateCut();
  }

  setNode(node: PolicyNode): void {
    this.#told.nodes.set(node.name, node);
    this.#attempt(() => this.#planner.setNode(node));
  }

  deleteNode(name: string): void {
    this.#told.nodes.delete(name);
    this.#attempt(() => this.#planner.deleteNode(name));
  }

  setClusterDns(pods: readonly PolicyPod[]): void {
    this.#told.dns = pods;
    this.#attempt(() => this.#planner.setClusterDns(pods));
  }

  setResolved(name: string, addresses: readonly IpAddr[]): void {
    if (addresses.length === 0) this.#told.resolved.delete(name);
    else this.#told.resolved.set(name, addresses);
    this.#attempt(() => this.#planner.setResolved(name, addresses));
  }

  setPlanNode(node: PolicyPlanNode): void {
    this.#told.node = node;
    this.#attempt(() => this.#planner.setPlanNode(node));
  }

  limitProblemsOf(id: PolicyId): readonly Problem[] {
    return this.#planner.limitProblemsOf(id);
  }

  get identities(): number {
    return this.#planner.identities;
  }

  /** Any policy exists, whether it can be planned for or not. */
  get isActive(): boolean {
    return this.#told.policies.size > 0;
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
    if (this.#broken && this.isActive && performance.now() < this.#broken.until) return [];
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
    this.#broken = { why, until: Number.NEGATIVE_INFINITY };
  }

  #recover(why: string): Change[] {
    const begun = performance.now();
    const culprits = new Culprits(this.#told, this.#parts.make, { closed: this.#closed, cut: this.#cut });
    const found = culprits.find(why, this.#fresh);
    if (!found) {
      if (this.#broken?.why !== why) this.#parts.log(`policies: planning failed: ${why}; what was planned before stands`);
      this.#stand(why, performance.now() - begun);
      return this.#standing();
    }
    this.#broken = undefined;
    this.#failures = 0;
    this.#planner = found.planner;
    const { closed, cut } = found;
    if (closed.size === this.#closed.size && cut.size === this.#cut.size) this.#parts.log(`policies: planning failed: ${why}; all was planned anew`);
    for (const [name, { why: own }] of closed) if (!this.#closed.has(name)) this.#tell(name, own);
    for (const [key, { why: own }] of cut) if (!this.#cut.has(key)) this.#tell(`pod ${key}`, own);
    for (const [name, fault] of closed) this.#closed.set(name, fault);
    for (const [key, fault] of cut) this.#cut.set(key, fault);
    const told = new Set(found.changes.map(([owner]) => owner));
    return [...found.changes, ...[...this.#owners].filter((owner) => !told.has(owner)).map((owner): Change => [owner, []])];
  }

  /** @param tookMs what it cost to find out that nothing helps */
  #stand(why: string, tookMs: number): void {
    this.#broken = { why, until: performance.now() + Math.max(againMs, share * tookMs) };
    // Nothing stands without policies, and nothing is to be planned for.
    if (this.isActive) this.#parts.onBroken?.(Math.max(Math.min(againMs * 2 ** this.#failures, longestMs), share * tookMs));
    this.#failures = Math.min(this.#failures + 1, 16);
  }

  /** Where nothing can be planned what was planned last stays; without policies nothing does. */
  #standing(): Change[] {
    if (!this.isActive) return Array.from(this.#owners, (owner): Change => [owner, []]);
    if (this.#owners.size > 0) return [];
    const held = [...(this.#parts.held?.() ?? [])];
    return held.length > 0 ? [[heldOwner, held]] : [];
  }

  #isolateCut(): void {
    this.#attempt(() => this.#told.isolateCut(this.#planner, this.#cut));
  }

  #tell(what: string, why: string): void {
    this.#parts.log(`policies: ${what}: planning it failed: ${why}`);
  }
}

const isAlike = (a: PolicyPod, b: PolicyPod): boolean =>
  a.node === b.node && JSON.stringify([a.labels, a.ports, a.addresses]) === JSON.stringify([b.labels, b.ports, b.addresses]);
