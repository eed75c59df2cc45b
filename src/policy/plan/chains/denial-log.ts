import { type Chain, dynamic, match } from '../../../kernel/nftables/index.ts';
import { deniedSeconds, deniedSet, loggedSet } from '../elements/names.ts';
import { errors, numbered, perFamily, withPorts } from './parts.ts';

const { rule, concat, saddr, daddr, l4proto, dport, originalSaddr, replySaddr, replySport, connectionProtocol } = match;
const { protocol, isIn, ctStateUntracked, goto } = match;

/** Denials of pods in namespaces that ask for it are written down, as they are judged; `agent/policy/denials.ts` reads them. */
export const logChains: readonly Chain[] = [
  {
    name: 'policy-log',
    rules: perFamily((family) => [
      rule(isIn(originalSaddr(family), loggedSet(family)), goto(numbered('policy-log', family))),
      rule(isIn(replySaddr(family), loggedSet(family)), goto(numbered('policy-log', family))),
      rule(ctStateUntracked, isIn(saddr(family), loggedSet(family)), goto(numbered('policy-log-headers', family))),
    ]),
  },
  ...perFamily((family): Chain[] => {
    const connection = concat(originalSaddr(family), replySaddr(family), connectionProtocol, replySport);
    const headers = concat(saddr(family), daddr(family), l4proto, dport);
    return [
      {
        name: numbered('policy-log', family),
        rules: [...withPorts, errors[family]].map((name) =>
          rule(protocol(name), dynamic.countElement(deniedSet(family), connection, deniedSeconds)),
        ),
      },
      // Two chains, since nft writes what a rule needs of the family behind the protocol.
      { name: numbered('policy-log-headers', family), rules: [rule(protocol('udp'), goto(numbered('policy-log-udp', family)))] },
      {
        name: numbered('policy-log-udp', family),
        rules: [rule(dynamic.countElement(deniedSet(family), headers, deniedSeconds))],
      },
    ];
  }),
];
