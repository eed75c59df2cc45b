import { IpAddr } from '../../../net/ip.ts';
import type { Item } from '../../../reconcile/model.ts';
import type { Packet, PacketProtocol } from '../../packet.ts';
import { hasIdentity, type World } from '../../world.ts';
import { planPolicyChains } from '../chains/chains.ts';
import { defaultConnmarkMask, planEpoch } from '../chains/epoch.ts';
import { PolicyTracer, type Trace, type TracedConnection, type TracedPacket } from '../chains/trace.ts';

export const podLinks = { group: 28782 };

const numbers: Record<Exclude<PacketProtocol, 'ICMP'>, number> = { TCP: 6, UDP: 17, SCTP: 132 };
const icmp = { ipv4: 1, ipv6: 58 } as const;
const [clientPort, servicePort] = [41_000, 4321];
const vips = { ipv4: IpAddr.parse('10.96.0.1'), ipv6: IpAddr.parse('fd00:96::1') } as const;

/** Where packets of a connection are filtered: the node, and how one of the original direction goes through it. */
export type Crossing = Pick<TracedPacket, 'hook' | 'fromPod' | 'toPod'> & { node: string };

/** Which nodes see the connection, and how: those of its ends that are pods. None: it stays within a pod, or no pod has to do with it. */
export function crossingsOf(world: World, { source, destination, viaService }: Packet): Crossing[] {
  const pod = (address: IpAddr) => {
    const found = world.podAt.get(`${address}`);
    return found && hasIdentity(found) ? found : undefined;
  };
  const [from, to] = [pod(source), pod(destination)];
  if (from && from === to && !viaService) return [];
  const isNode = (address: IpAddr, name: string | undefined): boolean =>
    world.nodeAt.get(`${address}`)?.name === name && name !== undefined;
  const crossings: Crossing[] = [];
  if (from?.node) {
    const toOwn = isNode(destination, from.node);
    crossings.push({ node: from.node, hook: toOwn ? 'input' : 'forward', fromPod: true, toPod: to?.node === from.node });
  }
  if (to?.node && to.node !== from?.node) {
    const fromOwn = isNode(source, to.node);
    crossings.push({ node: to.node, hook: fromOwn ? 'output' : 'forward', fromPod: false, toPod: true });
  }
  return crossings;
}

/** As conntrack has it on the node that translates a Service's address; elsewhere it is not translated. */
export function connectionOf({ source, destination, protocol, port = 0, viaService }: Packet, mark = 0): TracedConnection {
  const { family } = source;
  const ports = protocol === 'ICMP' ? { sourcePort: 77, destinationPort: 77 } : { sourcePort: clientPort, destinationPort: port };
  const original = viaService
    ? { source, destination: vips[family], sourcePort: ports.sourcePort, destinationPort: servicePort }
    : { source, destination, ...ports };
  return {
    ...{ protocol: protocol === 'ICMP' ? icmp[family] : numbers[protocol], original, mark, translated: viaService === true },
    reply: { source: destination, destination: source, sourcePort: ports.destinationPort, destinationPort: ports.sourcePort },
  };
}

/** The same packet in the other direction. */
export const back = (crossing: Crossing): Crossing => ({
  ...crossing,
  hook: crossing.hook === 'input' ? 'output' : crossing.hook === 'output' ? 'input' : 'forward',
  fromPod: crossing.toPod,
  toPod: crossing.fromPod,
});

/** The nodes of a cluster with what is planned for each, in one epoch. */
export class TracedCluster {
  readonly #tracers: ReadonlyMap<string, PolicyTracer>;

  /** @param plans elements by node */
  constructor(plans: ReadonlyMap<string, Iterable<Item>>, epoch: number) {
    const chains = [...planPolicyChains({ podLinks }), ...planEpoch(epoch, defaultConnmarkMask)];
    this.#tracers = new Map(Array.from(plans, ([node, items]) => [node, new PolicyTracer([...chains, ...items], podLinks)]));
  }

  trace({ node, ...way }: Crossing, packet: Omit<TracedPacket, 'hook' | 'fromPod' | 'toPod'>): Trace {
    return this.#tracers.get(node)!.trace({ ...way, ...packet });
  }
}
