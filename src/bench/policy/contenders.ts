import { addressesOf, localPods } from './cluster.ts';
import { flavours, iptables } from './iptables-layout.ts';
import type { Enforcement } from './policy-node.ts';
import type { Contender } from './traffic.ts';

export const policyCounts = [1, 100, 10_000] as const;
/** Of iptables' pods, on each side: there are as many chains, with a rule for each policy in each. */
const fewPods = 4;

const nothing: Enforcement = { apply: () => false };

/** Who takes turns: nobody's policies first. @param most policies. @param withPeers iptables too */
export function contenders(most: number, withPeers: boolean): Contender[] {
  const without = (title: string, isNull: boolean): Contender => ({ title, policies: 0, isNull, pods: localPods(0), enforcement: nothing });
  const counts = policyCounts.filter((count) => count <= most);
  const peers = withPeers ? counts.filter((count) => count > 1).flatMap((count) => flavours.map((flavour) => peer(flavour, count))) : [];
  return [without('no policies', false), without('no policies, null test', true), ...peers];
}

function peer(flavour: (typeof flavours)[number], policies: number): Contender {
  const pods = localPods(policies, fewPods);
  const enforcement = iptables(flavour, policies, () => addressesOf(pods));
  return { title: `${policies.toLocaleString('en')} policies, iptables-${flavour}`, policies, pods, enforcement };
}
