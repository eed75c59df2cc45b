import { type Chain, dynamic, match } from '../kernel/nftables/index.ts';
import type { Family } from '../net/ip.ts';
import { named, protocols } from './names.ts';
import { perFamily, setOfPriority } from './parts.ts';
import { affinityChain, balancerChain, classMask, pickerChain, stickyChain } from './values.ts';

const { rule, concat, saddr, protocol, priority, randomBelow, setPriorityByMap, verdictByPriority, dnatByPriority, goto, jump } =
  match;

const pick = (count: number): match.Part => setPriorityByMap(concat(setOfPriority, randomBelow(count)), 'slots');
/** The first endpoint there is. A transaction may take the one that was drawn away between two look-ups of the same packet. */
const fallback = rule(pick(1), goto('translate'));

/** From the value in the priority to an endpoint, and to the packet's translation. */
export const choiceChains: readonly Chain[] = [
  { name: 'balance', rules: [rule(verdictByPriority(classMask, 'balancers'))] },
  { name: 'pick', rules: [rule(verdictByPriority(classMask, 'pickers'))] },
  {
    name: 'translate',
    rules: perFamily((family) =>
      protocols.map((name) => rule(protocol(name), dnatByPriority(family, named('endpoints', family)))),
    ),
  },
];

/** Any of so many endpoints. */
export const balancer = (count: number): Chain => ({
  name: balancerChain(count),
  rules: [rule(pick(count), jump('translate')), fallback],
});

export const picker = (count: number): Chain => ({ name: pickerChain(count), rules: [rule(pick(count))] });

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
        rule(setPriorityByMap(setOfPriority, 'affinity-counts')),
        rule(jump('pick')),
        ...remember,
        rule(jump('translate')),
        fallback,
      ],
    },
    { name: stickyChain(seconds), rules: [...remember, rule(jump('translate')), ...forget] },
  ];
}
