import { type Chain, match } from '../kernel/nftables/index.ts';
import type { NftChain } from '../reconcile/model.ts';
import { named } from './names.ts';
import type { ServiceNode } from './node.ts';
import { nodePort, perFamily, servicePort } from './parts.ts';

const { rule, saddr, daddr, isIn, isNotIn, protocol, ctStateNew, ctStatusDnat, oifIs, reject, rejectWithTcpReset, drop, returns, goto, jump } = match;

/** Where a connection ends that nobody answers; on kernels without `reject` it is dropped there. */
export const refuseChain = 'refuse';

const check = rule(ctStateNew, jump('service-check'));

/** What is still addressed to a Service behind the translation found no endpoint (SD6, SD12). */
export const checkChains = ({ sink }: ServiceNode): (Chain & Pick<NftChain, 'otherwise'>)[] => [
  ...(['input', 'output'] as const).map(
    (hook): Chain => ({
      name: `filter-${hook}`,
      hook: { type: 'filter', hook, priority: 0, policy: 'accept' },
      rules: [check],
    }),
  ),
  {
    name: 'filter-forward',
    hook: { type: 'filter', hook: 'forward', priority: 0, policy: 'accept' },
    rules: [
      check,
      // Whoever sent it here takes this node for the address's; it would come back for as long as its hop limit lets it.
      ...perFamily((family) =>
        rule(
          ctStateNew,
          isIn(daddr(family), named('load-balancers', family)),
          isNotIn(saddr(family), named('pods', family)),
          goto(refuseChain),
        ),
      ),
    ],
  },
  {
    name: 'service-check',
    rules: [
      // It found one: no look-up in a large set for nothing.
      rule(ctStatusDnat, returns),
      ...perFamily((family) => [
        rule(isIn(servicePort(family), named('answered', family)), returns),
        rule(isIn(daddr(family), named('cluster-ips', family)), goto(refuseChain)),
        rule(isIn(daddr(family), named('service-cidrs', family)), drop),
        rule(isIn(servicePort(family), named('external-refused', family)), goto(refuseChain)),
        rule(
          isIn(daddr(family), named('nodeport-ips', family)),
          isIn(nodePort, named('nodeports-refused', family)),
          goto(refuseChain),
        ),
      ]),
      // Nobody is there: other ports of a load balancer's address on the node that announces it. Else who asks waits for an ARP answer.
      ...(sink === undefined ? [] : [rule(oifIs(sink), goto(refuseChain))]),
    ],
  },
  // Without `reject` in the kernel whoever asks waits for nothing.
  { name: refuseChain, rules: [rule(protocol('tcp'), rejectWithTcpReset), rule(reject)], otherwise: [rule(drop)] },
];
