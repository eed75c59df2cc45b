import { type Family, families, type IpAddr } from '../net/ip.ts';
import { between } from './between.ts';
import { Meanings, type Meaning } from './meanings.ts';
import { type Direction, directions, type Policy } from './model.ts';
import { endAt } from './packet.ts';
import type { Party } from './parties.ts';
import { both, everything, join, judgeAll, type Traffic } from './traffic.ts';
import type { World } from './world.ts';

/** Policies that select a party and say something of one direction. */
interface Side {
  number: number;
  policies: readonly number[];
  /** Places of their rules, in order: those that name peers, and those that mean everybody. */
  named: ReadonlySet<number>;
  everybody: readonly number[];
  /** By what their peers mean, and by the rules that do: most others are meant by the same few, or by none. */
  byMeaning: Map<number, Matched>;
  byRules: Map<string, Matched>;
}

/** Rules of a side that mean some others. */
interface Matched {
  /** In order, and by which peers: `rule * 4 + kind`. */
  rules: readonly number[];
  /** One of them names ports by their names, which every destination has its own of. */
  isNamed: boolean;
  /** What they allow, by the ports of the destination. */
  traffic: Map<string, Traffic>;
}

type Sides = Readonly<Record<Direction, Side>>;

interface Known {
  alike: number;
  sides: Sides | undefined;
  meanings: ReadonlyMap<Family, Meaning>;
  /** Another one has an address of it: what is sent to and from it is not judged as its. */
  isOdd: boolean;
  ports: string;
}

/**
 * What parties of a world may send to each other, each case judged once: by the policies of one end, by which of their rules mean the other, and by its ports,
 * as far as rules name them. The evaluator judges it, with those rules alone.
 */
export class Alike {
  readonly #world: World;
  readonly #meanings: Meanings;
  readonly #known = new Map<Party, Known>();
  readonly #numbers = new Map<string, number>();
  readonly #sides = new Map<string, Sides>();
  readonly #rulesOf: readonly Readonly<Record<Direction, readonly number[]>>[];

  /** @param parties all that will be asked for */
  constructor(world: World, parties: readonly Party[]) {
    this.#world = world;
    this.#meanings = new Meanings(
      world,
      parties.flatMap(({ addresses }) => [...addresses.values()]),
    );
    const rulesOf = world.policies.map(() => ({ egress: [] as number[], ingress: [] as number[] }));
    for (const [index, { policy, direction }] of this.#meanings.rules.entries()) rulesOf[policy]![direction].push(index);
    this.#rulesOf = rulesOf;
  }

  /** The same number for parties that are treated alike, whoever is at the other end, but for themselves and their own node. */
  numberOf(party: Party): number {
    return this.#of(party).alike;
  }

  /** What all peers and subjects together can tell of a party: finer, two of one number may differ in the peers of a rule that mean them. */
  signatureOf(party: Party): string {
    const { sides, meanings, ports } = this.#of(party);
    const asPeer = families.map((family) => meanings.get(family)?.signature ?? '-');
    return [party.kind, sides?.egress.number, ...asPeer, ports].join(';');
  }

