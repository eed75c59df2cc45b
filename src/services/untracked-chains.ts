import { type Chain, match } from '../kernel/nftables/index.ts';
import { named } from './names.ts';
import { answeringPort, perFamily, servicePort } from './parts.ts';

const { rule, protocol, isIn, notrack, jump } = match;

/** NF_IP_PRI_RAW: before conntrack (-200). */
const raw = -300;

/**
 * UDP to and from what this node answers itself (its DNS) is no business of conntrack: an entry for each question costs more than its answer, fills the table, and two questions of one socket at
 * the same moment were dropped for each other's entry (kubernetes#56903). Untracked packets meet no translation and are in no state but `untracked`.
 *
 * Questions are left out while the node answers; else they are translated, which needs an entry. Answers always: one that is late, after the node has ceased to answer, would make an entry in
 * the reverse direction, by which the asker's next question came here again.
 */
export const untrackedChains: readonly Chain[] = [
  {
    name: 'raw-prerouting',
    hook: { type: 'filter', hook: 'prerouting', priority: raw, policy: 'accept' },
    rules: [rule(protocol('udp'), jump('untracked'))],
  },
  {
    name: 'raw-output',
    hook: { type: 'filter', hook: 'output', priority: raw, policy: 'accept' },
    rules: [
      ...perFamily((family) => rule(protocol('udp'), isIn(answeringPort(family), named('answers', family)), notrack)),
      rule(protocol('udp'), jump('untracked')),
    ],
  },
  { name: 'untracked', rules: perFamily((family) => rule(isIn(servicePort(family), named('answered', family)), notrack)) },
];
