import type { NftElement } from '../../reconcile/model.ts';

const sets = { ids: /^policy-(ids|nets)[46]$/, rows: /^policy-(egress|ingress)[46]$/, ports: /^policy-(ports|ranges)$/ };

/**
 * What planned elements say, whatever numbers they use: a class is what stands under it, an identity is its rows.
 * @throws Error when a number is used that nothing says anything of, or the other way round
 */
export function meaningOf(elements: Iterable<NftElement>): string[] {
  const all = [...elements];
  const split = (key: string): [head: string, rest: string] => [key.slice(0, key.indexOf(' ')), key.slice(key.indexOf(' ') + 3)];
  const gather = (which: RegExp, valueOf: (element: NftElement) => string): Map<string, string> => {
    const found = new Map<string, string[]>();
    for (const element of all)
      if (which.test(element.set)) {
        const [head, rest] = split(element.key);
        found.set(head, [...(found.get(head) ?? []), `${element.set} ${rest} ${valueOf(element)}`]);
      }
    return new Map(Array.from(found, ([head, lines]) => [head, lines.sort().join('|')]));
  };
  const ports = gather(sets.ports, ({ data }) => data!);
  const usedClasses = new Set<string>();
  const classOf = ({ data = '' }: NftElement): string => {
    usedClasses.add(data);
    const [major = 0, minor = 0] = data.split(':').map((hex) => Number.parseInt(hex, 16));
    const value = data === 'none' ? 0 : major * 65536 + minor;
    if (value > 7 && !ports.has(data)) throw new Error(`class ${data} has no elements`);
    return `${value & 7} ${ports.get(data) ?? ''}`;
  };
  const rows = gather(sets.rows, classOf);
  const usedIdentities = new Set<string>();
  const lines = all.flatMap((element) => {
    const { set, key, data = '' } = element;
    if (sets.rows.test(set) || sets.ports.test(set)) return [];
    if (!sets.ids.test(set)) return [`${set} ${key} ${data === '' ? '' : classOf(element)}`];
    usedIdentities.add(data);
    if (!rows.has(data) && data !== '0:1') throw new Error(`identity ${data} of ${key} has no rows`);
    return [`${set} ${key} ${rows.get(data) ?? 'nobody'}`];
  });
  for (const value of ports.keys()) if (!usedClasses.has(value)) throw new Error(`class ${value} is not used`);
  for (const identity of rows.keys()) if (!usedIdentities.has(identity)) throw new Error(`identity ${identity} is nobody's`);
  return lines.sort();
}
