import { type Chain, match, type Rule } from '../kernel/nftables/index.ts';
import type { Family } from '../net/ip.ts';
import { named } from './names.ts';
import { nodePort, perFamily, servicePort } from './parts.ts';

const { rule, saddr, daddr, concat, isIn, isNotIn, setPriorityByMap, drop, goto, jump } = match;

const toService = (family: Family): Rule =>
  rule(setPriorityByMap(servicePort(family), named('service-ips', family)), goto('balance'));

const toNodePort = (family: Family): Rule =>
  rule(
    isIn(daddr(family), named('nodeport-ips', family)),
    setPriorityByMap(nodePort, named('nodeports', family)),
    goto('balance'),
  );

const toExternal = (family: Family, chain: string): Rule =>
  rule(isIn(daddr(family), named('externals', family)), jump(named(chain, family)));

/** SD10: whom a load balancer's address is not for is dropped before any translation. Node ports are not asked for (SD9). */
const restrict = (family: Family): Rule =>
  rule(
    isIn(servicePort(family), named('restricted', family)),
    isNotIn(concat(servicePort(family), saddr(family)), named('sources', family)),
    drop,
  );

/** Where packets are recognised as a Service's: from other nodes, pods and the outside, and from this node itself (SD1, SD8). */
export const entryChains: readonly Chain[] = [
  {
    name: 'nat-prerouting',
    hook: { type: 'nat', hook: 'prerouting', priority: -100, policy: 'accept' },
    rules: [
      ...perFamily(toService),
      ...perFamily((family) => toExternal(family, 'external')),
      ...perFamily((family) => [
        rule(
          isIn(daddr(family), named('nodeport-ips', family)),
          isNotIn(saddr(family), named('pods', family)),
          setPriorityByMap(nodePort, named('nodeports-outside', family)),
          goto('balance'),
        ),
        toNodePort(family),
      ]),
    ],
  },
  {
    name: 'nat-output',
    hook: { type: 'nat', hook: 'output', priority: -100, policy: 'accept' },
    rules: [
      ...perFamily(toService),
      ...perFamily((family) => toExternal(family, 'external-here')),
      ...perFamily(toNodePort),
    ],
  },
  ...perFamily((family): Chain[] => {
    const anyEndpoint = rule(setPriorityByMap(servicePort(family), named('external-ports', family)), goto('balance'));
    return [
      {
        name: named('external', family),
        rules: [
          restrict(family),
          rule(
            isNotIn(saddr(family), named('pods', family)),
            setPriorityByMap(servicePort(family), named('external-outside', family)),
            goto('balance'),
          ),
          anyEndpoint,
        ],
      },
      { name: named('external-here', family), rules: [restrict(family), anyEndpoint] },
    ];
  }),
];
