import { type Chain, match, type Rule } from '../kernel/nftables/index.ts';
import type { Family } from '../net/ip.ts';
import { named, protocols } from './names.ts';
import { addressOf, type ServiceNode } from './node.ts';
import { perFamily } from './parts.ts';

const { rule, saddr, daddr, concat, isIn, isNotIn, protocol, clearPriority, snatTo, masquerade } = match;
const { originalDaddr, originalDport, ctStatusDnat, addressIsLocal, returns, goto, jump } = match;

/**
 * SD4. Whether a connection came to a Service, and by which address, is read from conntrack: no mark is needed. Source translation names the node's address
 * where that is meant, so that an address added later never becomes a source by accident.
 */
export function sourceChains(node: ServiceNode): Chain[] {
  const own = (family: Family, ...parts: match.Part[]): Rule[] => {
    const address = addressOf(node, family);
    return address ? [rule(...parts, snatTo(address))] : [];
  };
  const toNodePort = perFamily((family) =>
    rule(isIn(originalDaddr(family), named('nodeport-ips', family)), goto('nodeport-source')),
  );
  return [
    {
      name: 'nat-postrouting',
      hook: { type: 'nat', hook: 'postrouting', priority: 100, policy: 'accept' },
      rules: [
        rule(ctStatusDnat, jump('service-source')),
        ...perFamily((family) =>
          rule(isIn(saddr(family), named('pods', family)), isNotIn(daddr(family), named('no-masquerade', family)), masquerade),
        ),
      ],
    },
    {
      name: 'service-source',
      rules: [
        rule(clearPriority),
        ...perFamily((family) => own(family, isIn(concat(saddr(family), daddr(family)), named('hairpin', family)))),
        ...perFamily((family) => rule(isIn(originalDaddr(family), named('externals', family)), goto('external-source'))),
        ...toNodePort,
        rule(addressIsLocal('saddr'), returns),
        // Pods first: most clients are, and the other set is one of the large ones.
        ...perFamily((family) =>
          own(family, isNotIn(saddr(family), named('pods', family)), isIn(originalDaddr(family), named('cluster-ips', family))),
        ),
      ],
    },
    {
      name: 'external-source',
      rules: [
        ...perFamily((family) => own(family, addressIsLocal('saddr'))),
        ...perFamily((family) =>
          protocols.map((name) =>
            rule(
              protocol(name),
              isIn(concat(originalDaddr(family), originalDport), named(`external-local-${name}`, family)),
              returns,
            ),
          ),
        ),
        // An address of this node may be a load balancer's as well.
        ...toNodePort,
        ...perFamily((family) => own(family)),
      ],
    },
    {
      name: 'nodeport-source',
      rules: [
        ...perFamily((family) => own(family, addressIsLocal('saddr'))),
        ...protocols.map((name) => rule(protocol(name), isIn(originalDport, `nodeports-local-${name}`), returns)),
        ...perFamily((family) => own(family)),
      ],
    },
  ];
}
