import { type Family, IpAddr } from '../net/ip.ts';
import type { Prefix } from '../net/prefix.ts';
import type { LinkView, Packet } from '../walk/packet.ts';
import type { Step, Way } from '../walk/walk.ts';

/** What foreign rules are judged by: this node, as its pods' packets see it. */
export interface NodeShape {
  families: readonly Family[];
  /** Of this node, one for each family. */
  podCidrs: readonly Prefix[];
  /** Of all pods: what a rule that lets them pass must name. */
  clusterCidrs: readonly Prefix[];
  serviceCidrs: readonly Prefix[];
  clusterDns: readonly IpAddr[];
  /** This node's own, one for each family. */
  addresses: readonly IpAddr[];
  /** The host's end of a pod, as a packet's device; of two pods. */
  podLinks: readonly [LinkView, LinkView];
  uplink: LinkView;
  /** Other nodes: at least one for each link that leads to some. */
  peers: readonly { podCidr: Prefix; link: LinkView }[];
  tunnel?: { port: number; local: IpAddr; remote: IpAddr };
}

/** Packets of one purpose, in both directions. */
export interface Flow {
  name: string;
  /** The network model promises it: a rule that stops it makes the node unfit for pods. Else the rule may be meant so. */
  promised: boolean;
  family: Family;
  protocol: 'tcp' | 'udp';
  ways: Way[];
}

const numbers = { tcp: 6, udp: 17 } as const;
const clientPort = 40_000;
const podPort = 8080;
/** Stands for every address outside of the cluster: public resolvers, which no list of bogus addresses has. */
const outside: Record<Family, IpAddr> = { ipv4: IpAddr.parse('1.1.1.1'), ipv6: IpAddr.parse('2606:4700:4700::1111') };
/** podnet's own translation, NF_IP_PRI_NAT_DST. */
const translation = -100;
const last = 0x7fffffff;

interface End {
  address: IpAddr;
  /** The device that packets of it come by and leave by; none for the node itself. */
  link?: LinkView;
  port: number;
}

/** The representative packets of everything that pods need of this node. */
export function flowsOf(node: NodeShape): Flow[] {
  return node.families.flatMap((family) => flowsOfFamily(node, family));
}

function flowsOfFamily(node: NodeShape, family: Family): Flow[] {
  const of = <T extends { family: Family }>(list: readonly T[]): T | undefined => list.find((one) => one.family === family);
  const podCidr = of(node.podCidrs);
  const own = of(node.addresses);
  if (!podCidr || podCidr.size < 8n) return [];
  const [linkA, linkB] = node.podLinks;
  const a = { address: podCidr.at(2), link: linkA };
  const b = { address: podCidr.at(3), link: linkB };
  const peers = node.peers.filter((peer) => peer.podCidr.family === family && peer.podCidr.size >= 8n);
  const far = { address: outside[family], link: node.uplink };
  const service = of(node.serviceCidrs);
  const dns = of(node.clusterDns);
  const client = (end: Omit<End, 'port'>): End => ({ ...end, port: clientPort });
  const server = (end: Omit<End, 'port'>, port = podPort): End => ({ ...end, port });
  const flows: Flow[] = [];
  const add = (name: string, ways: (protocol: 6 | 17) => Way[], promised = true): void => {
    for (const protocol of ['tcp', 'udp'] as const)
      flows.push({ name, promised, family, protocol, ways: ways(numbers[protocol]) });
  };
  const both = (from: End, to: End, through?: IpAddr) => (protocol: 6 | 17) =>
    conversation(family, protocol, from, to, { through });
  add('pods of this node to each other', both(client(a), server(b)));
  for (const { podCidr: remote, link } of peers) {
    const peer = { address: remote.at(2), link };
    add('pods to pods of other nodes', both(client(a), server(peer)));
    add('pods of other nodes to pods of this one', both(client(peer), server(a)));
  }
  if (own) add('this node to its pods', both(client({ address: own }), server(a)));
  if (service) {
    const vip = service.at(1);
    add('pods to Services', both(client(a), server(b), vip));
    for (const { podCidr: remote, link } of peers)
      add('pods to Services', both(client(a), server({ address: remote.at(2), link }), vip));
  }
  if (dns)
    add("pods to this node's DNS", (protocol) =>
      conversation(family, protocol, client(a), server({ address: dns }, 53), { untracked: protocol === numbers.udp }),
    );
  add('pods to addresses outside of the cluster', both(client(a), server(far)), false);
  if (own) add('clients outside of the cluster to node ports', both(client(far), server(a), own), false);
  const { tunnel } = node;
  if (tunnel?.local.family === family)
    flows.push({
      ...{ name: 'tunnels between nodes (VXLAN)', promised: true, family, protocol: 'udp' },
      ways: tunnelWays(tunnel, node.uplink),
    });
  return flows;
}

