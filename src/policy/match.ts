import { matches } from '../kube/selectors.ts';
import type { IpAddr } from '../net/ip.ts';
import type { DomainPattern, Peer, PodSelection, PortMatch, Rule } from './model.ts';
import type { End, Packet } from './packet.ts';
import { hasIdentity, type PolicyPod, type World } from './world.ts';

/** Where a rule stands to a packet. `peer` and `port` are the places of those that match in the rule's lists, `undefined` where it has no list. */
export type RuleMatch =
  | { matches: true; peer: number | undefined; port: number | undefined }
  /** What did not match; with `ports` some peer did. */
  | { matches: false; by: 'peers' | 'ports' };

/** NP4: a rule matches by a peer AND by a port; lists are OR, and a list that is not there matches all. */
export function matchRule(world: World, rule: Rule, other: End, destination: End, packet: Packet): RuleMatch {
  const peers = rule.peers?.map((peer, index) => ({ peer, index })) ?? [{ peer: undefined, index: undefined }];
  const ports = rule.ports?.map((port, index) => ({ port, index })) ?? [{ port: undefined, index: undefined }];
  let byPeer = false;
  for (const { peer, index } of peers) {
    if (peer && !matchesPeer(world, peer, other)) continue;
    byPeer = true;
    for (const { port, index: place } of ports)
      if (!port || matchesPort(port, peer, other, destination, packet)) return { matches: true, peer: index, port: place };
  }
  return { matches: false, by: byPeer ? 'ports' : 'peers' };
}

/** Whether the other end of the traffic is meant by the peer. */
export function matchesPeer(world: World, peer: Peer, other: End): boolean {
  switch (peer.kind) {
    case 'pods':
      return other.kind === 'pod' && selects(world, peer, other.pod);
    case 'networks':
      return peer.cidrs.some((cidr) => cidr.contains(other.address)) && !peer.except.some((hole) => hole.contains(other.address));
    case 'nodes':
      return other.kind === 'node' && matches(peer.labels, other.node.labels);
    case 'domains':
      return peer.names.some((pattern) => isResolved(world, pattern, other.address));
  }
}

/** Whether a selection of pods means this one: by its namespace and its labels, and never one of the host's network (NP13, NP22). */
export function selects(world: World, { namespaces, pods }: PodSelection, pod: PolicyPod): boolean {
  if (!hasIdentity(pod)) return false;
  const inNamespace =
    'name' in namespaces ? namespaces.name === pod.namespace : matches(namespaces.labels, world.namespaces.get(pod.namespace));
  return inNamespace && matches(pods, pod.labels);
}

/**
 * Ports are those of the destination. A name is looked up on the destination pod (NP7): where egress goes to a network, which has no named ports, it
 * matches nothing, whoever has the address.
 */
function matchesPort(port: PortMatch, peer: Peer | undefined, other: End, destination: End, packet: Packet): boolean {
  if (port.kind === 'numbers')
    return packet.protocol === port.protocol && packet.port !== undefined && port.from <= packet.port && packet.port <= port.to;
  if (other === destination && peer && peer.kind !== 'pods') return false;
  if (destination.kind !== 'pod' || (port.protocol !== undefined && port.protocol !== packet.protocol)) return false;
  return destination.pod.ports.some(
    ({ name, protocol, number }) => name === port.name && protocol === packet.protocol && number === packet.port,
  );
}

function isResolved({ resolved }: World, { name, wildcard }: DomainPattern, address: IpAddr): boolean {
  if (!wildcard) return resolved.get(name)?.some((one) => one.equals(address)) ?? false;
  for (const [known, addresses] of resolved)
    if (known.endsWith(`.${name}`) && addresses.some((one) => one.equals(address))) return true;
  return false;
}
