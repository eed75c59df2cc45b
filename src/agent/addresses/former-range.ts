import type { Ipam } from '../../ipam/index.ts';
import type { NodeView } from '../watch/views.ts';

/** How many pods are named. */
const shown = 3;

/**
 * Pods from pod CIDRs that the node had before (PC6): they go on until they are deleted, but other nodes look for them elsewhere, or have pods of their own there.
 * @returns no sentence when there are none, else one
 */
export function formerRange(ipam: Ipam, peers: Iterable<NodeView>): string[] {
  const former = ipam.outOfRange();
  if (former.length === 0) return [];
  const named = former
    .slice(0, shown)
    .map(({ key, notes, addresses }) => `${notes.pod || key.containerId} (${addresses.join(', ')})`);
  const rest = former.length > shown ? ` and ${former.length - shown} more` : '';
  const owners = [...peers].filter(({ podCidrs }) =>
    podCidrs.some((cidr) => former.some(({ addresses }) => addresses.some((address) => cidr.contains(address)))),
  );
  const elsewhere =
    owners.length === 0
      ? 'other nodes do not reach them'
      : `their addresses belong to node ${owners.map(({ name }) => name).join(', ')} now, whose pods may have the same ones`;
  return [`${named.join(', ')}${rest} are from a pod CIDR that the node has no more: ${elsewhere}; delete these pods`];
}
