import { type Direction, directions } from '../model.ts';
import type { PodPort } from '../world.ts';
import type { Bits } from './bits.ts';
import type { LabelClass } from './label-classes.ts';
import type { Atom } from './peers.ts';
import type { PolicyEntry, PortName, RuleUse } from './rules.ts';
import type { TrafficId } from './traffic-sets.ts';

/** Local pods that the same policies select and that name their ports alike: judged once for all of them. */
export interface Group {
  policies: Bits;
  ports: readonly PodPort[];
  portsKey: string;
  classes: Set<LabelClass>;
  slots: Record<Direction, Slot | undefined>;
}

/** One direction of a group, if any of its policies speaks of it. */
export interface Slot {
  /** Its place in the cells of each signature. */
  index: number;
  group: Group;
  direction: Direction;
  /** By a NetworkPolicy. */
  isIsolated: boolean;
  /** Rules that match whoever is at the other end. */
  always: readonly RuleUse[];
  /** Rules that deny or pass on pods: they may mean a pod that is not known yet. */
  cautious: readonly RuleUse[];
  /** Ports that its rules name. */
  names: ReadonlySet<string>;
  /** What NetworkPolicies allow to peers that many of them name. */
  common: Map<Atom, { ports: TrafficId; names: readonly PortName[] }>;
}

const groupKey = (policies: Bits, portsKey: string): string => `${policies.hash} ${portsKey}`;

export class Groups {
  readonly #byKey = new Map<string, Group[]>();
  readonly #slots: (Slot | undefined)[] = [];
  readonly #free: number[] = [];
  /** Since `settled` what some group's policies say changed. */
  areRefreshed = false;

  *[Symbol.iterator](): Iterator<Group> {
    for (const some of this.#byKey.values()) yield* some;
  }

  find(policies: Bits, portsKey: string): Group | undefined {
    const some = this.#byKey.get(groupKey(policies, portsKey));
    return some?.find((group) => group.policies.equals(policies) && group.portsKey === portsKey);
  }

  make(policies: Bits, { portsKey, ports }: Pick<Group, 'portsKey' | 'ports'>): Group {
    const group: Group = {
      ...{ policies: policies.copy(), portsKey, ports },
      ...{ classes: new Set(), slots: { egress: undefined, ingress: undefined } },
    };
    this.#put(group);
    return group;
  }

  /** The same pods, by other policies: slots stay. */
  change(group: Group, policies: Bits): void {
    this.#take(group);
    group.policies = policies.copy();
    this.#put(group);
  }

  /** Gives its slots back. @returns their indexes */
  delete(group: Group): number[] {
    this.areRefreshed = true;
    this.#take(group);
    return directions.flatMap((direction) => this.#freeSlot(group, direction));
  }

  /** Number of slots in use or free. */
  get width(): number {
    return this.#slots.length;
  }

  slotAt(index: number): Slot | undefined {
    return this.#slots[index];
  }

  *slots(): Iterable<Slot> {
    for (const slot of this.#slots) if (slot) yield slot;
  }

  /**
   * What its policies say of each direction, now.
   * @returns slots that were made, and indexes of those that went
   */
  refresh(group: Group, entries: readonly (PolicyEntry | undefined)[]): { made: Slot[]; gone: number[] } {
    this.areRefreshed = true;
    const made: Slot[] = [];
    const gone: number[] = [];
    const policies = Array.from(group.policies, (serial) => entries[serial]!);
    for (const direction of directions) {
      const speaking = policies.filter(({ policy }) => policy.rules[direction] !== undefined);
      if (speaking.length === 0) {
        gone.push(...this.#freeSlot(group, direction));
        continue;
      }
      let slot = group.slots[direction];
      if (!slot) made.push((slot = this.makeSlot(group, direction)));
      const always: RuleUse[] = [];
      const cautious: RuleUse[] = [];
      const names = new Set<string>();
      slot.isIsolated = false;
      for (const { policy, rules } of speaking) {
        const isOrdered = policy.tier !== 'NetworkPolicy';
        if (!isOrdered) slot.isIsolated = true;
        for (const use of rules![direction]) {
          for (const { name } of use.names) names.add(name);
          if (!use.atoms) always.push(use);
          else if (isOrdered && use.action !== 'Accept' && use.atoms.some(({ peer }) => peer.kind === 'pods')) cautious.push(use);
        }
      }
      slot.always = always;
      slot.cautious = cautious;
      slot.names = names;
      slot.common.clear();
    }
    return { made, gone };
  }

  makeSlot(group: Group, direction: Direction): Slot {
    const index = this.#free.pop() ?? this.#slots.length;
    const rules = { isIsolated: false, always: [], cautious: [], names: new Set<string>(), common: new Map() };
    const slot: Slot = { index, group, direction, ...rules };
    this.#slots[index] = group.slots[direction] = slot;
    return slot;
  }

  #freeSlot(group: Group, direction: Direction): number[] {
    const slot = group.slots[direction];
    if (!slot) return [];
    group.slots[direction] = undefined;
    this.#slots[slot.index] = undefined;
    this.#free.push(slot.index);
    return [slot.index];
  }

  #put(group: Group): void {
    const key = groupKey(group.policies, group.portsKey);
    const some = this.#byKey.get(key);
    if (some) some.push(group);
    else this.#byKey.set(key, [group]);
  }

  #take(group: Group): void {
    const key = groupKey(group.policies, group.portsKey);
    const rest = this.#byKey.get(key)!.filter((one) => one !== group);
    if (rest.length > 0) this.#byKey.set(key, rest);
    else this.#byKey.delete(key);
  }
}
