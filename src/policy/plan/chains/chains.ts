import { type Chain, match, type Rule } from '../../../kernel/nftables/index.ts';
import type { Item } from '../../../reconcile/model.ts';
import { defaultSet, denialSets, policySet, policySets } from '../elements/names.ts';
import { logChains } from './denial-log.ts';
import { directionChains, dnsChain } from './look-ups.ts';
import { numbered, perFamily } from './parts.ts';
import { connectionPort, decideChains, deniedCounter, endChains, forgedCounter, headerPort } from './verdicts.ts';

const { rule, saddr, daddr, originalSaddr, originalDport, replySaddr, replySport, isIn, icmpType, tcpReset } = match;
const { iifNotInGroup, oifNotInGroup, iifIsNot, oifIsNot, addressIsLocal, ctOriginal, ctStatusDnat } = match;
const { ctStateInvalid, ctStateUntracked, ctStateUnknown, setPriorityByMap, clearPriority, accept, goto, jump } = match;

/** Which links are pods'. */
export interface PodLinks {
  /** Group of the links whose other ends are pods. */
  group: number;
  /** The bridge whose ports the pods are, if that is how they hang on the node. */
  bridge?: string;
}

/** Behind what is said of Services (0): their addresses are translated, and what found no endpoint was refused. */
const filterPriority = 10;

const fromNoPod = ({ group, bridge }: PodLinks): match.Part => (bridge === undefined ? iifNotInGroup(group) : iifIsNot(bridge));
const toNoPod = ({ group, bridge }: PodLinks): match.Part => (bridge === undefined ? oifNotInGroup(group) : oifIsNot(bridge));

const base = (hook: 'forward' | 'input' | 'output', rules: Rule[]): Chain => ({
  name: `policy-${hook}`,
  hook: { type: 'filter', hook, priority: filterPriority, policy: 'accept' },
  rules,
});

/** Of a pod that no policy speaks of the value is in no map, so that nothing more is asked. */
const judgeEgress = perFamily((family) =>
  rule(setPriorityByMap(originalSaddr(family), defaultSet('egress', family)), jump(numbered('policy-egress', family))),
);
const judgeIngress = (...only: match.Part[]): Rule[] =>
  perFamily((family) =>
    rule(...only, setPriorityByMap(replySaddr(family), defaultSet('ingress', family)), jump(numbered('policy-ingress', family))),
  );

/** The same of cluster DNS that leads to another node's, which is a pod of no node. */
const judgeDns = rule(ctStatusDnat, jump('policy-dns'));

/** What is left of a packet was accepted in all directions that were asked: its connection bears the epoch. */
const settle = [rule(clearPriority), rule(jump('policy-settle'))];

/** Where packets of pods meet policies. They accept here only, so that no direction is left out. */
const baseChains = (links: PodLinks): Chain[] => [
  base('forward', [
    rule(jump('policy-known')),
    rule(fromNoPod(links), toNoPod(links), accept),
    rule(fromNoPod(links), jump('policy-outside')),
    rule(ctStateUnknown, goto('policy-unseen')),
    ...judgeEgress,
    ...judgeIngress(),
    judgeDns,
    ...settle,
  ]),
  // To the node. What the node itself opened is judged by nobody (NP12, CNP12). The only pod that is reached here is cluster DNS, which the node answers.
  base('input', [
    rule(fromNoPod(links), accept),
    rule(jump('policy-known')),
    rule(ctStateUntracked, goto('policy-untracked')),
    rule(ctStateInvalid, goto('policy-unseen')),
    ...judgeEgress,
    ...judgeIngress(ctOriginal),
    ...settle,
  ]),
  // Of the node: answers in connections that pods opened. A reset that ends a connection was perhaps made here.
  base('output', [
    rule(toNoPod(links), accept),
    rule(ctOriginal, accept),
    rule(ctStateUnknown, accept),
    rule(tcpReset, accept),
    rule(jump('policy-known')),
    ...judgeEgress,
    ...judgeIngress(),
    ...settle,
  ]),
];

/**
 * From a neighbour, a tunnel, the way to the internet: what bears an address of this node or of a pod on it comes from neither, and would be judged as theirs.
 * The kernel sees to the node's own IPv4 addresses (martians), and to those of pods where `rp_filter` is 1; of IPv6 to nothing.
 */
const outside: Chain = {
  name: 'policy-outside',
  rules: [
    rule(addressIsLocal('saddr'), goto('policy-forged')),
    ...perFamily((family) => rule(isIn(saddr(family), policySet('policy-here', family)), goto('policy-forged'))),
  ],
};

/** What conntrack does not know has no connection to be judged: whoever is isolated does without it. */
const unseen: Chain = {
  name: 'policy-unseen',
  rules: [
    ...perFamily((family) => [
      rule(setPriorityByMap(saddr(family), defaultSet('egress', family)), goto('policy-drop')),
      rule(setPriorityByMap(daddr(family), defaultSet('ingress', family)), goto('policy-drop')),
    ]),
  ],
};

/** RFC 4861; conntrack leaves these out. Each neighbour must be found, whatever policies say. */
const neighbourDiscovery = [
  icmpType('ipv6', 133, 'nd-router-solicit'),
  icmpType('ipv6', 135, 'nd-neighbor-solicit'),
  icmpType('ipv6', 136, 'nd-neighbor-advert'),
];

/** To the node, past conntrack: questions to the node's own DNS by UDP, and what others' rules leave out. Judged by what the headers say. */
const untracked: Chain = {
  name: 'policy-untracked',
  rules: [
    ...neighbourDiscovery.map((part) => rule(part, accept)),
    ...perFamily((family) => [
      rule(setPriorityByMap(saddr(family), defaultSet('egress', family)), jump(numbered('policy-headers-to', family))),
      rule(setPriorityByMap(daddr(family), defaultSet('ingress', family)), jump(numbered('policy-headers-from', family))),
    ]),
    rule(clearPriority),
  ],
};

/**
 * Chains, sets and the counters of policies, without elements and without the two chains of the epoch (`epoch.ts`), which these jump to. ADR 19.
 * `meta priority` carries identity and class from look-up to look-up, and is cleared behind.
 */
export const planPolicyChains = ({ podLinks }: { podLinks: PodLinks }): Item[] => [
  ...[deniedCounter, forgedCounter].map((name): Item => ({ kind: 'nft-counter', name })),
  ...[...policySets, ...denialSets].map((set): Item => ({ kind: 'nft-set', ...set })),
  ...[
    ...baseChains(podLinks),
    outside,
    unseen,
    untracked,
    dnsChain,
    ...perFamily(directionChains),
    ...decideChains('', connectionPort(replySport)),
    ...decideChains('-dns', connectionPort(originalDport)),
    ...decideChains('-headers', headerPort),
    ...endChains,
    ...logChains,
  ].map((chain): Item => ({ kind: 'nft-chain', ...chain })),
];
