import type { Family } from '../net/ip.ts';
import { Alike } from './alike.ts';
import { groupBy } from './group-by.ts';
import { type Group, groupsOf, pairOf } from './matrix.ts';
import { cidrsOf, type Party, partiesOf } from './parties.ts';
import { type Traffic, without } from './traffic.ts';
import type { World } from './world.ts';

/** What a change opens and closes between those who are there before and after it. */
export interface Comparison {
  changes: readonly Change[];
  /** Labels of who comes and who goes: nothing can be compared of them. */
  added: readonly string[];
  removed: readonly string[];
}

export interface Change {
  from: string;
  to: string;
  family: Family;
  opened: Traffic;
  closed: Traffic;
}

export function compare(before: World, after: World): Comparison {
  const cidrs = [...cidrsOf(before), ...cidrsOf(after)];
  const [old, now] = [byKey(partiesOf(before, cidrs)), byKey(partiesOf(after, cidrs))];
  const staying = [...old.keys()].filter((key) => now.has(key));
  const labels = (some: ReadonlyMap<string, Party>, others: ReadonlyMap<string, Party>): string[] => [
    ...new Set([...some.values()].filter(({ key, kind }) => kind !== 'outside' && !others.has(key)).map(({ label }) => label)),
  ];
  const changes = changesOf(new Side(before, old, staying), new Side(after, now, staying));
  return { changes, added: labels(now, old), removed: labels(old, now) };
}

/** What parties may do before the change, or after it. */
class Side {
  readonly parties: readonly Party[];
  readonly alike: Alike;
  readonly #byKey: ReadonlyMap<string, Party>;

  constructor(world: World, byKey: ReadonlyMap<string, Party>, staying: readonly string[]) {
    this.#byKey = byKey;
    this.parties = staying.map((key) => byKey.get(key)!);
    this.alike = new Alike(world, this.parties);
  }

  numberOf({ key }: Party): number {
    return this.alike.numberOf(this.#byKey.get(key)!);
  }

  signatureOf({ key }: Party): string {
    return this.alike.signatureOf(this.#byKey.get(key)!);
  }

  between([source, destination]: readonly [Party, Party]): Map<Family, Traffic> {
    return this.alike.between(this.#byKey.get(source.key)!, this.#byKey.get(destination.key)!);
  }
}

type Difference = Pick<Change, 'family' | 'opened' | 'closed'>;

function changesOf(was: Side, is: Side): Change[] {
  const numbers = new Map<string, number>();
  const groups = groupsOf(was.parties, {
    numberOf: (party) => {
      const key = `${was.numberOf(party)} ${is.numberOf(party)}`;
      const number = numbers.get(key) ?? numbers.size;
      numbers.set(key, number);
      return number;
    },
    signatureOf: (party) => `${was.signatureOf(party)} ${is.signatureOf(party)}`,
  });
  const places = new Map(groups.map((group, place) => [group, place]));
  const byNumber = [...groupBy(groups, ({ alike }) => alike)];
  // Of pairs that are alike the same is opened and closed: found once, and most often nothing.
  const known = new Map<number, readonly Difference[]>();
  const changes: Change[] = [];
  for (const from of groups) {
    const found: { to: Group; differences: readonly Difference[] }[] = [];
    for (const [number, some] of byNumber) {
      const key = from.alike * groups.length + number;
      if (known.get(key)?.length === 0) continue;
      for (const to of some) {
        const pair = pairOf(from, to);
        if (!pair) continue;
        const differences = known.get(key) ?? differencesOf(was.between(pair), is.between(pair));
        known.set(key, differences);
        if (differences.length === 0) break;
        found.push({ to, differences });
      }
    }
    found.sort((a, b) => places.get(a.to)! - places.get(b.to)!);
    for (const { to, differences } of found)
      for (const change of differences) changes.push({ from: from.end.label, to: to.end.label, ...change });
  }
  return changes;
}

function differencesOf(was: ReadonlyMap<Family, Traffic>, is: ReadonlyMap<Family, Traffic>): Difference[] {
  return [...was]
    .map(([family, traffic]) => {
      const then = is.get(family) ?? [];
      return { family, opened: without(then, traffic), closed: without(traffic, then) };
    })
    .filter(({ opened, closed }) => opened.length + closed.length > 0);
}

const byKey = (parties: readonly Party[]): Map<string, Party> => new Map(parties.map((party) => [party.key, party]));
