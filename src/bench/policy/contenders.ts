import { podGroup } from '../../links/pod-link.ts';
import { Prefix } from '../../net/prefix.ts';
import { PolicyPlanner, type PolicyPlanNode } from '../../policy/plan/index.ts';
import { Enforcer } from '../../policy/plan/testkit/enforcer.ts';
import { clusterCidr } from '../objects.ts';
import { addressesOf, localPods, nodeName, objectsOf } from './cluster.ts';
import { feedObject } from './feed.ts';
import { flavours, iptables } from './iptables-layout.ts';
import type { Attachment } from './pods.ts';
import type { Enforcement } from './policy-node.ts';
import type { Contender } from './traffic.ts';

const policyCounts = [1, 100, 10_000] as const;
/** Of iptables' pods, on each side: there are as many chains, with a rule for each policy in each. */
const fewPods = 4;

const nothing: Enforcement = { apply: () => false };

/** Nodes that take turns, all of one family and attached alike: they are compared with the first of them. */
export interface Series {
  name: string;
  attachment: Attachment;
  contenders: readonly Contender[];
}

/**
 * IPv4 with routed pods is measured with everything. IPv6, and pods on a bridge, where rules ask for the name of the bridge in place of a link's group, without policies that select and
 * with the most.
 * @param most policies. @param withPeers iptables too
 */
export function allSeries(most: number, withPeers: boolean): Series[] {
  const counts = policyCounts.filter((count) => count <= most);
  const peers = withPeers ? counts.filter((count) => count > 1).flatMap((count) => flavours.map((flavour) => peer(flavour, count))) : [];
  const [ipv4, ipv6, bridge]: Attachment[] = [{ family: 'ipv4' }, { family: 'ipv6' }, { family: 'ipv4', bridge: 'cbr0' }];
  const few = (attachment: Attachment): Contender[] => [...nulls(attachment), ...counts.slice(-1).map((count) => podnet(attachment, count))];
  return [
    {
      ...{ name: 'IPv4', attachment: ipv4! },
      contenders: [
        ...nulls(ipv4!),
        { title: 'no policies at all', policies: 0, pods: localPods(0), enforcement: nothing },
        ...[...counts.map((count) => podnet(ipv4!, count)), ...peers],
      ],
    },
    { name: 'IPv6', attachment: ipv6!, contenders: few(ipv6!) },
    { name: 'bridge', attachment: bridge!, contenders: few(bridge!) },
  ];
}

/** Twice podnet with a policy that selects none of the pods. */
const nulls = (attachment: Attachment): Contender[] =>
  ['', ', null test'].map((more) => ({
    ...podnet(attachment, 1, 'elsewhere'),
    ...{ title: `no policy that selects${more}`, policies: 0, isNull: more !== '' },
  }));

/** @param namespace in which the policies are; pods are in `shop` */
function podnet({ family, bridge }: Attachment, policies: number, namespace = 'shop'): Contender {
  const pods = localPods(policies, undefined, family);
  const podLinks = { group: podGroup, ...(bridge === undefined ? {} : { bridge }) };
  const node: PolicyPlanNode = { name: nodeName, podLinks, podCidrs: [Prefix.parse(clusterCidr)] };
  const apply: Enforcement['apply'] = (_ns, reconciler) => {
    const planner = new PolicyPlanner({ node, held: reconciler.actual() });
    for (const object of objectsOf(policies, pods, namespace, family)) feedObject(planner, object);
    new Enforcer(planner, reconciler, node).settle();
    return namespace === 'shop';
  };
  const title = `${policies.toLocaleString('en')} ${policies === 1 ? 'policy' : 'policies'}`;
  return { title, policies, isPodnet: true, pods, enforcement: { apply } };
}

function peer(flavour: (typeof flavours)[number], policies: number): Contender {
  const pods = localPods(policies, fewPods);
  const enforcement = iptables(flavour, policies, () => addressesOf(pods));
  return { title: `${policies.toLocaleString('en')} policies, iptables-${flavour}`, policies, pods, enforcement };
}
