import { type Family, families, IpAddr } from '../../../net/ip.ts';
import { IpRange } from '../../../net/range.ts';
import { keyOf, type NodeNetwork } from '../../../reconcile/model.ts';
import { type ClassContent, contentOf } from './classes.ts';
import { parseValue, policySet, policySets, portsSet, rangesSet } from './names.ts';

/** Numbers that the kernel holds from before a restart. */
export interface HeldNumbers {
  /** Values of classes by what stands under them. */
  classes: ReadonlyMap<ClassContent, number>;
  identities: ReadonlySet<number>;
  /** The identity of an address, by its element or by the network it is in. */
  identityOf(address: IpAddr): number | undefined;
  /** The identity of the network that begins there. */
  networkAt(first: IpAddr): number | undefined;
}

interface Interval {
  range: IpRange;
  identity: number;
}

export function readHeld(held: NodeNetwork): HeldNumbers {
  const [ids, nets] = [families.map((one) => policySet('policy-ids', one)), families.map((one) => policySet('policy-nets', one))];
  const byAddress = new Map<string, number>();
  const intervals: Record<Family, Interval[]> = { ipv4: [], ipv6: [] };
  const parts = new Map<string, string[]>();
  const identities = new Set<number>();
  // Where there are no policies yet, there may be a million elements of Services.
  const isThere = held.has(keyOf({ kind: 'nft-set', ...policySets[0]! }));
  for (const item of isThere ? held.values() : []) {
    if (item.kind !== 'nft-element' || item.data === undefined || !item.set.startsWith('policy-')) continue;
    const { set, key, data } = item;
    if (ids.includes(set)) {
      byAddress.set(key, parseValue(data));
      identities.add(parseValue(data));
    } else if (nets.includes(set)) {
      const range = IpRange.parse(key);
      intervals[range.family].push({ range, identity: parseValue(data) });
      identities.add(parseValue(data));
    } else if (set === portsSet || set === rangesSet) {
      const end = key.indexOf(' ');
      const some = parts.get(key.slice(0, end)) ?? [];
      parts.set(key.slice(0, end), [...some, `${set} ${key.slice(end + 3)} ${data}`]);
    }
  }
  for (const family of families) intervals[family].sort((a, b) => a.range.first.compare(b.range.first));
  const networkAt = (address: IpAddr): number | undefined => intervalAt(intervals[address.family], address)?.identity;
  const classes = new Map(
    Array.from(parts, ([text, some]) => {
      const value = parseValue(text);
      return [contentOf(value & 7, some), value] as const;
    }),
  );
  return { classes, identities, networkAt, identityOf: (address) => byAddress.get(String(address)) ?? networkAt(address) };
}

function intervalAt(intervals: readonly Interval[], address: IpAddr): Interval | undefined {
  let [low, high] = [0, intervals.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (intervals[middle]!.range.first.compare(address) <= 0) low = middle + 1;
    else high = middle;
  }
  const found = intervals[low - 1];
  return found?.range.contains(address) ? found : undefined;
}