  /** What one may send to the other, by each family that both have. Not of a pod with itself or with its own node. */
  between(source: Party, destination: Party): Map<Family, Traffic> {
    const [from, to] = [this.#of(source), this.#of(destination)];
    if (from.isOdd || to.isOdd) return between(this.#world, source, destination);
    const allowed = new Map<Family, Traffic>();
    for (const family of families) {
      const [meansSource, meansDestination] = [from.meanings.get(family), to.meanings.get(family)];
      if (!meansSource || !meansDestination) continue;
      const ends = { source: source.addresses.get(family)!, destination: destination.addresses.get(family)! };
      const egress = this.#side('egress', from.sides?.egress, meansDestination, to.ports, ends);
      allowed.set(family, both(egress, this.#side('ingress', to.sides?.ingress, meansSource, to.ports, ends)));
    }
    return allowed;
  }

  #of(party: Party): Known {
    const found = this.#known.get(party) ?? this.#look(party);
    this.#known.set(party, found);
    return found;
  }

  #look(party: Party): Known {
    const { pod, addresses, kind, key } = party;
    const meanings = new Map(Array.from(addresses, ([family, address]) => [family, this.#meanings.of(address)]));
    const isOdd = [...addresses.values()].some((address) => !isAt(this.#world, address, party));
    const ports = JSON.stringify(pod?.ports ?? []);
    const sides = pod && this.#sidesOf(this.#meanings.policiesAbout(pod));
    const asPeer = families.map((family) => meanings.get(family)?.number ?? '-');
    const alike = this.#number(isOdd ? `odd ${key}` : [kind, sides?.egress.number, ...asPeer, ports].join(';'));
    return { alike, sides, meanings, isOdd, ports };
  }

  #number(key: string): number {
    const number = this.#numbers.get(key) ?? this.#numbers.size;
    this.#numbers.set(key, number);
    return number;
  }

  /** The same ones for the same policies: by the number of one side the other is known. */
  #sidesOf(policies: readonly number[]): Sides {
    const key = policies.join();
    const known = this.#sides.get(key);
    if (known) return known;
    const number = this.#sides.size * 2;
    const sideOf = (direction: Direction, index: number): Side => {
      const some = policies.filter((policy) => this.#world.policies[policy]!.rules[direction] !== undefined);
      const rules = some.flatMap((policy) => this.#rulesOf[policy]![direction]);
      const isForAll = (rule: number): boolean => this.#meanings.rules[rule]!.rule.peers === undefined;
      return {
        number: number + index,
        policies: some,
        named: new Set(rules.filter((rule) => !isForAll(rule))),
        everybody: rules.filter(isForAll),
        ...{ byMeaning: new Map(), byRules: new Map() },
      };
    };
    const [egress, ingress] = directions.map(sideOf) as [Side, Side];
    const sides = { egress, ingress };
    this.#sides.set(key, sides);
    return sides;
  }

  /** @param side of who is judged; of nodes and the outside none @param other what the rules make of the other end @param ports of the destination */
  #side(
    direction: Direction,
    side: Side | undefined,
    other: Meaning,
    ports: string,
    { source, destination }: { source: IpAddr; destination: IpAddr },
  ): Traffic {
    if (!side || side.policies.length === 0) return everything;
    const { rules, isNamed, traffic } = this.#matchedBy(side, other);
    const key = isNamed ? ports : '';
    const known = traffic.get(key);
    if (known) return known;
    const small = { ...this.#world, policies: this.#reduced(direction, side, rules) };
    const found = join(
      judgeAll(small, source, destination).flatMap(({ interval, verdict }) => (verdict[direction].allowed ? [interval] : [])),
    );
    traffic.set(key, found);
    return found;
  }

  #matchedBy(side: Side, { number, rules }: Meaning): Matched {
    const known = side.byMeaning.get(number);
    if (known) return known;
    const all = side.everybody.map((rule) => rule * 4);
    if (rules.size < side.named.size) {
      for (const [rule, kind] of rules) if (side.named.has(rule)) all.push(rule * 4 + kind);
    } else
      for (const rule of side.named) {
        const kind = rules.get(rule);
        if (kind !== undefined) all.push(rule * 4 + kind);
      }
    const key = all.sort((a, b) => a - b).join();
    const isNamed = all.some((one) => this.#meanings.rules[one >> 2]!.rule.ports?.some((port) => port.kind === 'named'));
    const matched = side.byRules.get(key) ?? { rules: all, isNamed, traffic: new Map() };
    side.byRules.set(key, matched);
    side.byMeaning.set(number, matched);
    return matched;
  }

  /** What is left of the side's policies with the rules that matched; of NetworkPolicies of which none did one is enough, which isolates. */
  #reduced(direction: Direction, side: Side, matched: readonly number[]): Policy[] {
    const rulesOf = new Map<number, Policy['rules'][Direction] & object>();
    for (const one of matched) {
      const { policy, rule } = this.#meanings.rules[one >> 2]!;
      rulesOf.set(policy, [...(rulesOf.get(policy) ?? []), rule]);
    }
    const isolating = side.policies.find((index) => this.#world.policies[index]!.tier === 'NetworkPolicy');
    return side.policies
      .filter((index) => rulesOf.has(index) || index === isolating)
      .map((index) => ({
        ...this.#world.policies[index]!,
        rules: { egress: undefined, ingress: undefined, [direction]: rulesOf.get(index) ?? [] },
      }));
  }
}

/** Whether the address stands for this one and for nobody else. */
function isAt(world: World, address: IpAddr, { kind, key, pod }: Party): boolean {
  const end = endAt(world, address);
  if (end.kind !== kind) return false;
  return end.kind === 'pod' ? end.pod === pod : end.kind === 'node' ? `node ${end.node.name}` === key : true;
}
