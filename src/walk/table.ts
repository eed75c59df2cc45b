import { encodeValue, intervalOf, parseType, typeSize } from '../kernel/nftables/datatypes.ts';
import type {
  Chain,
  Element,
  NftSetSpec,
  RulesetChain,
  RulesetElement,
  RulesetSet,
  RulesetTable,
} from '../kernel/nftables/index.ts';
import { isRanged, rangeOf } from '../kernel/nftables/ranges.ts';

/** A table of family inet as it is planned, before any kernel holds it. */
export interface PlannedTable {
  name: string;
  chains: Iterable<Chain>;
  sets: Iterable<NftSetSpec>;
  elements: Iterable<Element & { set: string }>;
}

/** As if it had been read from a kernel; rules have their place in the chain, from 1, as their handle. */
export function tableOf({ name, chains, sets, elements }: PlannedTable): RulesetTable {
  const bySet = new Map<string, Element[]>();
  for (const element of elements) {
    const list = bySet.get(element.set);
    if (list) list.push(element);
    else bySet.set(element.set, [element]);
  }
  return {
    ...{ family: 'inet', name, dormant: false },
    chains: new Map(Array.from(chains, (chain) => [chain.name, chainOf(chain)])),
    sets: new Map(Array.from(sets, (set) => [set.name, setOf(set, bySet.get(set.name) ?? [])])),
  };
}

const chainOf = ({ name, hook, rules }: Chain): RulesetChain => ({
  name,
  ...(hook ? { hook: { ...hook, policy: hook.policy ?? 'accept', devices: [] } } : {}),
  rules: rules.map(({ expressions }, i) => ({ handle: i + 1, expressions: [...expressions] })),
});

function setOf(set: NftSetSpec, elements: readonly Element[]): RulesetSet {
  const types = parseType(set.key);
  const ranged = isRanged(set);
  return {
    ...{ name: set.name, keyLength: typeSize(types), interval: set.flags.includes('interval'), isMap: set.data !== undefined },
    // What packets write is not known beforehand.
    dynamic: set.flags.includes('dynamic'),
    ...(ranged ? { parts: types.map(({ size }) => size) } : {}),
    elements: set.flags.includes('dynamic') ? undefined : elements.flatMap((element) => elementsOf(set, element)),
  };
}

function elementsOf(set: NftSetSpec, { key, data }: Element): RulesetElement[] {
  const types = parseType(set.key);
  const bytes = (text: string): string => `0x${encodeValue(parseType(set.data!), text).toString('hex')}`;
  const rest = {
    end: false,
    catchAll: false,
    ...(data === undefined ? {} : { data: set.data === 'verdict' ? data : bytes(data) }),
  };
  if (isRanged(set)) {
    const { first, last } = rangeOf(types, key);
    return [{ key: first, keyEnd: last, ...rest }];
  }
  if (!set.flags.includes('interval')) return [{ key: encodeValue(types, key), ...rest }];
  const { start, end } = intervalOf(types, key);
  return [{ key: start, ...rest }, ...(end ? [{ key: end, end: true, catchAll: false }] : [])];
}
