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

const { rule, concat, saddr, l4proto, protocol, priority, randomBelow, setPriorityByMap, verdictByPriority } = match;
const { dnatByMap, dnatByNumber, returns, goto, jump } = match;

/** A draw that meets an empty slot is made again, this often: it meets one in less than half of all cases, so fewer than 1 in a million connections are left. */
const draws = 20;
/** The same with session affinity, where each draw is a rule with a look-up of its own; fewer than 1 in 250 are left. */
const picks = 8;
const again = <T>(times: number, part: T): T[] => Array.from({ length: times }, () => part);

/** One rule for each protocol, since nft prints a translation of ports behind a match of their protocol only. */
const perProtocol = (translate: (family: Family) => match.Part): Rule[] =>
  perFamily((family) => protocols.map((name) => rule(protocol(name), translate(family))));

/**
 * Translates to the endpoint in one of the first so many slots, drawn at random; goes back where the slot is empty. The protocol in the key says nothing that the
 * set does not: nft prints a translation of ports only where their protocol is known, and so one rule is enough for all of them.
 */
const balancer = ({ name, slots }: ClassChoice): Chain => ({
  name: balancerChain(name),
  rules: perFamily((family) => rule(dnatByMap(family, concat(setOfPriority, randomBelow(slots), l4proto), named('slots', family)))),
});

const pick = (slots: number): match.Part => setPriorityByMap(concat(setOfPriority, randomBelow(slots)), 'affinity-slots');

const firstOfSticky = rule(pick(1), goto('translate'));

/**
 * Puts the number of an endpoint into the priority. A draw that meets an empty slot is made again; in the end one of the lower half is drawn, which has none. Only
 * who is not remembered comes here, so there are as few of these chains as do: each one that there is costs each transaction.
 */
const picker = (slots: number): Chain => ({
  name: pickerChain(slots),
  rules: slots === 1 ? [rule(pick(1))] : [...again(picks, rule(pick(slots), returns)), rule(pick(slots / 2))],
});

/**
 * From the value in the priority to the packet's translation, or by way of an endpoint's number. All of them are made with the table, while its maps are empty:
 * for each chain that looks something up in a map the kernel walks over all that the map holds (nf_tables_bind_set). There are few, and few rules that look up:
 * each transaction visits every chain (nf_tables_commit) and, for an element, every rule that looks its map up (nft_add_set_elem). So it is `balance` that has a
 * draw made again, for all numbers of endpoints alike; by a map that leads to few chains, since kernels before 2026 walk over all that can be reached from each
 * rule, for each of them anew, whenever a rule or a verdict is added (nft_chain_validate), and chains of session affinity reach many. The last word is the first slot's: a transaction may take the one that was drawn away between two look-ups
 * of the same packet; or give the set session affinity, or take it, and then the first slot stands in the other map.
 */
export const choiceChains: readonly Chain[] = [
  { name: 'balance', rules: [rule(verdictByPriority(classMask, 'balancers')), ...again(draws - 1, rule(verdictByPriority(classMask, 'redraws'))), rule(jump(balancerChain('1'))), firstOfSticky] },
  ...classChoices.map(balancer),
  {
    name: 'pick',
    rules: [rule(setPriorityByMap(setOfPriority, 'affinity-counts')), rule(verdictByPriority(classMask, 'pickers'))],
  },
  ...pickerSlots.map(picker),
  { name: 'translate', rules: perProtocol((family) => dnatByNumber(family, priority, named('endpoints', family))) },
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
        firstOfSticky,
        rule(goto(balancerChain('1'))),
      ],
    },
    { name: stickyChain(seconds), rules: [...remember, rule(jump('translate')), ...forget] },
  ];
}
