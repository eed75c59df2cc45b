import { type Chain, match, type Rule } from '../../../kernel/nftables/index.ts';
import type { Family } from '../../../net/ip.ts';
import type { Direction } from '../../model.ts';
import { defaultSet, policySet, rowsSet } from '../elements/names.ts';
import { errors, numbered, perFamily } from './parts.ts';

const { rule, concat, saddr, daddr, priority, originalSaddr, originalDaddr, originalDport, replySaddr, connectionProtocol } = match;
const { protocol, isIn, ctStatusDnat, setPriorityByMap, clearPriority, goto, jump } = match;

/** From the remote address to its identity, and with the pod's own to a class, by which the port is judged. */
function byIdentity(
  name: string,
  family: Family,
  { remote, local, direction, decide }: { remote: match.Value; local: match.Value; direction: Direction; decide: string },
): Chain[] {
  const classChain = numbered(`${name}-class`, family);
  return [
    {
      name: numbered(name, family),
      rules: [
        rule(setPriorityByMap(remote, policySet('policy-ids', family)), goto(classChain)),
        rule(setPriorityByMap(remote, policySet('policy-nets', family)), goto(classChain)),
        // What is in neither has no identity; until here the value is the pod's own class.
        rule(clearPriority),
        rule(goto(classChain)),
      ],
    },
    {
      name: classChain,
      rules: [
        rule(setPriorityByMap(concat(priority, local), rowsSet(direction, family)), goto(decide)),
        rule(setPriorityByMap(local, defaultSet(direction, family)), goto(decide)),
      ],
    },
  ];
}

/** A pod that reaches itself by a Service is not kept from itself by identities (NP11, CNP9). */
const itself = (family: Family): Rule =>
  rule(
    ctStatusDnat,
    setPriorityByMap(concat(originalSaddr(family), replySaddr(family)), policySet('policy-selves', family)),
    goto('policy-decide'),
  );

/** Cluster DNS that was translated: where it leads says nothing. Two protocols, and ICMP errors about them. */
const isDns = (family: Family): match.Part[][] =>
  (['tcp', 'udp', errors[family]] as const).map((name) => [
    protocol(name),
    isIn(concat(originalDaddr(family), connectionProtocol, originalDport), policySet('policy-dns', family)),
  ]);

export const dnsChain: Chain = {
  name: 'policy-dns',
  rules: perFamily((family) =>
    isDns(family).map((parts) =>
      rule(
        ...parts,
        setPriorityByMap(originalDaddr(family), defaultSet('ingress', family)),
        jump(numbered('policy-dns-from', family)),
      ),
    ),
  ),
};

export function directionChains(family: Family): Chain[] {
  const [original, reply, service] = [originalSaddr(family), replySaddr(family), originalDaddr(family)];
  const decide = 'policy-decide';
  return [
    {
      name: numbered('policy-egress', family),
      rules: [rule(ctStatusDnat, goto(numbered('policy-translated', family))), rule(goto(numbered('policy-to', family)))],
    },
    {
      name: numbered('policy-translated', family),
      rules: [
        itself(family),
        // Cluster DNS that leads to another node's is cluster DNS still.
        ...isDns(family).map((parts) => rule(...parts, goto(numbered('policy-dns-to', family)))),
        rule(goto(numbered('policy-to', family))),
      ],
    },
    { name: numbered('policy-ingress', family), rules: [itself(family), rule(goto(numbered('policy-from', family)))] },
    ...byIdentity('policy-to', family, { remote: reply, local: original, direction: 'egress', decide }),
    ...byIdentity('policy-from', family, { remote: original, local: reply, direction: 'ingress', decide }),
    ...byIdentity('policy-dns-to', family, { remote: service, local: original, direction: 'egress', decide: `${decide}-dns` }),
    ...byIdentity('policy-dns-from', family, { remote: original, local: service, direction: 'ingress', decide: `${decide}-dns` }),
    ...byIdentity('policy-headers-to', family, {
      ...{ remote: daddr(family), local: saddr(family), direction: 'egress', decide: `${decide}-headers` },
    }),
    ...byIdentity('policy-headers-from', family, {
      ...{ remote: saddr(family), local: daddr(family), direction: 'ingress', decide: `${decide}-headers` },
    }),
  ];
}
