import { type Chain, dynamic, match, type Rule } from '../kernel/nftables/index.ts';
import type { Family } from '../net/ip.ts';
import { named, protocols } from './names.ts';
import { perFamily, setOfPriority } from './parts.ts';
import {
  affinityChain,
  balancerChain,
  classChoices,
  type ClassChoice,
  classMask,
  pickerChain,
  pickerSlots,
  stickyChain,
} from './values.ts';

const { rule, concat, saddr, protocol, priority, randomBelow, setPriorityByMap, verdictByPriority } = match;
const { dnatByMap, dnatByNumber, returns, goto, jump } = match;

/** A draw that meets an empty slot is made again, this often: it meets one in less than half of all cases, so fewer than 1 in 4,000 connections are left. */
const draws = 12;
const again = <T>(fn: () => T | T[]): T[] => Array.from({ length: draws }, fn).flat() as T[];

/** One rule for each protocol, since nft prints a translation of ports behind a match of their protocol only. */
const perProtocol = (translate: (family: Family) => match.Part): Rule[] =>
  perFamily((family) => protocols.map((name) => rule(protocol(name), translate(family))));

/** Translates to the endpoint in one of the first so many slots, drawn at random; goes on where the slot is empty. */
const draw = (slots: number): Rule[] =>
  perProtocol((family) => dnatByMap(family, concat(setOfPriority, randomBelow(slots)), named('slots', family)));

const pick = (slots: number): match.Part => setPriorityByMap(concat(setOfPriority, randomBelow(slots)), 'affinity-slots');

/**
 * Chooses any of so many endpoints: exactly so many, or up to a power of two, where a draw that meets an empty slot is made again; in the end among the lower
 * half, which has none. The last word is the first slot's: a transaction may take the one that was drawn away between two look-ups of the same packet.
 */
function balancer({ name, slots, isExact }: ClassChoice): Chain {
  const first = slots === 1 ? [] : [rule(goto(balancerChain('1')))];
  return { name: balancerChain(name), rules: isExact ? [...draw(slots), ...first] : [...again(() => draw(slots)), ...draw(slots / 2), ...first] };
}

/** Puts the number of an endpoint into the priority, as a balancer chooses one; always among a power of two, since most Services have no affinity. */
const picker = (slots: number): Chain => ({
  name: pickerChain(slots),
  rules: slots <= 2 ? [rule(pick(slots))] : [...again(() => rule(pick(slots), returns)), rule(pick(slots / 2))],
});

/**
 * From the value in the priority to the packet's translation, or by way of an endpoint's number. All of them are made with the table, while its maps are empty:
 * for each chain that looks something up in a map the kernel walks over all that the map holds (nf_tables_bind_set). There are as few as can be, and rather more
 * rules: each transaction looks at every chain there is (nf_tables_commit), a quarter of what it takes when caches are cold.
 */
export const choiceChains: readonly Chain[] = [
  { name: 'balance', rules: [rule(verdictByPriority(classMask, 'balancers'))] },
  ...classChoices.map(balancer),
  {
    name: 'pick',
    rules: [rule(setPriorityByMap(setOfPriority, 'affinity-counts')), rule(verdictByPriority(classMask, 'pickers'))],
  },
  ...pickerSlots.map(picker),
  { name: 'translate', rules: perProtocol((family) => dnatByNumber(family, priority, named('endpoints', family))) },
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
