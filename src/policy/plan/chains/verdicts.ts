import { type Chain, match } from '../../../kernel/nftables/index.ts';
import type { NftChain } from '../../../reconcile/model.ts';
import { allowed, classBits, denied, portsSet, rangesSet } from '../elements/names.ts';
import { errors, withPorts } from './parts.ts';

const { rule, concat, inNetworkOrder, l4proto, dport, priority, connectionProtocol } = match;
const { protocol, isOfProtocol, tcpWithoutSyn, ctStateEstablished, priorityIs, priorityHas } = match;
const { setPriorityByMap, countIn, rejectWithTcpReset, drop, returns, goto, jump } = match;

/** Counts what policies drop and reset. */
export const deniedCounter = 'policy-denied';
/** Counts what others sent in the name of the node or of one of its pods. */
export const forgedCounter = 'policy-forged';

/** Where a connection is denied; on kernels without `reject` it is dropped there, and who had it open hears nothing. */
export const denyChain = 'policy-deny';

/** Debian 12's nft reads a connection's port only behind one protocol of the packet. */
const everyProtocol = [...withPorts, errors.ipv4, errors.ipv6] as const;

/** Where the port stands that is judged: rules that find it, each complete with the conditions it needs. */
interface Ports {
  /** `protocol . port` */
  port: match.Value;
  /** Each of them before the key, in a rule of its own. */
  behind: readonly match.Part[][];
  isOf: (name: (typeof withPorts)[number]) => match.Part;
}

export const connectionPort = (port: match.Value): Ports => ({
  port: concat(connectionProtocol, port),
  behind: everyProtocol.map((name) => [protocol(name)]),
  isOf: isOfProtocol,
});
export const headerPort: Ports = { port: concat(l4proto, dport), behind: [[]], isOf: protocol };

/** From a class to a verdict: comes back where the connection may be. Names of chains end in `suffix`. */
export const decideChains = (suffix: string, { port, behind, isOf }: Ports): Chain[] => [
  {
    name: `policy-decide${suffix}`,
    rules: [
      rule(priorityIs(allowed), returns),
      rule(priorityIs(denied), goto(denyChain)),
      ...withPorts.map((name) => rule(isOf(name), goto(`policy-ports${suffix}`))),
      rule(priorityHas(classBits.portless), returns),
      rule(goto(denyChain)),
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
      rule(goto(denyChain)),
    ],
  },
];

export const endChains: readonly (Chain & Pick<NftChain, 'otherwise'>)[] = [
  { name: 'policy-verdict', rules: [rule(priorityIs(allowed), returns), rule(goto(denyChain))] },
  {
    name: denyChain,
    rules: [
      rule(jump('policy-log')),
      // NP14: what is open is cut, each end by its next packet. The same for a connection that conntrack meets in its midst, by a packet of whoever did not open it.
      rule(protocol('tcp'), ctStateEstablished, countIn(deniedCounter), rejectWithTcpReset),
      rule(tcpWithoutSyn, countIn(deniedCounter), rejectWithTcpReset),
      rule(goto('policy-drop')),
    ],
    otherwise: [rule(jump('policy-log')), rule(goto('policy-drop'))],
  },
  { name: 'policy-drop', rules: [rule(countIn(deniedCounter), drop)] },
  { name: 'policy-forged', rules: [rule(countIn(forgedCounter), drop)] },
];
