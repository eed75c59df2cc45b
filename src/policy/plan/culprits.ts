import type { Item } from '../../reconcile/model.ts';
import type { Fault, Faults } from './faults.ts';
import type { PolicyPlanNode, PolicyPlanner } from './planner.ts';
import type { Told } from './told.ts';

/** An owner of the Reconciler, and all of its items. */
export type Change = readonly [owner: string, items: readonly Item[]];

/** A planner that takes all, with these faults. */
export interface Plan extends Faults {
  planner: PolicyPlanner;
  changes: readonly Change[];
}

/** What is closed or cut off, by its name or key, and what planning failed with. */
type Suspects = ReadonlyMap<string, string>;

/** So many new pods are suspected all together. */
const fewPods = 8;
/** So many policies are found one by one; then all are closed. */
const mostPolicies = 4;

const because = (names: Iterable<string>, why: string): Map<string, string> => new Map(Array.from(names, (name) => [name, why]));

/** Finds out by which objects planning fails, if it is any: plans all of it anew, with ever others closed or cut off. */
export class Culprits {
  readonly #told: Told;
  readonly #make: (node: PolicyPlanNode) => PolicyPlanner;
  readonly #known: Faults;
  /** What the latest plan failed with. */
  #latestWhy = '';

  /** @param known stay closed and cut off */
  constructor(told: Told, make: (node: PolicyPlanNode) => PolicyPlanner, known: Faults) {
    this.#told = told;
    this.#make = make;
    this.#known = known;
  }

  /**
   * @param why what planning failed with
   * @param fresh what came since all went well
   * @returns undefined where nothing helps
   */
  find(why: string, fresh: { policies: ReadonlySet<string>; pods: ReadonlySet<string> }): Plan | undefined {
    const all = [...this.#told.policies.keys()];
    const pods = because(fresh.pods, why);
    return (
      // The fault may be of what was planned, and of no object.
      this.#plan(new Map()) ??
      this.#search([...fresh.policies], why) ??
      (pods.size > 0 && pods.size <= fewPods ? this.#plan(new Map(), pods) : undefined) ??
      this.#search(all, why) ??
      this.#plan(because(all, why)) ??
      this.#plan(because(all, why), pods)
    );
  }

  /** Which policies it is, one after the other: the first so many that help when they are closed end with one of them. */
  #search(names: readonly string[], why: string): Plan | undefined {
    if (names.length === 0 || !this.#plan(because(names, why))) return undefined;
    const culprits = new Map<string, string>();
    for (let cause = why; culprits.size < mostPolicies; cause = this.#latestWhy) {
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

  /** All of it anew. @returns undefined when that fails, too */
  #plan(policies: Suspects, pods: Suspects = new Map()): Plan | undefined {
    const faults: Faults = {
      closed: withSuspects(this.#known.closed, this.#told.policies, policies),
      cut: withSuspects(this.#known.cut, this.#told.pods, pods),
    };
    try {
      const planner = this.#make(this.#told.node);
      this.#told.tell(planner, faults);
      return { planner, changes: [...planner.changes()], ...faults };
    } catch (error) {
      this.#latestWhy = (error as Error).message;
      return undefined;
    }
  }
}

function withSuspects<T>(known: ReadonlyMap<string, Fault<T>>, objects: ReadonlyMap<string, T>, suspects: Suspects): Map<string, Fault<T>> {
  const faults = new Map(known);
  for (const [name, why] of suspects) {
    const given = objects.get(name);
    if (given && !faults.has(name)) faults.set(name, { given, why });
  }
  return faults;
}
