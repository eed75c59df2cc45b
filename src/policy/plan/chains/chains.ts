import { type Chain, dynamic, match, type Rule } from '../../../kernel/nftables/index.ts';
import { type Family, families } from '../../../net/ip.ts';
import type { Item } from '../../../reconcile/model.ts';
import type { Direction } from '../../model.ts';
import { allowed, classBits, defaultSet, denialSets, denied, deniedSeconds, deniedSet, loggedSet, policySet, policySets, portsSet, rangesSet, rowsSet } from '../elements/names.ts';

const { rule, concat, inNetworkOrder, saddr, daddr, l4proto, dport, priority } = match;
const { originalSaddr, originalDaddr, originalDport, replySaddr, replySport, connectionProtocol } = match;
const { protocol, isIn, isOfProtocol, icmpType, tcpReset, tcpWithoutSyn } = match;
const { iifNotInGroup, oifNotInGroup, iifIsNot, oifIsNot, addressIsLocal, ctOriginal, ctStatusDnat } = match;
const { ctStateEstablished, ctStateInvalid, ctStateUntracked, ctStateUnknown, priorityIs, priorityHas } = match;
const { setPriorityByMap, clearPriority, countIn, rejectWithTcpReset, accept, drop, returns, goto, jump } = match;

/** Counts what policies drop and reset. */
export const deniedCounter = 'policy-denied';
/** Counts what others sent in the name of the node or of one of its pods. */
const forgedCounter = 'policy-forged';

/** Which links are pods'. */
export interface PodLinks {
  /** Group of the links whose other ends are pods. */
  group: number;
  /** The bridge whose ports the pods are, if that is how they hang on the node. */
  bridge?: string;
}

/** Behind what is said of Services (0): their addresses are translated, and what found no endpoint was refused. */
const filterPriority = 10;

const perFamily = <T>(fn: (family: Family) => T | T[]): T[] => families.flatMap(fn);
const numbered = (name: string, family: Family): string => `${name}${family === 'ipv4' ? 4 : 6}`;

/** Protocols that have ports. */
const withPorts = ['tcp', 'udp', 'sctp'] as const;
/** ICMP errors are judged as the connections that they are about; and Debian 12's nft reads a connection's port only behind one protocol of the packet. */
const errors = { ipv4: 'icmp', ipv6: 'ipv6-icmp' } as const;
const everyProtocol = [...withPorts, errors.ipv4, errors.ipv6] as const;

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

const dnsChain: Chain = {
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

function directionChains(family: Family): Chain[] {
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

/** Where the port stands that is judged: rules that find it, each complete with the conditions it needs. */
interface Ports {
  /** `protocol . port` */
  port: match.Value;
  /** Each of them before the key, in a rule of its own. */
  behind: readonly match.Part[][];
  isOf: (name: (typeof withPorts)[number]) => match.Part;
}

const connectionPort = (port: match.Value): Ports => ({
  port: concat(connectionProtocol, port),
  behind: everyProtocol.map((name) => [protocol(name)]),
  isOf: isOfProtocol,
});
const headerPort: Ports = { port: concat(l4proto, dport), behind: [[]], isOf: protocol };

/** From a class to a verdict: comes back where the connection may be. Names of chains end in `suffix`. */
const decideChains = (suffix: string, { port, behind, isOf }: Ports): Chain[] => [
  {
    name: `policy-decide${suffix}`,
    rules: [
      rule(priorityIs(allowed), returns),
      rule(priorityIs(denied), goto('policy-deny')),
      ...withPorts.map((name) => rule(isOf(name), goto(`policy-ports${suffix}`))),
      rule(priorityHas(classBits.portless), returns),
      rule(goto('policy-deny')),
    ],
  },
  {
    name: `policy-ports${suffix}`,
    rules: [
      ...behind.map((parts) => rule(...parts, setPriorityByMap(concat(priority, port), portsSet), goto('policy-verdict'))),
      ...behind.map((parts) =>
        rule(
          ...parts,
          priorityHas(classBits.hasRanges),
          setPriorityByMap(concat(inNetworkOrder(priority), port), rangesSet),
          goto('policy-verdict'),
        ),
      ),
      rule(priorityHas(classBits.otherPorts), returns),
      rule(goto('policy-deny')),
    ],
  },
];

const endChains: readonly Chain[] = [
  { name: 'policy-verdict', rules: [rule(priorityIs(allowed), returns), rule(goto('policy-deny'))] },
  {
    name: 'policy-deny',
    rules: [
      rule(jump('policy-log')),
      // NP14: what is open is cut, each end by its next packet. The same for a connection that conntrack meets in its midst, by a packet of whoever did not open it.
      rule(protocol('tcp'), ctStateEstablished, countIn(deniedCounter), rejectWithTcpReset),
      rule(tcpWithoutSyn, countIn(deniedCounter), rejectWithTcpReset),
      rule(goto('policy-drop')),
    ],
  },
  { name: 'policy-drop', rules: [rule(countIn(deniedCounter), drop)] },
  { name: 'policy-forged', rules: [rule(countIn(forgedCounter), drop)] },
];

/** Denials of pods in namespaces that ask for it are written down, as they are judged; `agent/policy/denials.ts` reads them. */
const logChains: readonly Chain[] = [
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
