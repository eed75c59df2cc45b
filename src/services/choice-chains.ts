import { type Chain, dynamic, match, type Rule } from '../kernel/nftables/index.ts';
import { type Family, families } from '../net/ip.ts';
import { named, protocols } from './names.ts';
import { perFamily, setOfPriority } from './parts.ts';
import {
  affinityChain,
  balancerChain,
  classChoices,
  type ClassChoice,
  classMask,
  exactCounts,
  pickerChain,
  stickyChain,
} from './values.ts';

const { rule, concat, saddr, protocol, priority, randomBelow, setPriorityByMap, verdictByPriority } = match;
const { dnatByNumber, returns, goto, jump } = match;

/** A draw that meets an empty slot is made again, this often: it meets one in less than half of all cases, so fewer than 1 in 4,000 connections are left. */
const draws = 12;

/** One rule for each protocol, since nft prints a translation of ports behind a match of their protocol only. */
const perProtocol = (family: Family, value: match.Value, map: string): Rule[] =>
  protocols.map((name) => rule(protocol(name), dnatByNumber(family, value, named(map, family))));

/** Translates to the endpoint in one of the first so many slots, drawn at random; goes on where the slot is empty. */
const draw = (family: Family, slots: number): Rule[] => perProtocol(family, concat(setOfPriority, randomBelow(slots)), 'slots');

const pick = (slots: number): match.Part => setPriorityByMap(concat(setOfPriority, randomBelow(slots)), 'affinity-slots');

/** Puts the number of an endpoint into the priority, as `balancers` chooses one. */
function picker({ name, slots, isExact }: ClassChoice): Chain {
  if (isExact) return { name: pickerChain(name), rules: [rule(pick(slots))] };
  const again = Array.from({ length: draws }, () => rule(pick(slots), returns));
  return { name: pickerChain(name), rules: [...again, rule(pick(slots / 2))] };
}

/**
 * Chains that choose any of so many endpoints: exactly so many, or up to a power of two, where a draw that meets an empty slot is made again; in the end
 * among the lower half, which has none. The last word is the first slot's: a transaction may take the one that was drawn away between two look-ups of the same
 * packet.
 */
const balancersOf = (family: Family): Chain[] =>
  classChoices.flatMap(({ name, slots, isExact }): Chain[] => {
    const chain = balancerChain(family, name);
    const first = goto(balancerChain(family, '1'));
    if (isExact) return [{ name: chain, rules: [...draw(family, slots), ...(slots === 1 ? [] : [rule(first)])] }];
    const below = slots / 2 > exactCounts ? rule(jump(drawChain(family, slots / 2))) : rule(goto(balancerChain(family, `${slots / 2}`)));
    return [
      { name: drawChain(family, slots), rules: draw(family, slots) },
      { name: chain, rules: [...Array.from({ length: draws }, () => rule(jump(drawChain(family, slots)))), below, rule(first)] },
    ];
  });

const drawChain = (family: Family, slots: number): string => `${named('draw', family)}-${slots}`;

/**
 * From the value in the priority to the packet's translation, or by way of an endpoint's number. All of them are made with the table, while its maps are empty:
 * for each chain that looks something up in a map the kernel walks over all that the map holds (nf_tables_bind_set).
 */
export const choiceChains: readonly Chain[] = [
  ...perFamily((family) => [
    { name: named('balance', family), rules: [rule(verdictByPriority(classMask, named('balancers', family)))] },
    ...balancersOf(family),
  ]),
  {
    name: 'pick',
    rules: [rule(setPriorityByMap(setOfPriority, 'affinity-counts')), rule(verdictByPriority(classMask, 'pickers'))],
  },
  ...classChoices.map(picker),
  { name: 'translate', rules: families.flatMap((family) => perProtocol(family, priority, 'endpoints')) },
  { name: 'translate-first', rules: [rule(pick(1), goto('translate'))] },
];

/**
 * Session affinity (SA14, SD16): the endpoint that the client had, for as long as it is in the set; else any, which is remembered. `update` writes an
 * element or has it live longer, but never changes its data, so a wrong one is deleted first.
 */
export function affinityChains(seconds: number): Chain[] {
  const client = (family: Family): match.Value => concat(setOfPriority, saddr(family));
  const remember = perFamily((family) =>
    rule(dynamic.updateElement(named('affinity', family), client(family), priority, seconds)),
  );
  const forget = perFamily((family) => rule(dynamic.deleteElement(named('affinity', family), client(family), priority)));
  return [
    {
      name: affinityChain(seconds),
      rules: [
        ...perFamily((family) =>
          rule(setPriorityByMap(client(family), named('affinity', family)), jump(stickyChain(seconds))),
        ),
        rule(jump('pick')),
        ...remember,
        rule(jump('translate')),
        rule(goto('translate-first')),
      ],
    },
    { name: stickyChain(seconds), rules: [...remember, rule(jump('translate')), ...forget] },
  ];
}
