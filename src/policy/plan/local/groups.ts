import { type Direction, directions } from '../../model.ts';
import type { PodPort } from '../../world.ts';
import type { Bits } from './bits.ts';
import type { LabelClass } from '../remote/label-classes.ts';
import type { Atom } from '../remote/peers.ts';
import type { Region } from '../remote/regions.ts';
import type { PolicyEntry, PortName, RuleUse } from './rules.ts';
import type { TrafficId } from './traffic-sets.ts';

/** Local pods that the same policies select and that name their ports alike: judged once for all of them. */
export interface Group {
  policies: Bits;
  /** That of its pods; of pods of several namespaces, which only cluster-wide policies select, of some. */
  namespace: string;
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
  /** Policies that speak of the direction, and NetworkPolicies among them. */
  speaking: number;
  isolating: number;
  /** Rules that match whoever is at the other end. */
  always: Set<RuleUse>;
  /** Rules that deny or pass on pods: they may mean a pod that is not known yet. */
  cautious: Set<RuleUse>;
  /** Ports that its rules name, and how many do. */
  names: Map<string, number>;
  /** What NetworkPolicies allow to peers that many of them name, and to networks. */
  common: WeakMap<Atom | Region, Common>;
}

/** What several rules allow together. */
export interface Common {
  ports: TrafficId;
  names: readonly PortName[];
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

  make(policies: Bits, { namespace, portsKey, ports }: Pick<Group, 'namespace' | 'portsKey' | 'ports'>): Group {
    const group: Group = {
      ...{ policies: policies.copy(), namespace, portsKey, ports },
      ...{ classes: new Set(), slots: { egress: undefined, ingress: undefined } },
    };
    this.#put(group);
    return group;
  }

  /** The same pods, by other policies: slots stay. */
  change(group: Group, policies: Bits, namespace: string): void {
    this.#take(group);
    group.policies = policies.copy();
    group.namespace = namespace;
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
   * What its policies say of each direction, after some came or went.
   * @param different policies that it has and had not, or the other way round
   * @returns slots that were made, and indexes of those that went
   */
  refresh(group: Group, different: readonly PolicyEntry[]): { made: Slot[]; gone: number[] } {
    this.areRefreshed = true;
    const made: Slot[] = [];
    const gone: number[] = [];
    for (const direction of directions) {
      const speaking = different.filter(({ policy }) => policy.rules[direction] !== undefined);
      if (speaking.length === 0) continue;
      let slot = group.slots[direction];
      if (!slot) made.push((slot = this.makeSlot(group, direction)));
      for (const entry of speaking) count(slot, entry, group.policies.has(entry.serial) ? 1 : -1);
      slot.common = new WeakMap();
      if (slot.speaking > 0) continue;
      made.splice(0, made.length, ...made.filter((one) => one !== slot));
      gone.push(...this.#freeSlot(group, direction));
    }
    return { made, gone };
  }

  /** @param like its policies are those of this one's group */
  makeSlot(group: Group, direction: Direction, like?: Slot): Slot {
    const index = this.#free.pop() ?? this.#slots.length;
    const slot: Slot = {
      ...{ index, group, direction, common: new WeakMap() },
      ...{ speaking: like?.speaking ?? 0, isolating: like?.isolating ?? 0 },
      ...{ always: new Set(like?.always), cautious: new Set(like?.cautious), names: new Map(like?.names) },
    };
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

/** A policy more in a slot, or one less. */
function count(slot: Slot, { policy, rules }: PolicyEntry, by: 1 | -1): void {
  const isOrdered = policy.tier !== 'NetworkPolicy';
  const put = by > 0 ? 'add' : 'delete';
  slot.speaking += by;
  if (!isOrdered) slot.isolating += by;
  for (const use of rules![slot.direction]) {
    if (!use.atoms) slot.always[put](use);
    else if (isOrdered && use.action !== 'Accept' && use.atoms.some(({ peer }) => peer.kind === 'pods')) slot.cautious[put](use);
    for (const { name } of use.names) {
      const times = (slot.names.get(name) ?? 0) + by;
      if (times > 0) slot.names.set(name, times);
      else slot.names.delete(name);
    }
  }
}
