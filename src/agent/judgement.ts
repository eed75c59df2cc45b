import type { PoolUse } from '../ipam/index.ts';
import type { Family } from '../net/ip.ts';
import type { OwnerStatus } from '../reconcile/owner-statuses.ts';
import { essentialOwners } from './node/network.ts';

/** What whether pods can be attached follows from. */
export interface Condition {
  synced: boolean;
  /** What the API last answered, while it is not in sync. */
  apiError: string | undefined;
  /** Why this node's own facts are not known. */
  unknown: string | undefined;
  families: readonly Family[];
  pools: readonly PoolUse[];
  /** Texts of the Node that are no address or prefix. */
  faults: readonly string[];
  /** Another node had this one's pod CIDR before. */
  clash: string | undefined;
  /** How often the kernel was written to. */
  syncs: number;
  status: (owner: string) => OwnerStatus | undefined;
  /** Pods could be attached before. */
  wasOpen: boolean;
}

/** Why pods cannot be attached; undefined when they can. */
export function whyNot(condition: Condition): string | undefined {
  const { synced, apiError, unknown, syncs, status, wasOpen } = condition;
  if (!synced) return `the API server has not told of nodes and Services yet${apiError === undefined ? '' : `: ${apiError}`}`;
  if (unknown !== undefined) return unknown;
  const noCidr = whyNoCidr(condition);
  if (noCidr !== undefined) return noCidr;
  if (condition.clash !== undefined) return condition.clash;
  if (syncs === 0) return "nothing of the node's network is in the kernel yet";
  for (const owner of essentialOwners) {
    // An owner without a status wants nothing, like the routed mode of an IPv6 node.
    const one = status(owner);
    if (one?.state === 'error') return `${owner}: ${one.why}`;
    // Later changes of them do not shut what works.
    if (!wasOpen && one?.state === 'pending') return `${owner} is not in the kernel yet`;
  }
  return undefined;
}

/** F28. The secondary family may be missing; pods without their podIP's family are worth nothing. */
function whyNoCidr({ families: [primary], faults, pools }: Condition): string | undefined {
  const also = faults.length === 0 ? '' : `: ${faults.join('; ')}`;
  if (pools.length === 0)
    return `the node has no pod CIDR yet (node.spec.podCIDRs is empty${faults.length === 0 ? '' : ' or wrong'})${also}`;
  if (!pools.some(({ prefix }) => prefix.family === primary))
    return `the node has no ${primary} pod CIDR in node.spec.podCIDRs${also}`;
  const small = pools.find(({ capacity }) => capacity === 0);
  return small && `the pod CIDR ${small.prefix} has room for no pod`;
}