/** A question and its answer. @param through the address that the client asks, translated on this node to the server's */
function conversation(
  family: Family,
  protocol: 6 | 17,
  from: End,
  to: End,
  { through, untracked }: { through?: IpAddr; untracked?: boolean },
): Way[] {
  const asked = through ?? to.address;
  const opened = { source: from.address, destination: asked, sourcePort: from.port, destinationPort: to.port };
  const packet = (source: End, destination: End, reply: boolean): Packet => ({
    ...{ family, protocol, source: source.address, destination: destination.address },
    ...{ sourcePort: source.port, destinationPort: destination.port },
    ...(reply ? { state: 'established', direction: 'reply' } : { state: 'new', direction: 'original' }),
    ...(through ? { translated: true } : {}),
    ...(untracked ? { untracked } : {}),
    opened,
    isLocal: { source: source.link === undefined, destination: destination.link === undefined },
  });
  const question = packet(from, to, false);
  const before: Packet = {
    ...question,
    destination: asked,
    translated: false,
    isLocal: { source: !from.link, destination: false },
  };
  return [way(question, from.link, to.link, through ? before : undefined), way(packet(to, from, true), to.link, from.link)];
}

/** @param before the packet as it comes in, until podnet translates its destination */
function way(packet: Packet, from: LinkView | undefined, to: LinkView | undefined, before?: Packet): Way {
  const entering = (hook: 'prerouting' | 'output', links: Partial<Packet>): Step[] => {
    if (!before) return [{ hook, packet: { ...packet, ...links } }];
    return [
      { hook, packet: { ...before, ...links }, priorities: [-last, translation] },
      { hook, packet: { ...packet, ...links }, priorities: [translation + 1, last] },
    ];
  };
  const both = { ...(from ? { in: from } : {}), ...(to ? { out: to } : {}) };
  const steps: Step[] = [];
  if (from) {
    steps.push({ hook: 'ingress', packet: { ...(before ?? packet), in: from } }, ...entering('prerouting', { in: from }));
    steps.push({ hook: to ? 'forward' : 'input', packet: { ...packet, ...both } });
  } else steps.push(...entering('output', to ? { out: to } : {}));
  if (to) steps.push({ hook: 'postrouting', packet: { ...packet, ...both } }, { hook: 'egress', packet: { ...packet, out: to } });
  return steps;
}

/** VXLAN: each node's packets are new connections of their own, with source ports that follow from the inner packet. */
function tunnelWays({ port, local, remote }: NonNullable<NodeShape['tunnel']>, uplink: LinkView): Way[] {
  const packet = (source: IpAddr, destination: IpAddr): Packet => ({
    ...{ family: local.family, protocol: 17, source, destination, sourcePort: clientPort, destinationPort: port },
    ...{ state: 'new', direction: 'original' },
    opened: { source, destination, sourcePort: clientPort, destinationPort: port },
    isLocal: { source: source === local, destination: destination === local },
  });
  return [way(packet(local, remote), undefined, uplink), way(packet(remote, local), uplink, undefined)];
}
