import { type Chain, match, type Rule } from '../kernel/nftables/index.ts';
import { type Family, families, type IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import type { Item, NftElement, NftSet } from '../reconcile/model.ts';
import { type LocalFacts, type RouteNode, type RoutesConfig, tunnelEnd, vxlanLink } from './plan.ts';

const { rule, concat, saddr, daddr, isIn, isNotIn, udpDport, ofFamily, iifIs, daddrIsNot, ctStatusDnat } = match;
const { vniIs, innerIs, innerNetwork, innerSourceText, countIn, accept, drop, goto } = match;

/** Another node, as whoever comes in by the tunnel. */
export interface TunnelPeer {
  /** All addresses that it may send from: its Node's. */
  addresses: readonly IpAddr[];
  /** All that it has, others' claims aside. */
  podCidrs: readonly Prefix[];
}

/** Why a packet is dropped; each has a named counter. */
export const tunnelReasons = {
  'tunnel-address': "VXLAN to another address of this node than its end of the tunnel, or that a translation led there",
  'tunnel-link': "VXLAN by a link that does not lead to nodes, or out of the tunnel itself",
  'tunnel-stranger': 'VXLAN from an address that no other node has, or that carries neither IPv4 nor IPv6 that is served',
  'tunnel-source': "VXLAN of a node with a source inside that is a pod's of another node",
  'tunnel-relay': "somebody else's packet to the VXLAN port of another node, which would leave with this node's address",
} as const;
const refuse = (reason: keyof typeof tunnelReasons): match.Part[] => [countIn(reason), drop];

const number = { ipv4: 4, ipv6: 6 } as const;
const addressType = { ipv4: 'ipv4_addr', ipv6: 'ipv6_addr' } as const;

/** Addresses of the other nodes. */
const nodesSet = (underlay: Family): string => `tunnel${number[underlay]}-nodes`;
/** `node . network`: which pod networks it has; one set for each length of prefixes. */
const podsSet = (underlay: Family, { family, length }: Length): string =>
  `tunnel${number[underlay]}-pods${number[family]}-${length}`;
/** Networks of all nodes' pods, of this length. */
const networksSet = ({ family, length }: Length): string => `tunnel-networks${number[family]}-${length}`;

type Length = Pick<Prefix, 'family' | 'length'>;

/** Before what others filter; the kernel takes the packet out of its envelope behind this hook (udp_tunnel_sock). */
const raw = -300;
/** Those that are served, each once: of each family there is one, as a rule. */
function lengthsOf(nodes: readonly Pick<RouteNode, 'podCidrs'>[], served: readonly Family[]): Length[] {
  const found = new Map<string, Length>();
  for (const { podCidrs } of nodes)
    for (const { family, length } of podCidrs) if (served.includes(family)) found.set(`${number[family]} ${length}`, { family, length });
  return [...found.values()].sort((a, b) => number[a.family] - number[b.family] || b.length - a.length);
}

/** The family of the outer packets that this node's tunnel takes; undefined where it has no tunnel. */
const underlayOf = (self: RouteNode, config: RoutesConfig): Family | undefined => endOf(self, config)?.family;

const endOf = (self: RouteNode, { backend }: RoutesConfig): IpAddr | undefined => (backend === 'direct' ? undefined : tunnelEnd(self));

/**
 * Who may come in by the tunnel (T15): VXLAN to this node's own port with its own network identifier is taken out of its envelope when it comes to the node's end of the tunnel, from another node's
 * address, by a link that leads to nodes, and when nobody but that node has pods where the packet inside says that it is from. All else that uses VXLAN here, with another port or identifier, is left alone.
 * Elements are hashed, none is an interval: the kernel shows such sets and the chains that look them up in the same instant, so that nothing is dropped while they come.
 * @param nodes this one and all others, for the lengths of their pod CIDRs
 */
export function planTunnelDoor(
  self: RouteNode,
  nodes: readonly Pick<RouteNode, 'podCidrs'>[],
  local: LocalFacts,
  config: RoutesConfig,
): Item[] {
  const end = endOf(self, config);
  if (!end) return [];
  const underlay = end.family;
  const lengths = lengthsOf(nodes, config.families);
  const sets: NftSet[] = [
    { kind: 'nft-set', name: nodesSet(underlay), key: addressType[underlay], flags: [], comment: 'other nodes' },
    ...lengths.flatMap((length): NftSet[] => [
      {
        ...{ kind: 'nft-set', name: podsSet(underlay, length), key: `${addressType[underlay]} . ${addressType[length.family]}`, flags: [] },
        ...{ typeof: `${saddr(underlay).text} . ${innerSourceText(length.family)}`, comment: 'nodes and where their pods are' },
      },
      {
        ...{ kind: 'nft-set', name: networksSet(length), key: addressType[length.family], flags: [] },
        ...{ typeof: innerSourceText(length.family), comment: 'where pods are' },
      },
    ]),
  ];
  return [
    ...Object.keys(tunnelReasons).map((name): Item => ({ kind: 'nft-counter', name })),
    ...chains(end, lengths, local, config).map((chain): Item => ({ kind: 'nft-chain', ...chain })),
    ...sets,
    // Of the own pods none comes by a tunnel.
    ...networksOf(self.podCidrs, config),
  ];
}

/** What lets another node in. */
export function planTunnelPeer({ addresses, podCidrs }: TunnelPeer, self: RouteNode, config: RoutesConfig): Item[] {
  const underlay = underlayOf(self, config);
  if (!underlay) return [];
  const ends = addresses.filter(({ family }) => family === underlay);
  const served = podCidrs.filter(({ family }) => config.families.includes(family));
  return [
    ...ends.map((end) => element(nodesSet(underlay), `${end}`)),
    ...ends.flatMap((end) => served.map((cidr) => element(podsSet(underlay, cidr), `${end} . ${cidr.address}`))),
    ...networksOf(served, config),
  ];
}

const element = (set: string, key: string): NftElement => ({ kind: 'nft-element', set, key });

const networksOf = (podCidrs: readonly Prefix[], config: RoutesConfig): Item[] =>
  podCidrs.filter(({ family }) => config.families.includes(family)).map((cidr) => element(networksSet(cidr), `${cidr.address}`));

function chains(end: IpAddr, lengths: readonly Length[], { underlay: links }: LocalFacts, config: RoutesConfig): Chain[] {
  const underlay = end.family;
  const { port, id } = config.vxlan;
  const served = families.filter((family) => config.families.includes(family));
  const node = saddr(underlay);
  // Of another pod there: what comes by the right link from the right node is in by one look-up.
  const known = (...by: match.Part[]): Rule[] =>
    lengths.map((length) => {
      const inside = innerNetwork(length.family, length.length);
      return rule(innerIs(length.family), ...by, isIn(concat(node, inside), podsSet(underlay, length)), accept);
    });
  return [
    {
      name: 'tunnel-input',
      hook: { type: 'filter', hook: 'input', priority: raw, policy: 'accept' },
      rules: [rule(udpDport(port), ofFamily(underlay), vniIs(id), goto('tunnel-packet'))],
    },
    {
      name: 'tunnel-packet',
      rules: [
        // What pods send to a further address of a node (of a load balancer, of another link, one that the Node does not tell) others masquerade: it comes with a node's address.
        rule(daddrIsNot(end), ...refuse('tunnel-address')),
        rule(ctStatusDnat, ...refuse('tunnel-address')),
        ...(links
          ? [
              ...links.flatMap((link) => known(iifIs(link))),
              ...links.map((link) => rule(iifIs(link), goto('tunnel-other'))),
              rule(...refuse('tunnel-link')),
            ]
          : // Else a node could send by the tunnel what is to be taken for another node's.
            [rule(iifIs(vxlanLink), ...refuse('tunnel-link')), ...known(), rule(goto('tunnel-other'))]),
      ],
    },
    {
      name: 'tunnel-other',
      rules: [
        ...lengths.map((length) =>
          rule(innerIs(length.family), isIn(innerNetwork(length.family, length.length), networksSet(length)), ...refuse('tunnel-source')),
        ),
        // The node's own packets, and those of whoever is outside, which it hands on.
        ...served.map((family) => rule(innerIs(family), isIn(node, nodesSet(underlay)), accept)),
        rule(...refuse('tunnel-stranger')),
      ],
    },
    {
      // Each packet, not only those that begin a connection: a pod may have begun it before there was a node at that address, and keep it for as long as it sends.
      name: 'tunnel-forward',
      hook: { type: 'filter', hook: 'forward', priority: raw, policy: 'accept' },
      rules: [rule(udpDport(port), ofFamily(underlay), isIn(daddr(underlay), nodesSet(underlay)), goto('tunnel-relay'))],
    },
    {
      // What others masqueraded bears a node's address already; no node sends to where it must be translated.
      name: 'tunnel-relay',
      rules: [rule(isNotIn(node, nodesSet(underlay)), ...refuse('tunnel-relay')), rule(ctStatusDnat, ...refuse('tunnel-relay'))],
    },
  ];
}
