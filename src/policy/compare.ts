import type { Family } from '../net/ip.ts';
import { between, groupsOf, pairOf } from './matrix.ts';
import { cidrsOf, type Party, partiesOf, signatureOf } from './parties.ts';
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
  const both = [...old.keys()].filter((key) => now.has(key));
  const [signBefore, signAfter] = [signatureOf(before), signatureOf(after)];
  const signature = ({ key }: Party): string => `${signBefore(old.get(key)!)} ${signAfter(now.get(key)!)}`;
  const groups = groupsOf(
    both.map((key) => old.get(key)!),
    signature,
  );
  // Of pairs that are alike the same is opened and closed: told once, and most often nothing.
  const known = new Map<number, readonly Pick<Change, 'family' | 'opened' | 'closed'>[]>();
  const changes: Change[] = [];
  for (const from of groups)
    for (const to of groups) {
      const key = from.alike * groups.length + to.alike;
      const already = known.get(key);
      if (already?.length === 0) continue;
      const pair = pairOf(from, to);
      if (!pair) continue;
      const [source, destination] = pair;
      const found =
        already ??
        differences(between(before, source, destination), between(after, now.get(source.key)!, now.get(destination.key)!));
      known.set(key, found);
      for (const change of found) changes.push({ from: from.end.label, to: to.end.label, ...change });
    }
  const labels = (some: ReadonlyMap<string, Party>, others: ReadonlyMap<string, Party>): string[] => [
    ...new Set([...some.values()].filter(({ key, kind }) => kind !== 'outside' && !others.has(key)).map(({ label }) => label)),
  ];
  return { changes, added: labels(now, old), removed: labels(old, now) };
}

function differences(
  was: ReadonlyMap<Family, Traffic>,
  is: ReadonlyMap<Family, Traffic>,
): Pick<Change, 'family' | 'opened' | 'closed'>[] {
  return [...was]
    .map(([family, traffic]) => {
      const then = is.get(family) ?? [];
      return { family, opened: without(then, traffic), closed: without(traffic, then) };
    })
    .filter(({ opened, closed }) => opened.length + closed.length > 0);
}

const byKey = (parties: readonly Party[]): Map<string, Party> => new Map(parties.map((party) => [party.key, party]));
