import type { Item, NftElement } from '../reconcile/model.ts';
import { checkChains } from './check-chains.ts';
import { affinityChains, balancer, choiceChains, picker } from './choice-chains.ts';
import { entryChains } from './entry-chains.ts';
import { layoutVersion, named, tableName } from './names.ts';
import { nodePortAddressesOf, type ServiceNode } from './node.ts';
import { textOf, withoutCovered } from './prefixes.ts';
import { allSets } from './sets.ts';
import { sourceChains } from './source-chains.ts';
import { affinityChain, affinityClass, balancerChain, classKey, pickerChain } from './values.ts';

/** What the chains depend on beside the node. */
export interface LayoutShape {
  /** The most endpoints that can be chosen from. */
  balancers: number;
  /** The same for Services with session affinity. */
  pickers: number;
  /** Timeouts of session affinity and their indexes. */
  timeouts: readonly (readonly [seconds: number, index: number])[];
}

const element = (name: string, key: string, data?: string): NftElement =>
  data === undefined ? { kind: 'nft-element', set: name, key } : { kind: 'nft-element', set: name, key, data };

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);

/** Table, chains, sets and the elements that describe the node. */
export function planLayout(node: ServiceNode, { balancers, pickers, timeouts }: LayoutShape): Item[] {
  const chains = [
    ...[...entryChains, ...choiceChains, ...checkChains, ...sourceChains(node)],
    ...upTo(balancers).map(balancer),
    ...upTo(pickers).map(picker),
    ...timeouts.flatMap(([seconds]) => affinityChains(seconds)),
  ];
  return [
    { kind: 'nft-table', name: tableName, comment: layoutVersion },
    ...chains.map((chain): Item => ({ kind: 'nft-chain', ...chain })),
    ...allSets.map((spec): Item => ({ kind: 'nft-set', ...spec })),
    element('balancers', classKey(0), 'drop'),
    ...upTo(balancers).map((count) => element('balancers', classKey(count), `goto ${balancerChain(count)}`)),
    ...upTo(pickers).map((count) => element('pickers', classKey(count), `goto ${pickerChain(count)}`)),
    ...timeouts.map(([seconds, index]) =>
      element('balancers', classKey(affinityClass(index)), `goto ${affinityChain(seconds)}`),
    ),
    ...nodePortAddressesOf(node).map((address) => element(named('nodeport-ips', address.family), `${address}`)),
    ...withoutCovered(node.podCidrs).map((cidr) => element(named('pods', cidr.family), textOf(cidr))),
    ...withoutCovered(node.serviceCidrs).map((cidr) => element(named('service-cidrs', cidr.family), textOf(cidr))),
  ];
}
