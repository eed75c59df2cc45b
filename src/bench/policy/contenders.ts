import { podGroup } from '../../links/pod-link.ts';
import { Prefix } from '../../net/prefix.ts';
import { PolicyPlanner, type PolicyPlanNode } from '../../policy/plan/index.ts';
import { Enforcer } from '../../policy/plan/testkit/enforcer.ts';
import { clusterCidr } from '../objects.ts';
import { addressesOf, localPods, nodeName, objectsOf } from './cluster.ts';
import { feedObject } from './feed.ts';
import { flavours, iptables } from './iptables-layout.ts';
import type { Enforcement } from './policy-node.ts';
import type { Contender } from './traffic.ts';

export const policyCounts = [1, 100, 10_000] as const;
/** Of iptables' pods, on each side: there are as many chains, with a rule for each policy in each. */
const fewPods = 4;

const nothing: Enforcement = { apply: () => false };

/** Who takes turns. First, twice, podnet with a policy that selects none of the pods. @param most policies. @param withPeers iptables too */
export function contenders(most: number, withPeers: boolean): Contender[] {
  const ofOthers = (title: string, isNull: boolean): Contender => ({ ...podnet(title, 1, 'elsewhere'), policies: 0, isNull });
  const counts = policyCounts.filter((count) => count <= most);
  const peers = withPeers ? counts.filter((count) => count > 1).flatMap((count) => flavours.map((flavour) => peer(flavour, count))) : [];
  const podnets = counts.map((count) => podnet(`${count.toLocaleString('en')} ${count === 1 ? 'policy' : 'policies'}`, count, 'shop'));
  return [
    ...[ofOthers('no policy that selects', false), ofOthers('no policy that selects, null test', true)],
    { title: 'no policies at all', policies: 0, pods: localPods(0), enforcement: nothing },
    ...[...podnets, ...peers],
  ];
}

/** @param namespace in which the policies are; pods are in `shop` */
function podnet(title: string, policies: number, namespace: string): Contender {
  const pods = localPods(policies);
  const node: PolicyPlanNode = { name: nodeName, podLinks: { group: podGroup }, podCidrs: [Prefix.parse(clusterCidr)] };
  const apply: Enforcement['apply'] = (_ns, reconciler) => {
    const planner = new PolicyPlanner({ node, held: reconciler.actual() });
    for (const object of objectsOf(policies, pods, namespace)) feedObject(planner, object);
    new Enforcer(planner, reconciler, node).settle();
    return namespace === 'shop';
  };
  return { title, policies, isPodnet: true, pods, enforcement: { apply } };
}

function peer(flavour: (typeof flavours)[number], policies: number): Contender {
  const pods = localPods(policies, fewPods);
  const enforcement = iptables(flavour, policies, () => addressesOf(pods));
  return { title: `${policies.toLocaleString('en')} policies, iptables-${flavour}`, policies, pods, enforcement };
}
