import type { IpAddr } from '../net/ip.ts';
import type { PortProtocol } from './model.ts';
import type { PolicyNode, PolicyPod, World } from './world.ts';

/** `ICMP` stands for echo requests of either family (NP16); errors are judged by the packet they are about: `answers`. */
export type PacketProtocol = PortProtocol | 'ICMP';

/** The first packet of a connection as policies see it: a Service's address is already translated (NP17), the source not yet. */
export interface Packet {
  source: IpAddr;
  destination: IpAddr;
  protocol: PacketProtocol;
  /** Destination port; `undefined` for ICMP. */
  port?: number;
  /** It was sent to a Service: what a pod sends to itself that way is judged by cluster-wide policies (CNP9). */
  viaService?: boolean;
  /** It is a reply to this one, or an ICMP error about it: allowed as that is (NP10). */
  answers?: Packet;
}

/** One end of a packet: the pod or the node that has the address, or the outside. */
export type End = { address: IpAddr } & (
  | { kind: 'pod'; pod: PolicyPod }
  | { kind: 'node'; node: PolicyNode }
  | { kind: 'outside' }
);

/** Who stands behind an address. */
export function endAt(world: World, address: IpAddr): End {
  const pod = world.podAt.get(String(address));
  if (pod) return { kind: 'pod', address, pod };
  const node = world.nodeAt.get(String(address));
  return node ? { kind: 'node', address, node } : { kind: 'outside', address };
}
