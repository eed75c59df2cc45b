import type { Item, NftElement } from '../reconcile/model.ts';
import { checkChains } from './check-chains.ts';
import { affinityChains, choiceChains } from './choice-chains.ts';
import { entryChains } from './entry-chains.ts';
import { layoutVersion, named, tableName } from './names.ts';
import { nodePortAddressesOf, type ServiceNode } from './node.ts';
import { textOf, withoutCovered } from './prefixes.ts';
import { allSets } from './sets.ts';
import { sourceChains } from './source-chains.ts';
import { untrackedChains } from './untracked-chains.ts';
import { affinityChain, affinityClass, balancerChain, classChoices, classKey, pickerChain, pickerSlots } from './values.ts';

/** Timeouts of session affinity and their indexes: what the chains depend on beside the node. */
export type LayoutTimeouts = readonly (readonly [seconds: number, index: number])[];

const element = (name: string, key: string, data?: string): NftElement =>
  data === undefined ? { kind: 'nft-element', set: name, key } : { kind: 'nft-element', set: name, key, data };

/** Table, chains, sets and the elements that describe the node. */
export function planLayout(node: ServiceNode, timeouts: LayoutTimeouts): Item[] {
  const chains = [
    ...[...entryChains, ...choiceChains, ...checkChains(node), ...sourceChains(node), ...untrackedChains],
    ...timeouts.flatMap(([seconds]) => affinityChains(seconds)),
  ];
  return [
    { kind: 'nft-table', name: tableName, comment: layoutVersion },
    ...chains.map((chain): Item => ({ kind: 'nft-chain', ...chain })),
    ...allSets.map((spec): Item => ({ kind: 'nft-set', ...spec })),
    element('balancers', classKey(0), 'drop'),
    ...classChoices.map((choice) => element('balancers', classKey(choice.class), `jump ${balancerChain(choice.name)}`)),
    ...classChoices.filter(({ isExact }) => !isExact).map((choice) => element('redraws', classKey(choice.class), `jump ${balancerChain(choice.name)}`)),
    ...timeouts.map(([seconds, index]) =>
      element('balancers', classKey(affinityClass(index)), `goto ${affinityChain(seconds)}`),
    ),
    ...classChoices.map(({ class: low, slots }) => element('pickers', classKey(low), `goto ${pickerChain(pickerSlots.find((most) => most >= slots)!)}`)),
    ...nodePortAddressesOf(node).map((address) => element(named('nodeport-ips', address.family), `${address}`)),
    ...withoutCovered(node.podCidrs).map((cidr) => element(named('pods', cidr.family), textOf(cidr))),
    ...withoutCovered(node.serviceCidrs).map((cidr) => element(named('service-cidrs', cidr.family), textOf(cidr))),
  ];
}
